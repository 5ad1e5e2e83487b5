"""Changes single values in the text of a profile file and leaves every other character as it is.

The text is not dumped anew: a value is replaced where ruamel.yaml's composer says that it stands, so comments, order,
quotes, indentation and line ends survive by themselves. Afterwards the result is read again and compared with what was
wanted; text that is written too cleverly for that (a value shared through an alias) is refused, never damaged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode

from bmad_processor.errors import ConfigError, Problem
from bmad_processor.model import Level

from .profile_patch import Inherit, KeyPath, ProfilePatch
from .tree import Scalar, plain, render_path
from .yaml_source import parse_scalar, parse_yaml

_PLAIN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._%/+-]*[A-Za-z0-9._%/+-])?|custom:[A-Za-z0-9._-]+")
"""Texts that mean themselves without quotes, in braces too."""

_LEVELS: Final = tuple(level.label for level in Level)


def new_profile(agent: str) -> str:
    """The text of a profile that changes nothing yet."""
    # a dollar sign would be an expansion when the file is read
    return f"agent: {render_scalar(agent.replace('$', '$$'))}\n"


def edit_text(text: str, name: str, patch: ProfilePatch, *, replace: bool = False) -> str:
    """``text`` of the file called ``name`` with the changes of ``patch`` in it.

    ``replace`` takes away everything the profile has said before. Raises ConfigError when the text cannot be read or
    the change cannot be made without touching something else.
    """
    bom, text = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    wanted = _values(text, name)
    steps: dict[KeyPath, Scalar | Inherit] = {}
    if replace:
        steps = {path: Inherit.INHERIT for path in _leaves(wanted) if path[0] not in ("agent", "group")}
    for path, wish in patch.wishes.items():
        steps[path] = wish if isinstance(wish, Inherit) else patch.written(path, _scalar_at(wanted, path))
    # what goes away goes first, so that an emptied mapping is not mistaken for one that is there
    for path, wish in sorted(steps.items(), key=lambda step: not isinstance(step[1], Inherit)):
        if isinstance(wish, Inherit):
            _forget(wanted, path)
            text = _remove(text, path)
        else:
            _put(wanted, path, wish)
            text = _set(text, path, wish)
    if _values(text, name) != wanted:
        where = render_path(next(iter(patch.wishes), ()))
        message = "cannot be changed without touching other values, perhaps because of an alias"
        raise ConfigError([Problem(name, 0, where, message, "an edit by hand")])
    return bom + text


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


# The values -----------------------------------------------------------------------------------------------------------


def _values(text: str, name: str) -> dict[str, Any]:
    """The bare data, without mappings that have nothing in them."""
    root, problems = parse_yaml(text, name)
    if root is None or problems:
        raise ConfigError(problems)
    data = plain(root)
    assert isinstance(data, dict)
    return _without_empty(data)


def _without_empty(data: dict[str, Any]) -> dict[str, Any]:
    # `thresholds:` with nothing behind it is an empty block; a level that is null is a value
    inner = {key: _without_empty(item) if isinstance(item, dict) else item for key, item in data.items()}
    return {key: item for key, item in inner.items() if item != {} and not (item is None and key in _BLOCKS)}


_BLOCKS: Final = ("thresholds", "scaling")


def _leaves(data: Mapping[str, Any], path: KeyPath = ()) -> Iterable[KeyPath]:
    for key, item in data.items():
        if isinstance(item, dict):
            yield from _leaves(item, (*path, key))
        else:
            yield (*path, key)


def _scalar_at(data: Any, path: KeyPath) -> Scalar:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data if isinstance(data, str | int | float | bool) else None


def _put(data: dict[str, Any], path: KeyPath, value: Scalar) -> None:
    for part in path[:-1]:
        if not isinstance(data.get(part), dict):
            data[part] = {}
        data = data[part]
    data[path[-1]] = value


def _forget(data: dict[str, Any], path: KeyPath) -> None:
    key, *rest = path
    inner = data.get(key)
    if rest and isinstance(inner, dict):
        _forget(inner, tuple(rest))
        if not inner:
            del data[key]
    elif not rest:
        data.pop(key, None)


# The text -------------------------------------------------------------------------------------------------------------


def _compose(text: str) -> MappingNode | None:
    top = YAML(typ="safe", pure=True).compose(text)
    return top if isinstance(top, MappingNode) else None


def _entry(node: Any, key: str) -> tuple[Any, Any] | None:
    """Key and value node of an entry that is written in this mapping itself, not brought by ``<<``."""
    if not isinstance(node, MappingNode):
        return None
    return next(((k, v) for k, v in node.value if isinstance(k, ScalarNode) and k.value == key), None)


def _set(text: str, path: KeyPath, value: Scalar) -> str:
    node: Any = _compose(text)
    if node is None:
        return text + ("" if not text or text.endswith("\n") else "\n") + _block(path, value, 0, "\n")
    for depth, key in enumerate(path):
        found = _entry(node, key)
        if found is None:
            return _insert(text, node, path[depth:], value, is_level=depth == 2)
        above, node = node, found[1]
        if depth < len(path) - 1 and not isinstance(node, MappingNode):
            # `thresholds:` with nothing behind it: the entry is written anew
            without = _cut(text, above, found)
            return _set(without, path, value)
    start, end = node.start_mark.index, node.end_mark.index
    if not isinstance(node, ScalarNode):
        return text
    shown = render_scalar(value, node.style if node.style in ("'", '"') else None)
    if start == end:
        return _fill_empty(text, found[0].end_mark.index, shown) if found else text
    return text[:start] + shown + text[end:]


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
    break_before = "" if text[:at].endswith("\n") else newline
    return text[:at] + break_before + gap + _block(path, value, column, newline) + text[at:]


def _block(path: KeyPath, value: Scalar, column: int, newline: str) -> str:
    """Lines of a new entry in a block; the levels of a metric type in braces, as in the files that ship."""
    key, *rest = path
    indent = " " * column
    if not rest:
        return f"{indent}{render_scalar(key)}: {render_scalar(value)}{newline}"
    if len(rest) == 1 and key not in _BLOCKS:
        return f"{indent}{render_scalar(key)}: {{{_flow(tuple(rest), value)}}}{newline}"
    return f"{indent}{render_scalar(key)}:{newline}{_block(tuple(rest), value, column + 2, newline)}"


def _flow(path: KeyPath, value: Scalar) -> str:
    key, *rest = path
    return f"{render_scalar(key)}: " + (f"{{{_flow(tuple(rest), value)}}}" if rest else render_scalar(value))


def _remove(text: str, path: KeyPath) -> str:
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
