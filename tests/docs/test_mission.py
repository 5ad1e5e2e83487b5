"""Every promise and every defect of the BMAD performance monitor has its place and its proof."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from docs.mission import DEFECTS, LATER, SECTIONS, Row, defects, ids, items

ROOT = Path(__file__).parents[2]
ITEMS = items()
FOUND_DEFECTS = defects()


@cache
def functions(path: Path) -> frozenset[str]:
    """Names of the test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test_"))


def missing_tests(rows: list[Row]) -> list[str]:
    """Tests that are named and not there."""
    missing = []
    for row in rows:
        for test in row.tests:
            path, _, name = test.partition("::")
            if not (ROOT / path).is_file() or name not in functions(ROOT / path):
                missing.append(f"{row.id}: {test}")
    return missing


def missing_files(rows: list[Row]) -> list[str]:
    """Files named in backticks, by their path from the top, that are not there."""
    named = [(row.id, name) for row in rows for name in re.findall(r"`([\w./*-]+/[\w./*-]*)`", row.where)]
    return [f"{row_id}: {name}" for row_id, name in named if not name.startswith("/") and not list(ROOT.glob(name))]


def missing_names(rows: list[Row]) -> list[str]:
    """Modules and attributes named in backticks that are not there."""
    named = [
        (row.id, name) for row in rows for name in re.findall(r"`((?:bmad_\w+|PerformanceMonitor)\.[\w.]+)`", row.where)
    ]
    return [f"{row_id}: {name}" for row_id, name in named if not is_there(name)]


def is_there(name: str) -> bool:
    *path, last = (name if name.startswith("bmad_") else f"bmad_otel.{name}").split(".")
    # a drop-in registers profiles when it is imported: of a module it is enough that it can be found
    if importlib.util.find_spec(path[0]) is None:
        return False
    found: object = importlib.import_module(path[0])
    for count, part in enumerate(path[1:], 2):
        if inspect.ismodule(found) and importlib.util.find_spec(".".join(path[:count])) is not None:
            found = importlib.import_module(".".join(path[:count]))
        else:
            found = getattr(found, part, None)
    return hasattr(found, last) or (
        inspect.ismodule(found) and importlib.util.find_spec(f"{'.'.join(path)}.{last}") is not None
    )


def test_every_promise_has_one_row() -> None:
    assert sum(count for _, count in SECTIONS.values()) == 186
    assert [row.id for row in ITEMS] == ids()
    assert len(set(ids())) == 186


def test_every_promise_is_proved_or_on_its_way() -> None:
    for row in ITEMS:
        assert row.text, row.id
        assert bool(row.where) == bool(row.tests), f"{row.id}: a place needs a test and a test its place"
        assert row.tests or row.later, row.id
        assert row.later in ("", *LATER), row.id


def test_most_promises_are_kept() -> None:
    assert Counter(bool(row.tests) for row in ITEMS)[True] >= 150


def test_every_defect_is_shown_not_to_be_repeated() -> None:
    assert [row.id for row in FOUND_DEFECTS] == [str(number) for number in range(1, DEFECTS + 1)]
    for row in FOUND_DEFECTS:
        assert row.text, row.id
        assert row.where, row.id
        assert row.tests, row.id


@pytest.mark.parametrize("rows", [ITEMS, FOUND_DEFECTS], ids=["mission", "defects"])
def test_what_is_named_exists(rows: list[Row]) -> None:
    assert missing_tests(rows) == []
    assert missing_files(rows) == []
    assert missing_names(rows) == []
