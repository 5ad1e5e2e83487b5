"""Judging one value: the highest breached level, and the one that is not cleared yet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_processor import evaluate
from bmad_processor.metric_types import (
    CPU_USAGE,
    ERROR_RATE,
    RESPONSE_TIME,
    SUCCESS_RATE,
    THROUGHPUT,
    Direction,
)
from bmad_processor.model import Level, Measured, Verdict
from bmad_processor.settings import EngineSettings

HIGH = {Level.WARNING: 0.60, Level.CRITICAL: 0.80, Level.EMERGENCY: 0.90}
LOW = {Level.WARNING: 0.90, Level.CRITICAL: 0.80, Level.EMERGENCY: 0.50}


def judge(
    value: float, thresholds: dict[Level, float], metric_type: str = CPU_USAGE, margin: float = 0.05,
    direction: Direction | None = None,
) -> Verdict:  # fmt: skip
    measured = Measured(metric_type, value, 9, True)
    return evaluate.judge(measured, thresholds, clear_margin_ratio=margin, direction=direction)


@pytest.mark.parametrize(
    ("value", "level", "held"),
    [
        (0.0, None, None),
        (0.569, None, None),
        (0.571, None, Level.WARNING),
        (0.60, None, Level.WARNING),
        (0.601, Level.WARNING, Level.WARNING),
        (0.761, Level.WARNING, Level.CRITICAL),
        (0.801, Level.CRITICAL, Level.CRITICAL),
        (0.9, Level.CRITICAL, Level.EMERGENCY),
        (7.0, Level.EMERGENCY, Level.EMERGENCY),
    ],
)
def test_high_is_bad(value: float, level: Level | None, held: Level | None) -> None:
    verdict = judge(value, HIGH)
    assert (verdict.level, verdict.held_level) == (level, held)
    assert verdict.threshold == (None if level is None else HIGH[level])


@pytest.mark.parametrize(
    ("value", "level", "held"),
    [
        (1.0, None, None),
        (0.946, None, None),
        (0.944, None, Level.WARNING),
        (0.90, None, Level.WARNING),
        (0.899, Level.WARNING, Level.WARNING),
        (0.839, Level.WARNING, Level.CRITICAL),
        (0.5, Level.CRITICAL, Level.EMERGENCY),
        (0.0, Level.EMERGENCY, Level.EMERGENCY),
    ],
)
@pytest.mark.parametrize("metric_type", [SUCCESS_RATE, THROUGHPUT])
def test_low_is_bad(metric_type: str, value: float, level: Level | None, held: Level | None) -> None:
    verdict = judge(value, LOW, metric_type)
    assert (verdict.level, verdict.held_level) == (level, held)


def test_without_thresholds_nothing_is_bad() -> None:
    verdict = judge(99.0, {})
    assert (verdict.level, verdict.held_level, verdict.threshold) == (None, None, None)


def test_a_custom_metric_is_judged_like_any_other() -> None:
    assert judge(3.0, {Level.WARNING: 2.0}, "custom:backlog").level is Level.WARNING


@given(
    st.floats(-10, 10),
    st.dictionaries(st.sampled_from(Level), st.floats(-5, 5)),
    st.sampled_from([RESPONSE_TIME, SUCCESS_RATE]),
    st.floats(0, 0.5),
)
def test_what_is_breached_is_not_cleared(
    value: float, thresholds: dict[Level, float], metric_type: str, margin: float
) -> None:
    verdict = judge(value, thresholds, metric_type, margin)
    if verdict.level is not None:
        assert verdict.held_level is not None
        assert verdict.held_level >= verdict.level
    backwards = dict(reversed(thresholds.items()))
    assert judge(value, backwards, metric_type, margin) == verdict


@pytest.mark.parametrize(
    ("metric_type", "n", "is_judgeable"),
    [(ERROR_RATE, 4, False), (ERROR_RATE, 5, True), (SUCCESS_RATE, 4, False), (RESPONSE_TIME, 1, True)],
)
def test_a_rate_needs_enough_tasks(metric_type: str, n: int, is_judgeable: bool) -> None:
    assert evaluate.is_judgeable(Measured(metric_type, 1.0, n, True), EngineSettings(min_tasks=5)) is is_judgeable


@given(st.floats(0, 2), st.sampled_from([CPU_USAGE, SUCCESS_RATE, "custom:x"]))
def test_the_direction_of_a_profile_overrides_that_of_the_table(value: float, name: str) -> None:
    assert judge(value, LOW, name, direction=Direction.LOW_IS_BAD).level == judge(value, LOW, SUCCESS_RATE).level
    assert judge(value, HIGH, name, direction=Direction.HIGH_IS_BAD).level == judge(value, HIGH, CPU_USAGE).level
