"""Checks one block against its ``Config`` class and says what is wrong in the user's words.

pydantic finds the problems; its messages, its type names and the extra parts it puts into locations (union branches,
``[key]``) stay here.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from bmad_processor.errors import Problem
from bmad_processor.fields import Config

from .describe import allowed_keys, bounds_at, expected_at, is_secret_at
from .hidden import is_secret_place
from .tree import Node, Path, child, find, plain, problem, show

C = TypeVar("C", bound=Config)

_UNKNOWN: Final = "extra_forbidden"
_MISSING: Final = "missing"
_RANGE: Final = {"greater_than", "greater_than_equal", "less_than", "less_than_equal"}


@dataclass(frozen=True, slots=True)
class _Complaint:
    path: Path
    kind: str
    message: str
    expected: str
    is_branch: bool
    """Whether pydantic was trying one branch of a union."""


def check(model: type[C], root: Node, path: Path) -> tuple[C | None, list[Problem]]:
    """The block at ``path`` of ``root`` as a ``model``, and every problem in it.

    When nothing but unknown keys is wrong the block is still returned, without them, so that what depends on it can be
    checked in the same run. Otherwise None.
    """
    node = find(root, path)
    data = None if node is None else plain(node)
    config, errors = _validate(model, data)
    if node is not None and _restore_texts(data, node, errors):
        config, errors = _validate(model, data)
    complaints = _settle([_understand(model, node, entry) for entry in errors])
    if complaints and all(complaint.kind == _UNKNOWN for complaint in complaints):
        for complaint in complaints:
            _forget(data, complaint.path)
        config, _ = _validate(model, data)
    return config, [
        problem(root, (*path, *c.path), c.message, c.expected, at_key=c.kind in (_UNKNOWN, _MISSING))
        for c in complaints
    ]


def _validate(model: type[C], data: Any) -> tuple[C | None, list[Any]]:
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, error.errors(include_url=False)
    except OverflowError:  # 400 digits before a unit; nothing says where, and nobody means it
        message = "a number in here is too large"
        return None, [{"type": "value", "loc": (), "msg": message, "input": data}]


def _forget(data: Any, path: Path) -> None:
    for part in path[:-1]:
        data = data[part]
    del data[path[-1]]


def unknown_key(key: str, known: tuple[str, ...]) -> tuple[str, str]:
    """Message and expectation for a key (or id) that nobody knows."""
    near = difflib.get_close_matches(key.lower(), known, n=1)
    hint = f", did you mean {near[0]}?" if near else ""
    return f"unknown key {show(key)}{hint}", one_of(known)


def one_of(known: tuple[str, ...] | list[str]) -> str:
    """``one of a, b, c`` in the given order."""
    if not known:
        return "nothing here"
    return known[0] if len(known) == 1 else "one of " + ", ".join(known)


def _restore_texts(data: Any, node: Node, errors: list[Any]) -> bool:
    """Puts the original text of expansions back where text is wanted: an API key ``1234`` is not a number."""
    restored = False
    for entry in errors:
        path, _ = _clean(node, entry["loc"], entry["type"])
        found = find(node, path)
        if entry["type"] == "string_type" and found is not None and found.text is not None and path:
            holder = data
            for part in path[:-1]:
                holder = holder[part]
            holder[path[-1]] = found.text
            restored = True
    return restored


def _clean(node: Node | None, loc: tuple[str | int, ...], kind: str) -> tuple[Path, bool]:
    """The part of a pydantic location that was written in the file (or should have been, when it is missing)."""
    path: list[str | int] = []
    is_branch = False
    for position, part in enumerate(loc):
        following = None if node is None else child(node, part)
        if following is not None:
            node = following
            path.append(part)
        elif position == len(loc) - 1 and kind == _MISSING:
            path.append(part)
        else:
            is_branch = True
    return tuple(path), is_branch


def _understand(model: type[Config], node: Node | None, entry: Mapping[str, Any]) -> _Complaint:
    kind: str = entry["type"]
    context: Mapping[str, Any] = entry.get("ctx") or {}
    path, is_branch = _clean(node, entry["loc"], kind)
    if isinstance(named := context.get("field"), str):
        path = (*path, named)
    found = None if node is None else find(node, path)
    value = found.value if found is not None else entry["input"]
    is_hidden = (
        is_secret_at(model, path)
        or (is_secret_place(path) and not isinstance(value, dict | list | None))
        or (found is not None and found.is_hidden)
    )
    shown = "what is written here" if is_hidden else show(value)
    expected = str(context.get("expected", "")) or expected_at(model, path)
    if kind == _UNKNOWN:
        message, expected = unknown_key(str(path[-1] if path else ""), allowed_keys(model, path[:-1]))
    elif kind == _MISSING:
        message = "is missing"
    elif kind in _RANGE:
        message = f"{shown} is out of range"
        expected = bounds_at(model, path) or expected
    elif kind in ("value_error", "assertion_error"):
        message = str(context.get("error", entry["msg"]))
    elif kind == "value":
        said = str(entry["msg"])  # a refusal of ours: either what the value is not, or a sentence of its own
        before = "" if found is None else f"{shown} "
        message = f"{before}is {said}" if said.startswith("not ") else said
    else:
        message = f"{shown} is not understood"
        expected = expected or _expected_of(kind) or str(entry["msg"])
    return _Complaint(path, kind, message, expected, is_branch)


def _expected_of(kind: str) -> str:
    words = {
        "string": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list",
        "tuple": "a list", "set": "a list", "dict": "a mapping", "model": "a mapping", "mapping": "a mapping",
        "model_attributes": "a mapping", "dataclass": "a mapping", "none_required": "nothing",
    }  # fmt: skip
    return words.get(kind.rsplit("_", 1)[0], "")


def _settle(complaints: list[_Complaint]) -> list[_Complaint]:
    """One complaint per place: of a union, the branch that got furthest, or all that it would have taken."""
    by_path: dict[Path, _Complaint] = {}
    for complaint in complaints:
        deeper = any(
            len(other.path) > len(complaint.path) and other.path[: len(complaint.path)] == complaint.path
            for other in complaints
        )
        if complaint.is_branch and deeper:
            continue
        first = by_path.get(complaint.path)
        if first is None:
            by_path[complaint.path] = complaint
        elif complaint.expected and complaint.expected not in first.expected:
            joined = f"{first.expected} or {complaint.expected}" if first.expected else complaint.expected
            by_path[complaint.path] = replace(first, expected=joined)
    return list(by_path.values())
