"""Distribution of durations as a base-2 exponential histogram with a fixed scale.

Buckets are OpenTelemetry's exponential histogram buckets at scale 4 (base ``2**(1/16)``), so incoming exponential
histograms merge into it exactly and two sketches merge by adding counts. Guarantee: a quantile is within 2.2 % of the
true value, and never outside the smallest and largest value seen. Cost: one logarithm and one dict update per value,
at most 1,025 buckets for the whole range of 64-bit nanoseconds. Source: OpenTelemetry metrics data model,
"ExponentialHistogram"; relative error ``(base - 1) / (base + 1)``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import ceil, log2
from typing import Final

SCALE: Final = 4
PER_OCTAVE: Final = 1 << SCALE

LOG2_SECOND: Final = log2(1_000_000_000)
"""Buckets are those of seconds, so that OTLP histograms of seconds fall into them without a shift."""


def index_of(value_ns: int) -> int:
    """Bucket of a duration in nanoseconds; durations below 1 ns share the bucket of 1 ns."""
    return ceil((log2(value_ns if value_ns > 1 else 1) - LOG2_SECOND) * PER_OCTAVE) - 1


LOWEST_INDEX: Final = index_of(1)
HIGHEST_INDEX: Final = index_of((1 << 64) - 1)
"""No duration in 64-bit nanoseconds lies above."""

_COARSEST: Final = (HIGHEST_INDEX - LOWEST_INDEX).bit_length()
"""Buckets ``2**_COARSEST`` times as wide leave two: up to one second, and above."""

MIN_SCALE: Final = -10
"""Coarsest scale of OTLP: one bucket from 1 s to 2**1024 s."""


_FEW: Final = 16
"""Fewer values than this are counted one by one: a `Counter` costs 2 us to make."""


def count_into(buckets: dict[int, int], values_ns: Iterable[int]) -> None:
    """Adds every value to ``buckets``; values are not negative."""
    log, up, second = log2, ceil, LOG2_SECOND
    if isinstance(values_ns, list) and len(values_ns) < _FEW:
        for value in values_ns:
            index = up((log(value or 1) - second) * 16) - 1
            buckets[index] = buckets.get(index, 0) + 1
        return
    # index_of written out, and counted in C: this runs once per span
    counted = Counter([up((log(value or 1) - second) * 16) for value in values_ns])
    get = buckets.get
    for index, count in counted.items():
        buckets[index - 1] = get(index - 1, 0) + count


def merge_into(buckets: dict[int, int], other: Mapping[int, int]) -> None:
    """Adds the counts of ``other`` to ``buckets``."""
    get = buckets.get
    for index, count in other.items():
        buckets[index] = get(index, 0) + count


def difference(now: Mapping[int, int], before: Mapping[int, int]) -> dict[int, int]:
    """What came into a histogram since ``before``, an earlier state of it.

    A sender makes its histogram coarser as its range grows, which moves counts between buckets; both are then compared
    at the finest resolution at which nothing has left, and counts stay counts.
    """
    shift = 0
    while any(now.get(index, 0) < count for index, count in before.items()):
        shift += 1
        if shift > _COARSEST:  # there are fewer counts than before
            return {}
        now, before = _coarser(now, shift), _coarser(before, shift)
    return {index: n - before.get(index, 0) for index, n in now.items() if n > before.get(index, 0)}


def _coarser(buckets: Mapping[int, int], shift: int) -> dict[int, int]:
    """Counts at the middles of buckets ``2**shift`` times as wide."""
    wide: dict[int, int] = {}
    for index, count in buckets.items():
        middle = (index >> shift << shift) + (1 << shift >> 1)
        wide[middle] = wide.get(middle, 0) + count
    return wide


def rescale_index(index: int, scale: int) -> int:
    """Bucket here of bucket ``index`` of an OTLP exponential histogram of seconds at ``scale``.

    A finer incoming scale maps exactly (indexes of a coarser scale are the finer ones shifted right); a coarser bucket
    goes to the bucket of its geometric middle. Below `MIN_SCALE`, which OTLP does not define, `MIN_SCALE` is taken.
    """
    if scale >= SCALE:
        return index >> (scale - SCALE)
    width = 1 << (SCALE - max(scale, MIN_SCALE))
    return index * width + width // 2


def value_at(index: int) -> float:
    """Geometric middle of a bucket, in nanoseconds."""
    return float(2.0 ** ((index + 0.5) / PER_OCTAVE)) * 1e9


def quantile(buckets: Mapping[int, int], q: float, *, min_ns: int, max_ns: int) -> float:
    """The ``q`` quantile in nanoseconds (nearest rank), within the smallest and largest value seen.

    Raises ValueError for an empty sketch.
    """
    total = sum(buckets.values())
    if total <= 0:
        raise ValueError("quantile of an empty sketch")
    rank = max(1, ceil(q * total))
    if rank == total:
        return float(max_ns)
    # from the end that is nearer; quantiles that matter are high
    if q > 0.5:
        above = total - rank
        for index in sorted(buckets, reverse=True):
            above -= buckets[index]
            if above < 0:
                return min(max(value_at(index), float(min_ns)), float(max_ns))
        return float(max_ns)
    seen = 0
    for index in sorted(buckets):
        seen += buckets[index]
        if seen >= rank:
            return min(max(value_at(index), float(min_ns)), float(max_ns))
    return float(max_ns)


def subtract_from(buckets: dict[int, int], other: Mapping[int, int]) -> None:
    """Takes the counts of ``other``, which had been added, out of ``buckets`` again."""
    for index, count in other.items():
        left = buckets.get(index, 0) - count
        if left:
            buckets[index] = left
        else:
            buckets.pop(index, None)
