"""Whether the metrics of an agent rise or fall, as a person reads it."""

from __future__ import annotations

from typing import Any, Final

from bmad_processor.metric_types import is_reported
from bmad_processor.settings import EngineSettings
from bmad_processor.state import Partition
from bmad_processor.store import Snapshot
from bmad_processor.summary import display, metric_row
from bmad_processor.trend import MIN_POINTS, Point, Slope, independent, slope_of

from . import lately

HOUR_NS: Final = 3_600_000_000_000


def trends(
    store: Snapshot,
    partition: Partition,
    settings: EngineSettings,
    *,
    metric: str | None,
    now_ns: int,
    window_ns: int,
) -> dict[str, dict[str, Any]]:
    """Metric type to its trend over the last ``window_ns``; all that are measured, or the one named.

    ``trend`` and ``slope_per_hour`` are the slope in the unit per hour, ``magnitude`` is its size, ``ci95`` its 95 %
    interval (None when the values do not bound it), ``n`` the number of values of separate evaluation windows between
    ``from`` and ``to``. ``direction`` is ``stable`` unless the interval leaves zero out (``significant``).
    """
    known = store.metric_types(str(partition.key))
    # what an agent says of itself is shown, not analysed, unless it is asked for by name
    names = [name for name in known if not is_reported(name)] if metric is None else [metric]
    return {
        name: _row(
            name,
            partition.unit_of(name),
            independent(
                lately.points(store, partition, name, settings, now_ns=now_ns, window_ns=window_ns), settings.window_ns
            ),
        )
        for name in names
    }


def _row(name: str, custom_unit: str, points: list[Point]) -> dict[str, Any]:
    slope = slope_of(points)
    per_hour = None if slope is None else display(name, slope.per_ns * HOUR_NS)
    bounds = interval_per_hour(name, slope)
    significant = slope is not None and slope.is_significant
    return {
        "trend": per_hour,
        "direction": _direction(slope),
        "magnitude": None if per_hour is None else abs(per_hour),
        "slope_per_hour": per_hour,
        "ci95": bounds,
        "n": len(points),
        "significant": significant,
        "unit": metric_row(name, custom_unit).display_unit,
        "from": points[0][0] / 1e9 if points else None,
        "to": points[-1][0] / 1e9 if points else None,
        "reason": _reason(slope, bounds, len(points), significant=significant),
    }


def interval_per_hour(name: str, slope: Slope | None) -> list[float] | None:
    """The 95 % interval of a slope in the unit of ``name`` per hour."""
    if slope is None or slope.low_per_ns is None or slope.high_per_ns is None:
        return None
    return [display(name, slope.low_per_ns * HOUR_NS), display(name, slope.high_per_ns * HOUR_NS)]


def _direction(slope: Slope | None) -> str:
    if slope is None or not slope.is_significant:
        return "stable"
    return "increasing" if slope.per_ns > 0 else "decreasing"


def _reason(slope: Slope | None, bounds: list[float] | None, n: int, *, significant: bool) -> str:
    if slope is None:
        return f"{MIN_POINTS} values of separate windows are needed, there are {n}"
    if bounds is None:
        return f"{n} values that follow one another so closely do not bound the slope"
    if slope.low_per_ns == slope.high_per_ns == 0:
        return "the value did not change"
    held = "leaves out" if significant else "holds"
    return f"the 95 % interval of the slope {held} zero"
