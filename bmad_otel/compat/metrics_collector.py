"""BMAD's metrics collector, on OpenTelemetry instruments: named values with labels, bounded.

    collector = MetricsCollector()
    collector.increment_counter("runs", {"agent": "Planner"})
    with collector.measure_time("plan"):
        ...
    print(collector.get_prometheus_format())

Every value also goes to an instrument of the process's meter provider under the same full name (``bmad_runs``):
counters to a counter, histograms and timings to a histogram, all else to a gauge. The collector itself keeps the latest
values for those who ask it. `PerformanceMonitor` is the monitor BMAD has beside the one of `bmad_otel.compat.bmad`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from bmad_otel import _guard
from bmad_otel.compat._collected import Collected, Kind, labels_of
from bmad_otel.compat._exposition import exposition
from bmad_otel.compat._forks import follow
from bmad_otel.compat._instruments import Instruments
from bmad_otel.compat._metric_types import MetricType
from bmad_otel.compat._operations import PerformanceMonitor

__all__ = ["MAX_NAMES", "Metric", "MetricType", "MetricsCollector", "PerformanceMonitor"]

MAX_NAMES: Final = 500
"""Names kept apart; values under further names are counted as dropped."""


@dataclass
class Metric:
    """One value of a metric. ``timestamp``: seconds since the epoch."""

    name: str
    value: float
    timestamp: float
    labels: dict[str, str] = field(default_factory=dict)
    metric_type: str = "gauge"


class MetricsCollector:
    """Values by name and labels. Recording never raises: what cannot be kept is counted in `dropped`.

    Bounds: `MAX_NAMES` names, 200 sets of labels for each, 1,000 values for each name.
    """

    def __init__(self) -> None:
        self.prefixes = {name: f"bmad_{name}" for name in ("agent", "workflow", "llm", "cache", "api", "database")}
        self.dropped: dict[str, int] = {}
        """Values not kept, by reason: ``names``, ``label_sets``, ``not_a_number`` or ``other_kind``."""
        self._lock = threading.RLock()
        self._by_name: dict[str, Collected] = {}
        self._instruments = Instruments()
        follow(self)

    def after_fork_in_child(self) -> None:
        """Called by itself in a forked child, which goes on with the values of its parent."""
        self._lock = threading.RLock()
        self._instruments.after_fork_in_child()

    def record_metric(
        self,
        name: str,
        value: float,
        labels: Mapping[str, Any] | None = None,
        metric_type: str = "gauge",
        prefix: str = "bmad",
    ) -> None:
        """Record a value under ``<prefix>_<name>``. ``metric_type``: ``gauge``; ``counter`` for a total so far;
        ``histogram`` for one of many values."""
        kinds = {"counter": Kind.TOTAL, "histogram": Kind.HISTOGRAM, "summary": Kind.HISTOGRAM}
        self._record(prefix, name, value, labels, kinds.get(str(metric_type).lower(), Kind.GAUGE))

    def increment_counter(self, name: str, labels: Mapping[str, Any] | None = None, prefix: str = "bmad") -> None:
        """Add 1 to the counter ``<prefix>_<name>`` of these labels."""
        self._record(prefix, name, 1.0, labels, Kind.COUNTER)

    def record_histogram(
        self, name: str, value: float, labels: Mapping[str, Any] | None = None, prefix: str = "bmad"
    ) -> None:
        """Record one of many values under ``<prefix>_<name>``; `get_metrics` has its ``_p50``, ``_p95``, ``_p99``."""
        self._record(prefix, name, value, labels, Kind.HISTOGRAM)

    @contextmanager
    def measure_time(self, name: str, labels: Mapping[str, Any] | None = None, prefix: str = "bmad") -> Iterator[None]:
        """Record how long the block takes, in seconds, also when it raises."""
        started_ns = time.perf_counter_ns()
        try:
            yield
        finally:
            self._record(prefix, name, (time.perf_counter_ns() - started_ns) / 1e9, labels, Kind.HISTOGRAM, unit="s")

    def get_metrics(
        self, name_filter: str | None = None, time_window: timedelta | None = None
    ) -> dict[str, list[Metric]]:
        """The values kept, oldest first, by full name: those whose name contains ``name_filter``, those not older than
        ``time_window``. A histogram is there as its percentiles over the values kept."""
        since = None if time_window is None else time.time() - time_window.total_seconds()
        found: dict[str, list[Metric]] = {}
        with self._lock:
            for each in self._by_name.values():
                for name, sample, labels in each.samples():
                    if (name_filter and name_filter not in name) or (since is not None and sample.time_s < since):
                        continue
                    found.setdefault(name, []).append(
                        Metric(name, sample.value, sample.time_s, dict(labels), each.kind.exposed)
                    )
        for values in found.values():
            values.sort(key=lambda metric: metric.timestamp)
        return found

    def get_prometheus_format(self) -> str:
        """All metrics in Prometheus' text format 0.0.4: HELP and TYPE, labels escaped, histograms as summaries."""
        with self._lock:
            return exposition(self._by_name.values())

    def clear_old_metrics(self, max_age_hours: float = 24) -> None:
        """Forget the values older than that, and names without any left."""
        since = time.time() - max_age_hours * 3600
        with self._lock:
            self._by_name = {name: each for name, each in self._by_name.items() if each.forget_before(since)}

    def _record(
        self, prefix: str, name: str, value: Any, labels: Mapping[str, Any] | None, kind: Kind, unit: str = ""
    ) -> None:
        try:
            full_name = f"{prefix}_{name}" if prefix else str(name)
            number, given = float(value), labels_of(labels)
            reason = self._keep(full_name, number, given, kind)
            if reason is not None:
                self.dropped[reason] = self.dropped.get(reason, 0) + 1
                return
            self._instruments.record(full_name, kind, number, given, unit)
        except (TypeError, ValueError):
            self.dropped["not_a_number"] = self.dropped.get("not_a_number", 0) + 1
        except Exception as error:  # noqa: BLE001 - names and labels are the program's
            _guard.contain("recording a metric", error)

    def _keep(self, name: str, value: float, labels: tuple[tuple[str, str], ...], kind: Kind) -> str | None:
        """Why the value was not kept; None if it was."""
        with self._lock:
            each = self._by_name.get(name)
            if each is None:
                if len(self._by_name) >= MAX_NAMES:
                    return "names"
                each = self._by_name[name] = Collected(name, kind)
            return each.add(value, labels, kind, time.time())
