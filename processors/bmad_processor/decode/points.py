"""Which data points nobody could use."""

from __future__ import annotations

from itertools import pairwise
from typing import Any


def is_invalid(point: Any, *, is_histogram: bool) -> bool:
    """Whether a data point breaks OTLP in a way that makes it unreadable, by itself.

    An exemplar with an id of wrong length (absent is fine), or a histogram whose buckets cannot be told apart: not one
    more than its bounds, or bounds that do not grow. A count that differs from the sum of the buckets is let through:
    clients that count without a lock send it, and every backend takes it.
    """
    for exemplar in point.exemplars:
        if len(exemplar.trace_id) not in (0, 16) or len(exemplar.span_id) not in (0, 8):
            return True
    if not is_histogram:
        return False
    n_bounds, n_buckets = len(point.explicit_bounds), len(point.bucket_counts)
    if n_buckets != n_bounds + 1 and (n_bounds or n_buckets):
        return True
    return not all(low < high for low, high in pairwise(point.explicit_bounds))
