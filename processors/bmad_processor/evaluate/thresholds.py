"""Judges a measured value by the thresholds of its profile."""

from __future__ import annotations

from collections.abc import Mapping

from bmad_processor.metric_types import ERROR_RATE, SUCCESS_RATE, Direction, metric_type
from bmad_processor.model import Level, Measured, Verdict
from bmad_processor.settings import Bounds, EngineSettings


def is_judgeable(measured: Measured, settings: EngineSettings) -> bool:
    """Whether the value rests on enough: one failed task of one is no error rate."""
    return measured.metric_type not in (ERROR_RATE, SUCCESS_RATE) or measured.n >= settings.min_tasks


def is_beyond(value: float, bounds: Bounds | None) -> bool:
    """Whether ``value`` breaches any level: quickly false for nearly all values of nearly all series."""
    return bounds is not None and bounds.sign * value > bounds.first


def judge(
    measured: Measured,
    thresholds: Mapping[Level, float],
    *,
    clear_margin_ratio: float,
    direction: Direction | None = None,
    baseline: float | None = None,
    score: float | None = None,
) -> Verdict:
    """The highest breached level, and the highest one that is not cleared yet (threshold less the margin).

    ``direction`` is by default that of the metric type.
    """
    direction = direction or metric_type(measured.metric_type).direction
    sign = -1.0 if direction is Direction.LOW_IS_BAD else 1.0
    value = sign * measured.value
    level = held = None
    for candidate, threshold in thresholds.items():
        if value > sign * threshold and (level is None or candidate > level):
            level = candidate
        if value > sign * threshold - clear_margin_ratio * abs(threshold) and (held is None or candidate > held):
            held = candidate
    return Verdict(
        metric_type=measured.metric_type,
        value=measured.value,
        n=measured.n,
        level=level,
        threshold=None if level is None else thresholds[level],
        held_level=held,
        baseline=baseline,
        score=score,
    )
