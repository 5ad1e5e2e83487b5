"""A YAML document as a tree in which every value knows the file and line it came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bmad_processor.errors import Problem

from .hidden import without_password

Path = tuple[str | int, ...]
"""Keys and list positions from the top of a document to a value."""

Scalar = str | int | float | bool | None

MAX_SHOWN: Final = 80
"""Characters of a bad value that a message shows; enough to recognise it, and an error stays one line."""


@dataclass(frozen=True, slots=True)
class Node:
    """One value with its origin. Lines are 1-based."""

    value: dict[str, Node] | list[Node] | Scalar
    file: str
    line: int
    """Where the value begins."""
    key_line: int
    """Where its key stands; for list items and the top the same as `line`."""
    text: str | None = None
    """What a whole-scalar expansion was before it was read as a number or boolean; None for everything else."""
    is_hidden: bool = False
    """Whether it came from a file, or from a variable that sounds like a secret, and must not be shown."""


def plain(node: Node) -> Any:
    """The bare data of ``node``: dicts, lists and scalars."""
    match node.value:
        case dict() as entries:
            return {key: plain(child) for key, child in entries.items()}
        case list() as items:
            return [plain(item) for item in items]
        case scalar:
            return scalar


def child(node: Node, part: str | int) -> Node | None:
    """The value at one key or list position; None when there is none."""
    match node.value:
        case dict() as entries:
            return entries.get(part) if isinstance(part, str) else None
        case list() as items:
            return items[part] if isinstance(part, int) and 0 <= part < len(items) else None
        case _:
            return None


def find(node: Node, path: Path) -> Node | None:
    """The value at ``path``; None when there is none."""
    found: Node | None = node
    for part in path:
        if found is None:
            return None
        found = child(found, part)
    return found


def nearest(node: Node, path: Path) -> Node:
    """The value at ``path``, or the innermost one around it that was written down."""
    for part in path:
        found = child(node, part)
        if found is None:
            return node
        node = found
    return node


def entries(node: Node | None) -> Iterator[tuple[str, Node]]:
    """Keys and values of a mapping; nothing for anything else."""
    if node is not None and isinstance(node.value, dict):
        yield from node.value.items()


def items(node: Node | None) -> Iterator[tuple[int, Node]]:
    """Positions and values of a list; nothing for anything else."""
    if node is not None and isinstance(node.value, list):
        yield from enumerate(node.value)


def problem(root: Node, path: Path, message: str, expected: str = "", *, at_key: bool = False) -> Problem:
    """A problem at ``path`` of the document, with the file and line of what was written there or around it."""
    message, expected = printable(message), printable(expected)  # both may name keys of the user
    node = find(root, path)
    if node is None:
        outer = nearest(root, path)
        return Problem(outer.file, outer.key_line, render_path(path), message, expected)
    return Problem(node.file, node.key_line if at_key else node.line, render_path(path), message, expected)


def render_path(path: Path) -> str:
    """``receivers::otlp::protocols``, with control characters in keys escaped."""
    return "::".join(_shorten(printable(str(part))) for part in path)


def printable(text: str) -> str:
    """``text`` on one line and without control characters."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def show(value: object) -> str:
    """A value as a message shows it: as it stands in YAML, at most `MAX_SHOWN` characters."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case str():
            return f"'{_shorten(printable(without_password(value)))}'"
        case _:
            return _shorten(_number(value))


def _number(value: object) -> str:
    try:
        return str(value)
    except ValueError:  # an integer of more digits than Python converts
        return "a number of thousands of digits"


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."
