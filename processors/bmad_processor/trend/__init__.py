"""Trend: whether a series rises or falls, how fast, how sure that is, and where it leads.

Points of a history are values of overlapping windows, so first they are thinned to values that share no data
(`independent`); what is left may still resemble its neighbours, and the interval of the slope is widened for that
(`slope_of`). A slope whose interval holds zero is no trend. `expect` carries a trend on to a later time, with its
interval. Pure, standard library only; ``docs/trends.md`` has the error rates.
"""

from .expect import Expected, expect
from .slope import MIN_POINTS, Slope, slope_of
from .thin import MAX_POINTS, Point, independent

__all__ = ["independent", "slope_of", "expect", "Point", "Slope", "Expected", "MIN_POINTS", "MAX_POINTS"]
