"""Histogram points of any scale keep their counts, and their quantiles as well as their buckets allow."""

from __future__ import annotations

from bisect import bisect_left
from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_processor import sketch
from bmad_processor.decode.histograms import explicit_buckets, exponential_buckets, sum_of, to_ns

from .metric_points import explicit, exponential

SECOND = 1_000_000_000
_seconds = st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=40)


def exponential_point(values: list[float], scale: int) -> object:
    """The point an SDK at this scale would send."""
    indexes = [ceil(log2(value) * 2.0**scale) - 1 for value in values]
    low = min(indexes)
    counts = [0] * (max(indexes) - low + 1)
    for index in indexes:
        counts[index - low] += 1
    return exponential(scale=scale, count=len(values), positive={"offset": low, "bucket_counts": counts})


@given(_seconds, st.integers(-10, 8))
@settings(max_examples=150, deadline=None)
def test_rescaling_keeps_counts(values: list[float], scale: int) -> None:
    assert sum(exponential_buckets(exponential_point(values, scale)).values()) == len(values)


@given(_seconds, st.integers(4, 8))
@settings(max_examples=100, deadline=None)
def test_a_finer_scale_maps_to_the_bucket_of_the_value(values: list[float], scale: int) -> None:
    buckets = exponential_buckets(exponential_point(values, scale))
    exact: dict[int, int] = {}
    sketch.count_into(exact, [to_ns(value) for value in values])
    for index, count in buckets.items():
        near = sum(exact.get(index + step, 0) for step in (-1, 0, 1))  # values on an edge may round to either side
        assert near >= count or count == sum(buckets.values())
    assert sketch.quantile(buckets, 0.5, min_ns=0, max_ns=1 << 62) == pytest.approx(
        sketch.quantile(exact, 0.5, min_ns=0, max_ns=1 << 62), rel=0.05
    )


@pytest.mark.parametrize("scale", [3, 2, 1, 0, -1, -2])
def test_a_coarser_bucket_goes_to_its_geometric_middle(scale: int) -> None:
    width = 2.0 ** (2.0**-scale)  # in octaves, as a factor
    buckets = exponential_buckets(exponential(scale=scale, count=7, positive={"offset": 0, "bucket_counts": [7]}))
    ((index, count),) = buckets.items()
    assert count == 7
    assert sketch.value_at(index) / 1e9 == pytest.approx(width**0.5, rel=0.05)


@pytest.mark.parametrize("scale", [-(2**31), -100, -11, -10, 20, 2**31 - 1])
@pytest.mark.parametrize("offset", [-(2**31), -1, 0, 2**31 - 2])
def test_no_scale_or_offset_leaves_the_range(scale: int, offset: int) -> None:
    point = exponential(scale=scale, count=5, zero_count=2, positive={"offset": offset, "bucket_counts": [1, 2]})
    buckets = exponential_buckets(point)
    assert sum(buckets.values()) == 5
    assert sketch.LOWEST_INDEX <= min(buckets) <= max(buckets) <= sketch.HIGHEST_INDEX
    assert sum_of(buckets) < 1 << 63


def test_zeros_are_the_smallest_durations() -> None:
    assert exponential_buckets(exponential(count=3, zero_count=3)) == {sketch.LOWEST_INDEX: 3}


@given(_seconds, st.lists(st.floats(1e-4, 1e3), min_size=1, max_size=10, unique=True).map(sorted))
@settings(max_examples=100, deadline=None)
def test_explicit_buckets_keep_counts_and_stay_within_their_bounds(values: list[float], bounds: list[float]) -> None:
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_left(bounds, value)] += 1
    buckets = explicit_buckets(explicit(count=len(values), bucket_counts=counts, explicit_bounds=bounds))
    assert sum(buckets.values()) == len(values)
    edges = [0.0, *bounds]
    for index in buckets:
        middle = sketch.value_at(index) / 1e9
        assert any(
            low * 0.95 <= middle <= high * 1.05 for low, high in zip(edges, [*bounds, bounds[-1] * 1.6], strict=True)
        )


@pytest.mark.parametrize("bounds", [[1.0, -5.0], [-5.0, -1.0], [float("nan"), 1.0], [1e308, float("inf")], [0.0, 0.0]])
def test_bounds_that_make_no_sense(bounds: list[float]) -> None:
    buckets = explicit_buckets(explicit(count=6, sum=1.0, bucket_counts=[1, 2, 3], explicit_bounds=bounds))
    assert sum(buckets.values()) == 6


@pytest.mark.parametrize(
    ("seconds", "ns"),
    [(1.5, 1_500_000_000), (0.0, 0), (-1.0, 0), (float("nan"), 0), (float("inf"), 0), (1e308, 2**63 - 1)],
)
def test_seconds_as_nanoseconds(seconds: float, ns: int) -> None:
    assert to_ns(seconds) == ns
