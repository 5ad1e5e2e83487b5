"""What the BMAD performance monitor promised and what was wrong with it, and where either is answered here.

`mission.yaml` has the promises, `defects.yaml` the defects, one row each; the page is rendered from them, and
``tests/docs/test_mission.py`` checks that no row is missing or empty and that every file and test named exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

HERE: Final = Path(__file__).parent

SECTIONS: Final[Mapping[str, tuple[str, int]]] = {
    "A": ("Enhanced MCP", 12),
    "B": ("Features", 24),
    "C": ("Parts", 15),
    "D": ("Metric types and alert levels", 17),
    "E": ("Quick start", 4),
    "F": ("Python API", 31),
    "G": ("Command line of the monitor", 13),
    "H": ("Command line of workflows, commands of agents", 13),
    "J": ("Default profiles", 6),
    "K": ("Configuration", 11),
    "M": ("Data structures", 5),
    "N": ("Integration points", 3),
    "P": ("Advanced features", 3),
    "Q": ("Troubleshooting", 4),
    "R": ("Claims", 8),
    "S": ("Planned features", 13),
    "T": ("Support", 4),
}
"""Letter of the ids to title and number of items."""

DEFECTS: Final = 62

LATER: Final = (
    "MCP server", "web page", "Grafana", "Kafka", "richer alert rules", "notifications", "forecasting",
    "trace analytics",
)  # fmt: skip
"""What is not there yet and on its way."""


@dataclass(frozen=True, slots=True)
class Row:
    """One promise or defect."""

    id: str
    text: str
    where: str
    """Where it is here, or how the defect is avoided."""
    tests: tuple[str, ...]
    """``path::function`` of the tests that prove it."""
    later: str
    """One of `LATER` for what is not there yet; with ``where`` and tests beside it, a part of it is."""


def ids() -> list[str]:
    """All ids, in order."""
    found = []
    for letter, (_, count) in SECTIONS.items():
        if letter == "H":
            # eight commands of one program, then those of the agents
            found += [f"H-I{i}" for i in range(1, 9)] + [f"H{i}" for i in range(1, count - 7)]
        else:
            found += [f"{letter}{i}" for i in range(1, count + 1)]
    return found


def items() -> list[Row]:
    """The promises."""
    return [
        Row(_text(row["id"]), _text(row["item"]), _text(row.get("where")), _tests(row), _text(row.get("later")))
        for row in _load("mission.yaml")
    ]


def defects() -> list[Row]:
    """The defects."""
    return [
        Row(_text(row["number"]), _text(row["defect"]), _text(row.get("answer")), _tests(row), "")
        for row in _load("defects.yaml")
    ]


def page(table: Callable[[Sequence[str], Iterable[Sequence[str]]], str], note: str) -> str:
    """The reference page. ``table`` renders rows as Markdown."""
    by_section: dict[str, list[Row]] = {letter: [] for letter in SECTIONS}
    for row in items():
        by_section[row.id[0]].append(row)
    found = [row for rows in by_section.values() for row in rows]
    open_rows = [row for row in found if not row.tests]
    parts = [
        "# What the BMAD performance monitor promised",
        note,
        f"Each of its {len(found)} promises with the place where it is kept here and the test that proves it; "
        f"{len(open_rows)} wait for what is still to come, named in its place. Below are the {DEFECTS} defects that "
        "were found by running it, with the test that shows each is not repeated. Tests are files and functions below "
        "`tests`.",
    ]
    for letter, (title, _) in SECTIONS.items():
        rows = ((row.id, row.text, _place(row), _codes(row.tests)) for row in by_section[letter])
        parts.append(f"## {letter}. {title}\n\n" + table(("id", "promise", "where", "proved by"), rows))
    rows = ((row.id, row.text, row.where, _codes(row.tests)) for row in defects())
    parts.append("## Defects\n\n" + table(("no.", "defect of the original", "here", "shown by"), rows))
    return "\n\n".join(parts) + "\n"


def _place(row: Row) -> str:
    later = f"*later: {row.later}*" if row.later else ""
    return "; ".join(text for text in (row.where, later) if text)


def _codes(tests: Iterable[str]) -> str:
    return ", ".join(f"`{test.removeprefix('tests/')}`" for test in tests)


def _load(name: str) -> list[dict[str, Any]]:
    rows = YAML(typ="safe").load((HERE / name).read_text(encoding="utf-8"))
    assert isinstance(rows, list)
    return rows


def _text(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())


def _tests(row: Mapping[str, Any]) -> tuple[str, ...]:
    named = row.get("test") or ()
    return (_text(named),) if isinstance(named, str) else tuple(map(_text, named))
