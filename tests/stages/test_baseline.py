"""The moving mean and variance against a plain reference."""

from __future__ import annotations

from math import sqrt
from statistics import fmean, pvariance

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_processor import baseline
from bmad_processor.state import Baseline

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


def learned(numbers: list[float], smoothing: float) -> Baseline:
    state = Baseline()
    for number in numbers:
        baseline.learn(state, number, smoothing=smoothing)
    return state


def reference(numbers: list[float], smoothing: float) -> tuple[float, float]:
    """Every value with the weight it has in the end, mean and variance by definition."""
    weights: list[float] = []
    for n in range(1, len(numbers) + 1):
        weight = max(smoothing, 1 / n)
        weights = [old * (1 - weight) for old in weights] + [weight]
    mean = sum(w * x for w, x in zip(weights, numbers, strict=True))
    return mean, sum(w * (x - mean) ** 2 for w, x in zip(weights, numbers, strict=True))


@given(values, st.floats(0.01, 1.0))
@settings(max_examples=150, deadline=None)
def test_against_the_definition(numbers: list[float], smoothing: float) -> None:
    state = learned(numbers, smoothing)
    mean, variance = reference(numbers, smoothing)
    assert state.n == len(numbers)
    assert state.mean == pytest.approx(mean, rel=1e-6, abs=1e-6)
    assert state.variance == pytest.approx(variance, rel=1e-5, abs=1e-3)
    assert state.variance >= 0


def test_the_first_values_count_alike() -> None:
    numbers = [3.0, 5.0, 10.0, 2.0]
    state = learned(numbers, 0.1)
    assert state.mean == pytest.approx(fmean(numbers))
    assert state.variance == pytest.approx(pvariance(numbers))


def test_old_values_fade() -> None:
    assert learned([0.0] * 50 + [10.0] * 50, 0.1).mean == pytest.approx(10.0, rel=0.01)


def test_score_is_in_standard_deviations() -> None:
    state = Baseline(n=20, mean=10.0, variance=4.0)
    assert baseline.score(state, 16.0) == pytest.approx(3.0)
    assert baseline.score(state, 4.0) == pytest.approx(-3.0)
    assert baseline.score(state, 10.0 + sqrt(4.0)) == pytest.approx(1.0)


def test_what_never_varied_has_no_score() -> None:
    assert baseline.score(learned([0.1] * 30, 0.1), 99.0) is None
    assert baseline.score(learned([0.0] * 30, 0.1), 1.0) is None


def test_warm_after_enough_values() -> None:
    assert [baseline.is_warm(Baseline(n=n), warmup=10) for n in (0, 9, 10)] == [False, False, True]
    assert not baseline.is_warm(None, warmup=0)
