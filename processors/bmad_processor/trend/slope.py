"""The slope of a series over time and how sure it is: Theil-Sen with the interval of Kendall's test.

The slope is the median of the slopes between all pairs of points, per time and not per point; up to 29 % of the points
may be wild without moving it far. Its interval holds the pair slopes that Kendall's rank statistic cannot tell from the
true one (Sen 1968, "Estimates of the regression coefficient based on Kendall's tau").

Neighbouring values of telemetry resemble each other, which makes that interval too narrow: a plain test calls every
third flat but slow series a trend. So its variance is multiplied as for an autoregressive series (Hamed and Rao 1998,
"A modified Mann-Kendall trend test for autocorrelated data"), with the correlation of neighbours measured on the ranks
after their straight line is taken out, corrected for its known bias (Kendall 1954) and raised by its own standard
error; and the quantile is Student's, with as many degrees of freedom as the points are worth. Cost O(n^2 log n).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, sqrt
from statistics import NormalDist, median
from typing import Final

from .thin import Point

MIN_POINTS: Final = 10
"""With fewer, the interval of the slope is so wide that even a clear trend is rarely found."""

MAX_CORRELATION: Final = 0.98
"""Beyond it no number of points that is looked at could show a trend."""

FLAT_RATIO: Final = 1e-9
"""A series that varies by less than this share of its largest value varies by rounding only."""

_Z: Final = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Slope:
    """How a series changes. Slopes are in the unit of the values per nanosecond."""

    per_ns: float
    low_per_ns: float | None
    """Lower end of the 95 % interval; None when the points do not bound it."""
    high_per_ns: float | None
    n: int
    effective_n: float
    """As many unrelated values would say as much."""
    spread: float | None
    """Standard deviation of the values around the line; None when the points are worth too little to say."""

    @property
    def is_significant(self) -> bool:
        """Whether zero is outside of the interval."""
        low, high = self.low_per_ns, self.high_per_ns
        return low is not None and high is not None and (low > 0 or high < 0)


def slope_of(points: Sequence[Point]) -> Slope | None:
    """The slope of ``points`` (oldest first, at different times); None when there are fewer than `MIN_POINTS`."""
    n = len(points)
    if n < MIN_POINTS:
        return None
    values = [value for _, value in points]
    if max(values) - min(values) <= FLAT_RATIO * max(map(abs, values)):
        return Slope(0.0, 0.0, 0.0, n, float(n), 0.0)
    slopes = sorted((vj - vi) / (tj - ti) for i, (ti, vi) in enumerate(points) for tj, vj in points[i + 1 :])
    per_ns = median(slopes)
    factor = variance_factor(n, correlation(values))
    variance = _kendall_variance(values) * factor
    # half the distance, in ranks of pair slopes, between the ends of the interval
    reach = student(n / factor - 2) * sqrt(variance) / 2
    low, high = floor(len(slopes) / 2 - reach) - 1, ceil(len(slopes) / 2 + reach)
    is_bounded = low >= 0 and high < len(slopes)
    return Slope(
        per_ns,
        slopes[low] if is_bounded else None,
        slopes[high] if is_bounded else None,
        n,
        n / factor,
        _spread(points, per_ns, n / factor),
    )


def correlation(values: Sequence[float]) -> float:
    """How much a value tells of the next one, 0 to `MAX_CORRELATION`: of the ranks, their straight line taken out.

    In ranks every steady rise is a straight line, so a curved one is not mistaken for slow wandering.
    """
    n = len(values)
    around = _without_line(_ranks(values))
    power = sum(x * x for x in around)
    if power <= FLAT_RATIO * n**3:
        return 0.0  # a perfect order: nothing wanders
    measured = sum(a * b for a, b in pairwise(around)) / power
    # taking the line out lowers it by about (2 + 4 r) / n
    unbiased = min((n * measured + 2) / (n - 4), 1.0)
    error = sqrt(max(0.0, 1 - unbiased * unbiased) / n)
    return min(max(unbiased + error, 0.0), MAX_CORRELATION)


def variance_factor(n: int, r: float) -> float:
    """By how much the variance of Kendall's statistic grows when values ``k`` apart are correlated by ``r ** k``."""
    total = sum((n - k) * (n - k - 1) * (n - k - 2) * r**k for k in range(1, n - 2))
    return 1 + 2 * total / (n * (n - 1) * (n - 2))


def student(freedom: float) -> float:
    """The 97.5 % quantile of Student's distribution, exact to 1 % from 2 degrees of freedom on; below 1 as for 1.

    Cornish and Fisher's expansion; the exact values 12.706 and 4.303 at 1 and 2 are joined by a line.
    """
    if freedom < 2:
        return 12.706 - (12.706 - 4.303) * max(freedom - 1, 0)
    z = _Z
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def _kendall_variance(values: Sequence[float]) -> float:
    def pairs(n: int) -> int:
        return n * (n - 1) * (2 * n + 5)

    ties = sum(pairs(count) for count in Counter(values).values())
    return (pairs(len(values)) - ties) / 18


def _ranks(values: Sequence[float]) -> list[float]:
    """0 for the lowest; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    begin = 0
    while begin < len(order):
        end = begin
        while end + 1 < len(order) and values[order[end + 1]] == values[order[begin]]:
            end += 1
        for i in order[begin : end + 1]:
            ranks[i] = (begin + end) / 2
        begin = end + 1
    return ranks


def _without_line(values: Sequence[float]) -> list[float]:
    n = len(values)
    middle, mean = (n - 1) / 2, sum(values) / n
    slope = sum((i - middle) * (v - mean) for i, v in enumerate(values)) / sum((i - middle) ** 2 for i in range(n))
    return [v - mean - slope * (i - middle) for i, v in enumerate(values)]


def _spread(points: Sequence[Point], per_ns: float, effective_n: float) -> float | None:
    if effective_n <= 3:
        return None  # one long wave: the line follows it, and what is left around the line is too little
    begin_ns = points[0][0]
    around = [value - per_ns * (time_ns - begin_ns) for time_ns, value in points]
    mean = sum(around) / len(around)
    # a level and a slope were fitted to as many values as the points are worth
    return sqrt(sum((x - mean) ** 2 for x in around) / len(around) * effective_n / (effective_n - 2))
