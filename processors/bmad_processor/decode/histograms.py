"""OTLP histogram points of seconds to `sketch` buckets.

Exponential histograms of scale 4 or finer map exactly. Explicit buckets are as coarse as their bounds: their counts go
to the geometric middle of the bucket.
"""

from __future__ import annotations

from math import isfinite, sqrt
from typing import Any

from bmad_processor import sketch


def to_ns(seconds: float) -> int:
    """Seconds as whole nanoseconds; not finite or negative gives 0."""
    return round(seconds * 1e9) if isfinite(seconds) and seconds > 0 else 0


def exponential_buckets(point: Any) -> dict[int, int]:
    """Buckets of an `ExponentialHistogramDataPoint` of seconds; negative values do not occur in durations."""
    buckets: dict[int, int] = {}
    if point.zero_count:
        buckets[sketch.LOWEST_INDEX] = point.zero_count
    scale, offset = point.scale, point.positive.offset
    for i, count in enumerate(point.positive.bucket_counts):
        if count:
            index = max(sketch.rescale_index(offset + i, scale), sketch.LOWEST_INDEX)
            buckets[index] = buckets.get(index, 0) + count
    return buckets


def explicit_buckets(point: Any) -> dict[int, int]:
    """Buckets of a `HistogramDataPoint` of seconds. A point without buckets puts everything at its mean."""
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    if not counts:
        return {sketch.index_of(to_ns(point.sum / point.count)): point.count} if point.count else {}
    buckets: dict[int, int] = {}
    for i, count in enumerate(counts):
        if count:
            index = sketch.index_of(to_ns(_middle(bounds, i)))
            buckets[index] = buckets.get(index, 0) + count
    return buckets


def _middle(bounds: list[float], i: int) -> float:
    """A value that stands for bucket ``i``, in seconds."""
    if not bounds:
        return 0.0
    if i == 0:
        return bounds[0] / 2
    if i >= len(bounds):
        return bounds[-1] * 1.5
    return sqrt(bounds[i - 1] * bounds[i]) if bounds[i - 1] > 0 else bounds[i] / 2
