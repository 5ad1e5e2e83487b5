"""Where a series is expected to be at a later time, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import median

from .slope import Slope
from .thin import Point

TWO_SIDED_95 = 1.96
"""Standard deviations of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A series, seen from a present time. In the unit of the values and nanoseconds."""

    level: float
    """Where it is now, without its noise."""
    per_ns: float
    """How it surely goes on: the end of the slope's interval that is nearer to zero; 0 without a certain slope."""
    value: float
    """Where that leads."""
    low: float | None
    """Lower end of the 95 % interval of one value then; None when the slope is not known well enough to say."""
    high: float | None

    def reaches_in_ns(self, limit: float) -> int | None:
        """Time until it rises to ``limit``; 0 when it is there, None when it is not on its way."""
        if self.level >= limit:
            return 0
        return ceil((limit - self.level) / self.per_ns) if self.per_ns > 0 else None


def expect(recent: Sequence[Point], slope: Slope | None, *, now_ns: int, ahead_ns: int) -> Expected:
    """The series ``ahead_ns`` after ``now_ns``, from its ``recent`` points (at least one) and its slope, if known.

    The slope is put through the median of the recent points, so a curve is followed from where it is now. It is carried
    on only as far as it is certain: rises of real load end and return, and on recorded production series the likeliest
    slope was off by half as much again as none at all (docs/trends.md). The interval is that of a single value around
    the likeliest line; it adds the uncertainty of the slope, growing with the time ahead, to the spread of values.
    """
    is_trend = slope is not None and slope.is_significant
    likely_per_ns = slope.per_ns if slope is not None and is_trend else 0.0
    level = median(value + likely_per_ns * (now_ns - time_ns) for time_ns, value in recent)
    if slope is None or slope.low_per_ns is None or slope.high_per_ns is None:
        return Expected(level, 0.0, level, None, None)
    per_ns = min(slope.low_per_ns, slope.high_per_ns, key=abs) if is_trend else 0.0
    value = level + per_ns * ahead_ns
    if slope.spread is None:
        return Expected(level, per_ns, value, None, None)
    # the spread counts twice: once for the value then, once for the level now
    noise = TWO_SIDED_95 * slope.spread * sqrt(2)
    likely = level + likely_per_ns * ahead_ns
    down, up = (likely_per_ns - slope.low_per_ns) * ahead_ns, (slope.high_per_ns - likely_per_ns) * ahead_ns
    return Expected(level, per_ns, value, likely - sqrt(noise**2 + down**2), likely + sqrt(noise**2 + up**2))
