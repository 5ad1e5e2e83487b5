"""Sets and removes single values in the text of a YAML file, where ruamel.yaml's composer says that they stand.

New entries are written as the profile files that ship are: blocks with two spaces, the levels of a metric type in
braces and in their order.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode

from bmad_processor.model import Level

from .tree import Scalar
from .yaml_source import parse_scalar

KeyPath = tuple[str, ...]
"""Keys from the top of a file to a value: ``("thresholds", "cpu_usage", "warning")``."""

BLOCKS: Final = ("thresholds", "scaling")
"""Keys whose mapping stands in lines of its own, and may be empty."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._%/+-]*[A-Za-z0-9._%/+-])?|custom:[A-Za-z0-9._-]+")
"""Texts that mean themselves without quotes, in braces too."""

_LEVELS: Final = tuple(level.label for level in Level)


def render_scalar(value: Scalar, style: str | None = None) -> str:
    """``value`` as YAML; ``style`` is the quote it stood in before."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            if style == "'" and value.isprintable():
                return "'" + value.replace("'", "''") + "'"
            is_plain = style != '"' and _PLAIN.fullmatch(value) is not None and parse_scalar(value) == value
            return value if is_plain else json.dumps(value, ensure_ascii=not value.isprintable())
    return repr(value)


def _compose(text: str) -> MappingNode | None:
    top = YAML(typ="safe", pure=True).compose(text)
    return top if isinstance(top, MappingNode) else None


def _entry(node: Any, key: str) -> tuple[Any, Any] | None:
    """Key and value node of an entry that is written in this mapping itself, not brought by ``<<``."""
    if not isinstance(node, MappingNode):
        return None
    return next(((k, v) for k, v in node.value if isinstance(k, ScalarNode) and k.value == key), None)


def set_value(text: str, path: KeyPath, value: Scalar) -> str:
    """``text`` with ``value`` at ``path``, whether there is something already or not."""
    node: Any = _compose(text)
    if node is None:
        return _add_lines(text, len(text), _block(path, value, 0, "\n"))
    for depth, key in enumerate(path):
        found = _entry(node, key)
        if found is None:
            return _insert(text, node, path[depth:], value, is_level=depth == 2)
        if depth < len(path) - 1 and not isinstance(found[1], MappingNode):
            return _set_in_nothing(text, node, found, path, depth, value)
        node = found[1]
        key_end = found[0].end_mark.index
    if not isinstance(node, ScalarNode):
        return text
    start, end = node.start_mark.index, node.end_mark.index
    shown = render_scalar(value, node.style if node.style in ("'", '"') else None)
    return _fill_empty(text, key_end, shown) if start == end else text[:start] + shown + text[end:]


def _set_in_nothing(
    text: str, holder: MappingNode, entry: tuple[Any, Any], path: KeyPath, depth: int, value: Scalar
) -> str:
    """`thresholds:` with nothing behind it, or null, becomes a mapping."""
    key, node = entry
    start, end = node.start_mark.index, node.end_mark.index
    if holder.flow_style:
        return set_value(_cut(text, holder, entry), path, value)
    if start != end:
        return set_value(text[:start].rstrip(" ") + text[end:], path, value)
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = _block(path[depth:], value, key.start_mark.column, newline).split(newline, 1)
    if not lines[1]:  # the levels of a metric type, which a new entry has in braces
        return _fill_empty(text, key.end_mark.index, lines[0].split(": ", 1)[1])
    return _add_lines(text, _line_end(text, key.end_mark.index), lines[1])


def _add_lines(text: str, at: int, lines: str) -> str:
    """``lines`` before the line that begins at ``at``, or behind the last one."""
    newline = "\r\n" if "\r\n" in text else "\n"
    return text[:at] + ("" if not text[:at] or text[:at].endswith("\n") else newline) + lines + text[at:]


def _fill_empty(text: str, key_end: int, shown: str) -> str:
    """Puts a value behind a key that has none."""
    colon = text.index(":", key_end)
    rest = text[colon + 1 :]
    return text[: colon + 1] + " " + shown + ("" if not rest or rest[0] in " \t\r\n,}" else " ") + rest


def _insert(text: str, node: MappingNode, path: KeyPath, value: Scalar, *, is_level: bool) -> str:
    """A new entry in ``node``."""
    newline = "\r\n" if "\r\n" in text else "\n"
    if node.flow_style:
        entry = _flow(path, value)
        if not node.value:
            at = node.start_mark.index + 1
            return text[:at] + entry + text[at:]
        if is_level and path[0] in _LEVELS:
            later = _LEVELS[_LEVELS.index(path[0]) + 1 :]
            following = next((k for k, _ in node.value if k.value in later), None)
            if following is not None:
                at = following.start_mark.index
                return f"{text[:at]}{entry}, {text[at:]}"
        at = _end(node.value[-1][1], node.value[-1][0], text)
        return f"{text[:at]}, {entry}{text[at:]}"
    column = node.value[0][0].start_mark.column
    at = _line_end(text, _end(node.value[-1][1], node.value[-1][0], text))
    while (below := _comment_below(text, at, column)) is not None:
        at = below
    gap = newline if column == 0 and len(path) > 1 else ""
    return _add_lines(text, at, gap + _block(path, value, column, newline))


def _block(path: KeyPath, value: Scalar, column: int, newline: str) -> str:
    """Lines of a new entry in a block; the levels of a metric type in braces, as in the files that ship."""
    key, *rest = path
    indent = " " * column
    if not rest:
        return f"{indent}{render_scalar(key)}: {render_scalar(value)}{newline}"
    if len(rest) == 1 and key not in BLOCKS:
        return f"{indent}{render_scalar(key)}: {{{_flow(tuple(rest), value)}}}{newline}"
    return f"{indent}{render_scalar(key)}:{newline}{_block(tuple(rest), value, column + 2, newline)}"


def _flow(path: KeyPath, value: Scalar) -> str:
    key, *rest = path
    return f"{render_scalar(key)}: " + (f"{{{_flow(tuple(rest), value)}}}" if rest else render_scalar(value))


def remove_value(text: str, path: KeyPath) -> str:
    """Takes the entry away, and every mapping around it that has nothing else in it."""
    node: Any = _compose(text)
    above: list[tuple[MappingNode, tuple[Any, Any]]] = []
    for key in path:
        found = _entry(node, key)
        if found is None:
            return text
        above.append((node, found))
        node = found[1]
    for holder, entry in reversed(above):
        if len(holder.value) > 1 or holder is above[0][0]:
            return _cut(text, holder, entry)
    return text


def _cut(text: str, holder: MappingNode, entry: tuple[Any, Any]) -> str:
    key, value = entry
    start, end = key.start_mark.index, _end(value, key, text)
    if not holder.flow_style:
        first = text.rfind("\n", 0, start) + 1
        return text[:first] + text[_line_end(text, end) :]
    after = re.compile(r"\s*,\s*").match(text, end)
    if after is not None:
        return text[:start] + text[after.end() :]
    before = re.compile(r"\s*,\s*$").search(text[:start])
    return (text[: before.start()] if before is not None else text[:start]) + text[end:]


def _end(value: Any, key: Any, text: str) -> int:
    """Where the last character of an entry's value is, not counting what only separates it from the next."""
    if isinstance(value, MappingNode) and not value.flow_style and value.value:
        return _end(value.value[-1][1], value.value[-1][0], text)
    start, end = int(value.start_mark.index), int(value.end_mark.index)
    if start == end:
        return text.index(":", key.end_mark.index) + 1
    return start + len(text[start:end].rstrip())


def _line_end(text: str, at: int) -> int:
    newline = text.find("\n", at)
    return len(text) if newline < 0 else newline + 1


def _comment_below(text: str, at: int, column: int) -> int | None:
    """The end of the line at ``at`` when it is a comment that belongs to the deeper block above it."""
    end = _line_end(text, at)
    line = text[at:end]
    indent = len(line) - len(line.lstrip(" "))
    return end if line.lstrip(" ").startswith("#") and indent > column else None
