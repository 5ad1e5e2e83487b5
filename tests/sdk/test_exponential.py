"""Laws of the exponential histogram, by the definition of its buckets in the metrics data model."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from bmad_otel._exponential import MAX_BUCKETS, ExponentialHistogram

DURATIONS = st.floats(0.0, 1e6, allow_nan=False) | st.sampled_from([0.0, 1.0, 0.5, 2.0**-30, 5e-324, 1e-9])
BATCHES = st.lists(st.lists(DURATIONS, max_size=40), max_size=8)


def filled(batches: list[list[float]]) -> ExponentialHistogram:
    histogram = ExponentialHistogram()
    for batch in batches:
        histogram.add(batch)
    return histogram


@given(batches=BATCHES)
def test_law_nothing_is_lost_and_memory_is_bounded(batches: list[list[float]]) -> None:
    histogram = filled(batches)
    values = [value for batch in batches for value in batch]
    _, counts = histogram.buckets()
    assert histogram.count == len(values) == sum(counts) + histogram.zero_count
    assert len(counts) <= MAX_BUCKETS
    assert math.isclose(histogram.total, math.fsum(values), rel_tol=1e-9, abs_tol=1e-12)
    if values:
        assert (histogram.minimum, histogram.maximum) == (min(values), max(values))


@given(batches=BATCHES)
def test_law_each_value_lies_within_its_bucket(batches: list[list[float]]) -> None:
    histogram = filled(batches)
    offset, counts = histogram.buckets()
    values = sorted(value for batch in batches for value in batch if value >= 2.0**-1022)
    width = 2.0**-histogram.scale
    at = 0
    for index, count in enumerate(counts, offset):
        for value in values[at : at + count]:
            assert 2.0 ** (index * width) * (1 - 1e-9) <= value <= 2.0 ** ((index + 1) * width) * (1 + 1e-9)
        at += count
    assert at == len(values)


@given(batches=BATCHES)
def test_law_how_values_are_batched_does_not_matter(batches: list[list[float]]) -> None:
    together = filled([[value for batch in batches for value in batch]])
    parted = filled(batches)
    assert (parted.scale, parted.buckets(), parted.zero_count) == (
        together.scale, together.buckets(), together.zero_count,
    )  # fmt: skip


def test_values_alike_keep_the_finest_scale() -> None:
    histogram = filled([[0.25] * 1000])
    assert histogram.scale == 20
    assert histogram.buckets()[1] == [1000]


def test_the_documented_error_over_a_range_of_a_thousand() -> None:
    values = [0.001 * 1.0069**i for i in range(1000)]  # 1 ms to 1 s
    histogram = filled([values])
    assert 2.0 ** (2.0**-histogram.scale) - 1 < 0.0445  # 2.2 % to either side of its middle
    histogram.add([])
    assert histogram.count == 1000
    histogram.clear()
    assert histogram.buckets() == (0, [])
    assert histogram.count == 0
