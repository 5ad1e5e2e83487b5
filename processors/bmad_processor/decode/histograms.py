"""OTLP histogram points of seconds to `sketch` buckets.

Exponential histograms of scale 4 or finer map exactly. Explicit buckets are as coarse as their bounds: their counts go
to the geometric middle of the bucket.
"""

from __future__ import annotations

from math import isfinite, sqrt
from typing import Any, Final

from bmad_processor import sketch

_MAX_NS: Final = (1 << 63) - 1
"""292 years: what a store, a protobuf and a JSON reader can hold."""


def to_ns(seconds: float) -> int:
    """Seconds as whole nanoseconds, at most 292 years; not finite or negative gives 0."""
    if not isfinite(seconds) or seconds <= 0:
        return 0
    return _MAX_NS if seconds >= _MAX_NS / 1e9 else round(seconds * 1e9)


def sum_of(buckets: dict[int, int]) -> int:
    """Sum of the durations as far as the buckets know it, for a point without a sum."""
    return min(round(sum(sketch.value_at(index) * count for index, count in buckets.items())), _MAX_NS)


def exponential_buckets(point: Any) -> dict[int, int]:
    """Buckets of an `ExponentialHistogramDataPoint` of seconds; negative values do not occur in durations."""
    buckets: dict[int, int] = {}
    if point.zero_count:
        buckets[sketch.LOWEST_INDEX] = point.zero_count
    scale, offset = point.scale, point.positive.offset
    for i, count in enumerate(point.positive.bucket_counts):
        if count:
            index = sketch.rescale_index(offset + i, scale)
            index = min(max(index, sketch.LOWEST_INDEX), sketch.HIGHEST_INDEX)
            buckets[index] = buckets.get(index, 0) + count
    return buckets


def explicit_buckets(point: Any) -> dict[int, int]:
    """Buckets of a `HistogramDataPoint` of seconds. Without bounds all is at the mean, if there is one."""
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    if not counts or not bounds:
        has_mean = point.count and point.HasField("sum")
        return {sketch.index_of(to_ns(point.sum / point.count)): point.count} if has_mean else {}
    buckets: dict[int, int] = {}
    for i, count in enumerate(counts):
        if count:
            index = sketch.index_of(to_ns(_middle(bounds, i)))
            buckets[index] = buckets.get(index, 0) + count
    return buckets


def _middle(bounds: list[float], i: int) -> float:
    """A value that stands for bucket ``i``, in seconds."""
    if i == 0:
        return bounds[0] / 2
    if i >= len(bounds):
        return bounds[-1] * 1.5
    low, high = bounds[i - 1], bounds[i]
    return sqrt(low * high) if low > 0 and high > 0 else high / 2
