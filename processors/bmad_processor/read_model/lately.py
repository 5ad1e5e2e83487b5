"""The history of a series over a time that ends now."""

from __future__ import annotations

from math import ceil
from statistics import fmean
from typing import Any

from bmad_processor.settings import EngineSettings
from bmad_processor.state import Partition
from bmad_processor.store import Snapshot
from bmad_processor.summary import display, metric_row
from bmad_processor.trend import Point


def points(
    store: Snapshot, partition: Partition, metric: str, settings: EngineSettings, *, now_ns: int, window_ns: int
) -> list[Point]:
    """The kept points of the last ``window_ns`` nanoseconds in base units, oldest first."""
    most = window_ns // settings.interval_ns + 2  # a series has at most one point for each pane
    found = store.history(str(partition.key), metric, most)
    return [(time_ns, value) for time_ns, value, _ in found if now_ns - window_ns <= time_ns <= now_ns]


def window_metrics(
    store: Snapshot, partition: Partition, settings: EngineSettings, *, now_ns: int, window_ns: int
) -> dict[str, dict[str, Any]]:
    """Metric type to mean, min, max, last, p95, n and unit of the values judged within the last ``window_ns``.

    Every value rests on an evaluation window (of ``response_time`` it is the 95th percentile of that window); ``n`` is
    the number of values. A metric without any is absent.
    """
    shown = {}
    for name in store.metric_types(str(partition.key)):
        values = [v for _, v in points(store, partition, name, settings, now_ns=now_ns, window_ns=window_ns)]
        if values:
            # the smallest value that is not exceeded by 95 of 100
            p95 = sorted(values)[ceil(0.95 * len(values)) - 1]
            numbers = {"mean": fmean(values), "min": min(values), "max": max(values), "last": values[-1], "p95": p95}
            shown[name] = {key: display(name, value) for key, value in numbers.items()} | {
                "n": len(values),
                "unit": metric_row(name, partition.unit_of(name)).display_unit,
            }
    return shown


def is_within(alert: dict[str, Any], begin_ns: int) -> bool:
    """Whether an alert was firing at some time since ``begin_ns``."""
    return alert["resolved_ns"] is None or bool(alert["resolved_ns"] >= begin_ns)
