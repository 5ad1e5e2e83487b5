"""Changes single values in the text of a profile file and leaves every other character as it is.

The text is not dumped anew: a value is replaced where ruamel.yaml's composer says that it stands, so comments, order,
quotes, indentation and line ends survive by themselves. Afterwards the result is read again and compared with what was
wanted; text that is written too cleverly for that (a value shared through an alias) is refused, never damaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bmad_processor.errors import ConfigError, Problem
from bmad_processor.metric_types import MEMORY_BYTES, MEMORY_USAGE

from .profile_patch import Inherit, ProfilePatch
from .thresholds import is_size
from .tree import Scalar, plain, render_path
from .yaml_edit import BLOCKS, KeyPath, remove_value, render_scalar, set_value
from .yaml_source import parse_yaml


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
        at = _where_written(wanted, path)
        steps[at] = wish if isinstance(wish, Inherit) else patch.written(path, _scalar_at(wanted, at))
    # what goes away goes first, so that an emptied mapping is not mistaken for one that is there
    for path, wish in sorted(steps.items(), key=lambda step: not isinstance(step[1], Inherit)):
        if isinstance(wish, Inherit):
            _forget(wanted, path)
            text = remove_value(text, path)
        else:
            _put(wanted, path, wish)
            text = set_value(text, path, wish)
    if _values(text, name) != wanted:
        where = render_path(next(iter(patch.wishes), ()))
        message = "cannot be changed without touching other values, perhaps because of an alias"
        raise ConfigError([Problem(name, 0, where, message, "an edit by hand")])
    return bom + text


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
    return {key: item for key, item in inner.items() if item != {} and not (item is None and key in BLOCKS)}


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


def _where_written(data: Any, path: KeyPath) -> KeyPath:
    """Memory in bytes may stand under ``memory_usage``, as a size; it is changed there then."""
    if path[:2] != ("thresholds", MEMORY_BYTES):
        return path
    shared = ("thresholds", MEMORY_USAGE, *path[2:])
    return shared if is_size(_scalar_at(data, shared)) else path


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
