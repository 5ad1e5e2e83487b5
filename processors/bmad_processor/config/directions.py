"""Which side of a metric type's thresholds is bad, where a profile says so: ``thresholds.<metric>.direction``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bmad_processor.errors import Problem
from bmad_processor.metric_types import Direction, metric_type

from .tree import Node, Path, entries, find, problem, show

DIRECTION: Final = "direction"
"""The key among the levels of a metric type."""

Directions = Mapping[str, Direction]
"""Metric type to the side that is bad, of those whose side is written down."""

_VALUES: Final = tuple(direction.value for direction in Direction)


def read_directions(root: Node, path: Path) -> tuple[dict[str, Direction], list[Problem]]:
    """The directions in the ``thresholds`` block of one profile file, and what is wrong with them."""
    found: dict[str, Direction] = {}
    problems: list[Problem] = []
    for name, levels in entries(find(root, path)):
        for label, node in entries(levels):
            if label != DIRECTION:
                continue
            if isinstance(node.value, str) and node.value in _VALUES:
                found[name] = Direction(node.value)
            else:
                message = f"{show(node.value)} is not understood"
                problems.append(problem(root, (*path, name, label), message, " or ".join(_VALUES)))
    return found, problems


def direction_of(name: str, directions: Directions) -> Direction:
    """The side of metric type ``name`` that is bad."""
    return directions.get(name) or metric_type(name).direction
