"""The sketch against exact quantiles, and its merge law."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_processor import sketch

ERROR_RATIO = 0.022
durations = st.lists(st.integers(1, 2**63) | st.integers(1, 10**11), min_size=1, max_size=80)


def sketched(values: list[int]) -> dict[int, int]:
    buckets: dict[int, int] = {}
    sketch.count_into(buckets, values)
    return buckets


@given(durations, st.floats(0, 1))
@settings(max_examples=300, deadline=None)
def test_quantiles_are_within_the_promised_error(values: list[int], q: float) -> None:
    exact = sorted(values)[max(1, ceil(q * len(values))) - 1]
    found = sketch.quantile(sketched(values), q, min_ns=min(values), max_ns=max(values))
    assert found == pytest.approx(exact, rel=ERROR_RATIO)
    assert float(min(values)) <= found <= float(max(values))


@given(durations, durations)
@settings(max_examples=100, deadline=None)
def test_merging_is_counting_together(some: list[int], others: list[int]) -> None:
    merged = sketched(some)
    sketch.merge_into(merged, sketched(others))
    assert merged == sketched(some + others) == sketched(others + some)


@given(durations, durations)
@settings(max_examples=100, deadline=None)
def test_difference_undoes_merging(before: list[int], new: list[int]) -> None:
    assert sketch.difference(sketched(before + new), sketched(before)) == sketched(new)


@given(durations, durations, st.integers(-10, 3))
@settings(max_examples=100, deadline=None)
def test_difference_keeps_counts_when_the_sender_became_coarser(before: list[int], new: list[int], scale: int) -> None:
    coarse: dict[int, int] = {}
    for index, count in sketched(before + new).items():
        middle = sketch.rescale_index(index >> (sketch.SCALE - scale), scale)
        wide = min(max(middle, sketch.LOWEST_INDEX), sketch.HIGHEST_INDEX)
        coarse[wide] = coarse.get(wide, 0) + count
    assert sum(sketch.difference(coarse, sketched(before)).values()) == len(new)


def test_difference_of_fewer_counts_is_nothing() -> None:
    assert sketch.difference({0: 1}, {0: 2}) == {}
    assert sketch.difference({-3: 4, 7: 1}, {-3: 4, 7: 2}) == {}


@given(st.integers(0, 2**64 - 1))
def test_both_ways_of_counting_agree(value: int) -> None:
    index = sketch.index_of(value)
    assert sketched([value]) == {index: 1}
    assert sketch.LOWEST_INDEX <= index <= sketch.HIGHEST_INDEX
    assert sketch.value_at(index) == pytest.approx(max(value, 1), rel=ERROR_RATIO)


@given(st.integers(-500, 600), st.integers(4, 20))
def test_finer_buckets_nest_in_ours(index: int, scale: int) -> None:
    factor = 1 << (scale - sketch.SCALE)
    assert {sketch.rescale_index(index * factor + step, scale) for step in (0, factor - 1)} == {index}


def test_nothing_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="empty"):
        sketch.quantile({}, 0.5, min_ns=0, max_ns=0)


def test_the_largest_is_exact() -> None:
    assert sketch.quantile(sketched([5, 7, 1_000_003]), 1.0, min_ns=5, max_ns=1_000_003) == 1_000_003
