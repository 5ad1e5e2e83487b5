"""What somebody wants to change in one agent's profile: read from JSON, checked as a profile file is.

The JSON has the keys of a profile file without ``agent`` and ``group``. Numbers are in the units people read (70 is
70 %, 5 is 5 s), texts carry their unit, ``null`` takes a level away, and ``"inherit"`` takes the agent's own value away
so that what lies below counts again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from bmad_processor.errors import Problem
from bmad_processor.layering import Levels
from bmad_processor.metric_types import CUSTOM_PREFIX, METRIC_TYPES, metric_type

from .complaints import unknown_key
from .directions import Directions
from .profiles import Layer, ProfileConfig, read_layer
from .thresholds import parse_value
from .tree import Node, Scalar, problem
from .yaml_edit import KeyPath


class Inherit(Enum):
    """Instead of a value: the agent's own is taken away."""

    INHERIT = "inherit"


Wish = Scalar | Inherit

_OF_THE_FILE: Final = ("agent", "group")
_SHARES: Final = ("cpu_threshold", "memory_threshold")
"""Keys of ``scaling`` that are shares, in percent where people read them."""

_SIZE: Final = r"[\d.]+\s*([KMG]?i?B%s)"

_UNITS: Final = {
    "1": re.compile(r"[\d.]+\s*(%)"),
    "s": re.compile(r"[\d.]+\s*(ns|us|µs|ms|s|m|h|d)"),
    "By": re.compile(_SIZE % "", re.IGNORECASE),
    "By/s": re.compile(_SIZE % "(?:/s)?", re.IGNORECASE),
}
"""How a value in a file shows its unit."""

_HUGE: Final = 1e300
"""No quantity comes near it; beyond floats there is no arithmetic."""

_SUFFIX: Final = {"%": "%", "seconds": "s", "MiB": "MiB"}
"""Display unit to what stands behind a number in a file; the others are written as bare numbers."""


@dataclass(frozen=True, slots=True)
class ProfilePatch:
    """Changes of one agent's profile, each value as it would be written in a file."""

    wishes: Mapping[KeyPath, Wish]
    numbers: frozenset[KeyPath]
    """Those that came as bare numbers, which may take the unit that the file uses."""
    thresholds: Mapping[str, Levels]
    """The thresholds among them, in base units."""
    directions: Directions
    """The directions among them."""

    def written(self, path: KeyPath, old: Scalar) -> Scalar:
        """What to write at ``path`` in place of ``old``; a bare number in the unit of ``old`` where that is exact."""
        wish = self.wishes[path]
        if isinstance(wish, Inherit):
            raise ValueError(f"{path} is to be taken away, not written")
        return _in_unit_of(old, wish, path) if path in self.numbers else wish


def read_patch(agent: str, body: Mapping[str, Any]) -> tuple[ProfilePatch, list[Problem]]:
    """The changes that ``body`` asks for, and everything that is wrong with them by themselves.

    Problems call the place ``profile AGENT`` and have no line.
    """
    wishes: dict[KeyPath, Wish] = {}
    numbers: set[KeyPath] = set()
    tree = _tree(agent, {key: value for key, value in body.items() if key not in _OF_THE_FILE}, wishes, numbers)
    problems = [_not_here(tree, key) for key in _OF_THE_FILE if key in body]
    layer, found = read_layer(_named(tree, agent))
    if layer is None:
        return ProfilePatch(wishes, frozenset(numbers), {}, {}), problems + found
    return ProfilePatch(wishes, frozenset(numbers), layer.thresholds, layer.directions), problems + found


def layer_of(agent: str, wishes: Mapping[KeyPath, Wish]) -> tuple[Layer | None, list[Problem]]:
    """What is registered for an agent, as a layer over its files; None when there is nothing or it is wrong."""
    tree: dict[str, Any] = {}
    for path, wish in wishes.items():
        if isinstance(wish, Inherit):
            continue
        inner = tree
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = wish
    if not tree:
        return None, []
    return read_layer(_named(_tree(agent, tree, {}, set()), agent))


def _named(tree: Node, agent: str) -> Node:
    assert isinstance(tree.value, dict)
    return Node({"agent": Node(agent, tree.file, 0, 0), **tree.value}, tree.file, 0, 0)


def _not_here(tree: Node, key: str) -> Problem:
    message, expected = unknown_key(key, tuple(name for name in ProfileConfig.model_fields if name not in _OF_THE_FILE))
    return problem(tree, (key,), message, expected)


def _tree(agent: str, body: Mapping[str, Any], wishes: dict[KeyPath, Wish], numbers: set[KeyPath]) -> Node:
    """``body`` as the tree of a file, every value as written there; what is to be inherited is left out."""
    file = f"profile {agent}"

    def node(value: Any, path: KeyPath) -> Node:
        match value:
            case Mapping():
                inside = {key: node(item, (*path, key)) for key, item in value.items() if not _asks(item, (*path, key))}
                return Node(inside, file, 0, 0)
            case list() | tuple():
                return Node([node(item, (*path, str(i))) for i, item in enumerate(value)], file, 0, 0)
        written = _written(path, value)
        if written is not value:
            numbers.add(path)
        wishes[path] = written
        return Node(written, file, 0, 0)

    def _asks(item: Any, path: KeyPath) -> bool:
        if item != Inherit.INHERIT.value:
            return False
        wishes[path] = Inherit.INHERIT
        return True

    return node(body, ())


def _written(path: KeyPath, value: Any) -> Any:
    """A number in display units as a file has it: 70 of ``cpu_usage`` is ``70%``. Everything else as it is."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) < _HUGE:  # also not a number, and more digits than a float has
        return value
    unit = _SUFFIX.get(display_unit(path))
    return value if unit is None else _digits(value) + unit


def display_unit(path: KeyPath) -> str:
    """The unit in which people read the value at ``path``; empty for what has none."""
    match path:
        case ("thresholds", name, _) if name in METRIC_TYPES or name.startswith(CUSTOM_PREFIX):
            return metric_type(name).display_unit
        case ("scaling", key) if key in _SHARES:
            return "%"
    return ""


def _digits(number: float) -> str:
    """``number`` without an exponent, which no unit may follow."""
    return format(Decimal(repr(number)).normalize(), "f") if number else "0"


def _in_unit_of(old: Scalar, new: Scalar, path: KeyPath) -> Scalar:
    share = path[0] == "scaling" and path[-1] in _SHARES
    if not share and (path[0] != "thresholds" or path[1] not in METRIC_TYPES):
        return new
    name = "cpu_usage" if share else path[1]
    base = parse_value(name, new)
    if base is None:
        return new
    candidate: Scalar = None
    if isinstance(old, str):
        pattern = _UNITS.get(metric_type(name).unit)
        unit = None if pattern is None else pattern.fullmatch(old.strip())
        if unit is not None and (one := parse_value(name, f"1{unit[1]}")):
            candidate = _digits(round(base / one, 9)) + unit[1]
    elif isinstance(old, int | float) and not isinstance(old, bool):
        candidate = int(base) if base.is_integer() else base
    again = None if candidate is None else parse_value(name, candidate)
    return candidate if again is not None and math.isclose(again, base, rel_tol=1e-12) else new
