"""From overlapping windows to values that share no data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

Point = tuple[int, float]
"""Time in nanoseconds, value."""

MAX_POINTS: Final = 120
"""The slope looks at every pair: 7,140 of them take about 3 ms. An hour of one-minute windows has 60 points."""


def independent(points: Sequence[Point], window_ns: int) -> list[Point]:
    """The newest of ``points`` (oldest first) and before it as many as are at least ``window_ns`` apart, oldest first.

    A value at a pane end rests on the window before it, so neighbours closer than a window share tasks and resemble
    each other for that reason alone. Where more than `MAX_POINTS` would be left, they are taken further apart.
    """
    if not points:
        return []
    apart_ns = max(window_ns, -(-(points[-1][0] - points[0][0]) // (MAX_POINTS - 1)))
    kept = [points[-1]]
    for point in reversed(points[:-1]):
        if kept[-1][0] - point[0] >= apart_ns:
            kept.append(point)
    return kept[::-1]
