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
    """How it goes on: the slope where it is significant, else 0."""
    value: float
    """Where it will be."""
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

    The slope of the whole series is put through the median of the recent points, so a curve is followed from where it
    is now. The interval adds the uncertainty of the slope, growing with the time ahead, to the spread of single values.
    """
    per_ns = slope.per_ns if slope is not None and slope.is_significant else 0.0
    level = median(value + per_ns * (now_ns - time_ns) for time_ns, value in recent)
    value = level + per_ns * ahead_ns
    if slope is None or slope.spread is None or slope.low_per_ns is None or slope.high_per_ns is None:
        return Expected(level, per_ns, value, None, None)
    # the spread counts twice: once for the value then, once for the level now
    noise = TWO_SIDED_95 * slope.spread * sqrt(2)
    down, up = (per_ns - slope.low_per_ns) * ahead_ns, (slope.high_per_ns - per_ns) * ahead_ns
    return Expected(level, per_ns, value, value - sqrt(noise**2 + down**2), value + sqrt(noise**2 + up**2))
