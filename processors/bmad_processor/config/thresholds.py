"""Thresholds of a profile: units per metric type, their order, and how layers of them are merged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from pydantic_core import PydanticCustomError

from bmad_processor.errors import Problem
from bmad_processor.fields import parse_duration, parse_ratio, parse_size
from bmad_processor.layering import Levels, is_ordered
from bmad_processor.metric_types import (
    CPU_USAGE,
    CUSTOM_PREFIX,
    MEMORY_BYTES,
    MEMORY_USAGE,
    METRIC_TYPES,
    Direction,
    metric_type,
    render,
)
from bmad_processor.model import Level

from .complaints import unknown_key
from .directions import DIRECTION, Directions, direction_of, read_directions
from .tree import Node, Path, Scalar, entries, find, problem, show

_LEVELS: Final = {level.label: level for level in Level}

EXPECTED: Final = {
    "1": "a share such as 60%, or 0 to 1",
    "s": "a duration such as 3s or 500ms, or a number of seconds",
    "By": "a size such as 512 MiB, or a number of bytes",
    "By/s": "bytes per second such as 50MiB or 50MiB/s",
    "": "a number, 0 or more",
}
"""What a threshold of a unit may look like."""

_MEMORY_EXPECTED: Final = "a share such as 60%, or 0 to 1, or a size such as 512 MiB"
_CPU_EXPECTED: Final = "a share of one core such as 60% or 150%, or 0 to 1"


def expected_value(name: str) -> str:
    """What a threshold of metric type ``name`` may look like, in words."""
    if name == CPU_USAGE:
        return _CPU_EXPECTED
    if name == MEMORY_USAGE:
        return _MEMORY_EXPECTED
    return EXPECTED[""] if name.startswith(CUSTOM_PREFIX) else EXPECTED.get(metric_type(name).unit, EXPECTED[""])


def parse_value(name: str, value: Scalar) -> float | None:
    """A threshold of metric type ``name`` in its base unit; None when it is not understood."""
    unit = "" if name.startswith(CUSTOM_PREFIX) else metric_type(name).unit
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        match unit:
            case "1" if name == CPU_USAGE and isinstance(value, str) and value.strip().endswith("%"):
                # one core is 100 %, so an agent on several cores may be meant to use more
                result = float(value.strip()[:-1]) / 100
            case "1":
                result = parse_ratio(value)
            case "s" if number is None:
                result = parse_duration(value) / 1e9
            case "By" if number is None:
                result = float(parse_size(value))
            case "By/s" if number is None:
                result = float(parse_size(value.strip().removesuffix("/s") if isinstance(value, str) else value))
            case _ if number is not None:
                result = number
            case _:
                return None
    except (PydanticCustomError, ValueError, OverflowError):
        return None
    return result if math.isfinite(result) and result >= 0 else None


def read_thresholds(root: Node, path: Path) -> tuple[dict[str, dict[Level, float | None]], list[Problem]]:
    """The ``thresholds`` block of one profile file, and what is wrong with it."""
    found: dict[str, dict[Level, float | None]] = {}
    directions, problems = read_directions(root, path)
    for name, levels in entries(find(root, path)):
        where = (*path, name)
        custom = name.startswith(CUSTOM_PREFIX) and len(name) > len(CUSTOM_PREFIX)
        if name not in METRIC_TYPES and not custom:
            message, expected = unknown_key(name, tuple(METRIC_TYPES))
            message = message.replace("unknown key", "unknown metric type", 1)
            problems.append(problem(root, where, message, f"{expected}, or custom:<name>", at_key=True))
            continue
        if not isinstance(levels.value, dict):
            problems.append(problem(root, where, f"{show(levels.value)} is not understood", "a mapping of levels"))
            continue
        found[name] = {}
        for label, node in entries(levels):
            if label == DIRECTION:
                continue
            if (level := _LEVELS.get(label)) is None:
                message, expected = unknown_key(label, (*_LEVELS, DIRECTION))
                message = message.replace("unknown key", "unknown level", 1)
                problems.append(problem(root, (*where, label), message, expected, at_key=True))
            elif node.value is None:
                found[name][level] = None
            else:
                unit_of = MEMORY_BYTES if name == MEMORY_USAGE and is_size(node.value) else name
                value = None if isinstance(node.value, dict | list) else parse_value(unit_of, node.value)
                if value is None:
                    message = f"{show(node.value)} is not understood"
                    problems.append(problem(root, (*where, label), message, expected_value(name)))
                else:
                    found[name][level] = value
    problems += _move_sizes(root, path, found)
    for name, of_type in found.items():
        written_at = name if find(root, (*path, name)) is not None else MEMORY_USAGE
        problems += _check_order(root, (*path, written_at), name, of_type, directions)
    return found, problems


def _move_sizes(root: Node, path: Path, found: dict[str, dict[Level, float | None]]) -> Iterator[Problem]:
    """Thresholds of ``memory_usage`` written as sizes become thresholds of ``memory_bytes``.

    A level is one threshold, whatever its unit: the file that sets it in one unit takes away what a file below has set
    in the other.
    """
    share, size = found.get(MEMORY_USAGE, {}), dict(found.get(MEMORY_BYTES, {}))
    for label, node in entries(find(root, (*path, MEMORY_USAGE))):
        level = _LEVELS.get(label)
        if level is None or level not in share:
            continue
        if not is_size(node.value):
            if MEMORY_BYTES not in found:
                size[level] = None
        elif level in found.get(MEMORY_BYTES, {}):
            message = f"{show(node.value)} is a threshold of {MEMORY_BYTES}, which has one of its own"
            yield problem(root, (*path, MEMORY_USAGE, label), message)
        else:
            size[level], share[level] = parse_value(MEMORY_BYTES, node.value), None  # type: ignore[arg-type]
    if size:
        found[MEMORY_BYTES] = size


def is_size(value: object) -> bool:
    """Whether a threshold of memory is written in bytes: it has a unit, and not the percent sign."""
    if not isinstance(value, str) or value.strip().endswith("%"):
        return False
    try:
        parse_size(value)
    except PydanticCustomError:
        return False
    return True


def _check_order(root: Node, where: Path, name: str, levels: Levels, directions: Directions) -> Iterator[Problem]:
    written = sorted((level, value) for level, value in levels.items() if value is not None)
    for (low, low_value), (high, high_value) in pairwise(written):
        direction = direction_of(name, directions)
        if not is_ordered(direction, low_value, high_value):
            worse = "above" if direction is Direction.HIGH_IS_BAD else "below"
            better = "below" if worse == "above" else "above"
            yield problem(
                root, (*where, high.label),
                f"{high.label} {render(name, high_value)} is {better} {low.label} {render(name, low_value)}",
                f"{high.label} at or {worse} {low.label}",
            )  # fmt: skip
