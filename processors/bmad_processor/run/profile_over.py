"""A profile that a program gives, laid over the one below it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bmad_processor.metric_types import Direction
from bmad_processor.model import Level
from bmad_processor.settings import Profile


def merged_profile(
    agent: str,
    below: Profile,
    *,
    thresholds: Mapping[str, Mapping[Level, float]],
    scaling: Mapping[str, Any],
    switches: Mapping[str, Any],
) -> Profile:
    """A profile of ``agent`` over ``below``, per metric type and level, and per scaling rule; all in base units.

    A level of ``below`` that contradicts one of ``thresholds`` (an inherited emergency of 95 % beside an own critical
    of 97 %) is left out, as in profile files.
    """
    merged = {name: dict(levels) for name, levels in thresholds.items()}
    for name, levels in below.thresholds.items():
        own = thresholds.get(name, {})
        sign = -1.0 if below.direction_of(name) is Direction.LOW_IS_BAD else 1.0
        kept = {level: value for level, value in levels.items() if level not in own and _fits(sign, level, value, own)}
        merged[name] = dict(sorted({**kept, **own}.items()))
    return replace(below, agent=agent, thresholds=merged, scaling=replace(below.scaling, **scaling), **switches)


def _fits(sign: float, level: Level, value: float, own: Mapping[Level, float]) -> bool:
    return all(sign * (value - limit) * (1 if level > other else -1) >= 0 for other, limit in own.items())
