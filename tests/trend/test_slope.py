"""Slopes are per time, robust, and no surer of themselves than the values allow."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from bmad_processor.trend import MAX_POINTS, MIN_POINTS, Slope, independent, slope_of

from .series import MINUTE, SECOND, every_minute, of_windows, wandering

HOUR = 60 * MINUTE


def slope(values: list[float]) -> Slope:
    found = slope_of(every_minute(values))
    assert found is not None
    return found


def share_significant(series: list[Slope | None]) -> float:
    return sum(one is not None and one.is_significant for one in series) / len(series)


def test_a_slope_is_per_time_not_per_sample() -> None:
    dense = [(i * MINUTE, 2.0 * i) for i in range(60)]
    sparse = [point for i, point in enumerate(dense) if i % 3 == 0 or i > 50]
    for points in (dense, sparse):
        found = slope_of(points)
        assert found is not None
        assert found.per_ns * HOUR == pytest.approx(120)
        assert found.is_significant


def test_the_points_in_between_count_as_well_as_the_ends() -> None:
    """Rising throughout, but the last value fell to where the first was."""
    values = [float(i) for i in range(30)] + [0.0]
    assert slope(values).per_ns * MINUTE == pytest.approx(1, rel=0.1)


def test_a_quarter_of_wild_values_does_not_move_it_far() -> None:
    rng = random.Random(1)
    values = [i / 10 + rng.gauss(0, 0.1) for i in range(60)]
    for i in rng.sample(range(60), 15):
        values[i] = rng.uniform(-1000, 1000)
    found = slope(values)
    assert found.is_significant
    assert found.per_ns * MINUTE == pytest.approx(0.1, rel=0.3)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1 + 0.2, 1e12])
def test_a_flat_series_has_slope_zero_and_no_trend(value: float) -> None:
    found = slope([value, value * (1 + 1e-15)] * 15)
    assert (found.per_ns, found.low_per_ns, found.high_per_ns) == (0, 0, 0)
    assert not found.is_significant


def test_mostly_equal_values_are_no_trend() -> None:
    """An error rate that is 0 but for two bad minutes."""
    assert not slope([0.0] * 40 + [0.5, 0.2] + [0.0] * 18).is_significant


def test_too_few_points_have_no_slope() -> None:
    assert slope_of(every_minute([float(i) for i in range(MIN_POINTS - 1)])) is None
    assert slope([float(i) for i in range(MIN_POINTS)]).is_significant


@pytest.mark.parametrize("phi", [0.0, 0.3, 0.5, 0.7, 0.8])
@pytest.mark.parametrize("n", [10, 20, 60])
def test_at_most_seven_of_a_hundred_stationary_series_have_a_trend(n: int, phi: float) -> None:
    """A test of independent values would call up to half of these a trend."""
    rng = random.Random(20)
    assert share_significant([slope_of(every_minute(wandering(rng, n, phi))) for _ in range(400)]) <= 0.07


@pytest.mark.parametrize("correlated_s", [0, 60, 240])
@pytest.mark.parametrize("minutes", [15, 60])
def test_nor_do_overlapping_windows_make_one(minutes: int, correlated_s: float) -> None:
    rng = random.Random(21)
    series = [slope_of(independent(of_windows(rng, minutes, correlated_s), MINUTE)) for _ in range(150)]
    assert share_significant(series) <= 0.07


@pytest.mark.parametrize(("rise", "least"), [(1, 0.3), (2, 0.9), (3, 0.99)])
def test_a_real_rise_is_found(rise: float, least: float) -> None:
    """Within an hour, by so many standard deviations of single values."""
    rng = random.Random(22)
    series = [slope([rise * i / 60 + rng.gauss(0, 1) for i in range(60)]) for _ in range(100)]
    assert share_significant(list(series)) >= least


@pytest.mark.parametrize("power", [0.5, 2, 5])
def test_a_curved_rise_is_one_too(power: float) -> None:
    rng = random.Random(23)
    assert slope([(i / 60) ** power + rng.gauss(0, 0.02) for i in range(60)]).is_significant


def test_the_interval_holds_the_true_slope() -> None:
    rng = random.Random(24)
    true = 0.05 / MINUTE
    found = [slope([0.05 * i + v for i, v in enumerate(wandering(rng, 60, 0.5))]) for _ in range(300)]
    held = [
        s.low_per_ns <= true <= s.high_per_ns for s in found if s.low_per_ns is not None and s.high_per_ns is not None
    ]
    assert len(held) >= 295
    assert sum(held) / len(held) >= 0.94


def test_values_that_share_no_data_are_kept() -> None:
    points = [(i * 5 * SECOND, float(i)) for i in range(121)]
    kept = independent(points, MINUTE)
    assert kept[-1] == points[-1]
    assert [b[0] - a[0] for a, b in pairwise(kept)] == [MINUTE] * 10
    assert independent([], MINUTE) == []


def test_a_gap_costs_no_value_beside_it() -> None:
    points = [(t * SECOND, 0.0) for t in (0, 5, 10, 500, 505, 559, 560)]
    assert [t // SECOND for t, _ in independent(points, MINUTE)] == [10, 500, 560]


def test_long_series_are_thinned_further() -> None:
    points = [(i * MINUTE, float(i)) for i in range(2000)]
    assert MAX_POINTS / 2 < len(independent(points, MINUTE)) <= MAX_POINTS
