"""Where a series is carried to, and how often it is found there."""

from __future__ import annotations

import random

import pytest

from bmad_processor.trend import expect, slope_of

from .series import MINUTE, every_minute, wandering


def test_a_trend_goes_on_from_where_the_series_is_now() -> None:
    points = every_minute([(i / 10) ** 2 for i in range(60)])
    slope = slope_of(points)
    assert slope is not None
    ahead = expect(points[-5:], slope, now_ns=points[-1][0], ahead_ns=10 * MINUTE)
    assert ahead.level == pytest.approx(points[-1][1], rel=0.1)
    assert slope.low_per_ns is not None
    assert 0 < slope.low_per_ns < slope.per_ns
    # no further than is certain
    assert ahead.value == pytest.approx(ahead.level + 10 * MINUTE * slope.low_per_ns)
    assert ahead.low is not None
    assert ahead.high is not None
    assert ahead.low < ahead.level + 10 * MINUTE * slope.per_ns < ahead.high
    assert ahead.reaches_in_ns(ahead.level - 1) == 0
    there = ahead.reaches_in_ns(ahead.value)
    assert there == pytest.approx(10 * MINUTE, rel=1e-6)


def test_without_a_trend_it_stays_where_it_is() -> None:
    rng = random.Random(1)
    points = every_minute([50 + rng.gauss(0, 1) for _ in range(60)])
    ahead = expect(points[-5:], slope_of(points), now_ns=points[-1][0], ahead_ns=10 * MINUTE)
    assert ahead.per_ns == 0
    assert ahead.value == ahead.level == pytest.approx(50, abs=2)
    assert ahead.reaches_in_ns(60) is None
    assert ahead.low is not None
    assert ahead.high is not None
    assert ahead.low < 48 < 52 < ahead.high


def test_without_a_slope_nothing_is_said_of_the_interval() -> None:
    ahead = expect([(0, 1.0), (1, 3.0), (2, 2.0)], None, now_ns=2, ahead_ns=100)
    assert (ahead.value, ahead.low, ahead.high) == (2.0, None, None)


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("minutes_ahead", [5, 30])
def test_an_hour_s_interval_holds_nine_of_ten_later_values(phi: float, minutes_ahead: int) -> None:
    rng = random.Random(9)
    held = []
    for _ in range(200):
        rise = rng.choice((0.0, 0.05, 0.2))
        points = every_minute([v + rise * i for i, v in enumerate(wandering(rng, 60 + minutes_ahead, phi))])
        seen, later = points[:60], points[59 + minutes_ahead]
        ahead = expect(seen[-5:], slope_of(seen), now_ns=seen[-1][0], ahead_ns=later[0] - seen[-1][0])
        if ahead.low is not None and ahead.high is not None:
            held.append(ahead.low <= later[1] <= ahead.high)
    assert len(held) >= 140
    assert sum(held) / len(held) >= 0.9
