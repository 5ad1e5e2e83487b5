"""Laying the thresholds of one layer over those of another: profile files, registrations, a program's own profile."""

from __future__ import annotations

from collections.abc import Mapping

from .metric_types import Direction, metric_type
from .model import Level
from .settings import Thresholds

Levels = Mapping[Level, float | None]
"""Level to value in base units; None takes away what a layer below has set."""


def is_ordered(direction: Direction, lower_level: float, higher_level: float) -> bool:
    """Whether the threshold of a higher level is at least as bad as that of a lower one."""
    if direction is Direction.HIGH_IS_BAD:
        return lower_level <= higher_level
    return lower_level >= higher_level


def merge_thresholds(
    below: Thresholds, own: Mapping[str, Levels], directions: Mapping[str, Direction] | None = None
) -> dict[str, dict[Level, float]]:
    """``own`` over ``below``, per metric type and per level. ``directions`` are the merged ones.

    A level that is None in ``own`` is taken away. A level of ``below`` that contradicts the levels of ``own`` (an
    inherited emergency of 95 % beside an own critical of 97 %) is dropped: who sets a level means it, and an inherited
    number must not overrule it.
    """
    merged: dict[str, dict[Level, float]] = {}
    for name in (*below, *(n for n in own if n not in below)):
        mine = own.get(name, {})
        direction = (directions or {}).get(name) or metric_type(name).direction
        result = {level: value for level, value in mine.items() if value is not None}
        for level, value in below.get(name, {}).items():
            if level not in mine and all(_fits(direction, level, value, *pair) for pair in mine.items()):
                result[level] = value
        if result:
            merged[name] = dict(sorted(result.items()))
    return merged


def _fits(direction: Direction, level: Level, value: float, own_level: Level, own_value: float | None) -> bool:
    if own_value is None:
        return True
    return is_ordered(direction, own_value, value) if own_level < level else is_ordered(direction, value, own_value)
