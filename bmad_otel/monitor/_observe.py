"""What the SDK would export of this process now, as bytes of OTLP: the only way numbers reach the embedded engine."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from bmad_otel import _guard, semconv
from bmad_otel._clock import clock
from bmad_otel._delivery.encoding import metric_bytes
from bmad_otel._host import Sources
from bmad_otel._host.allowance import Allowances
from bmad_otel._host.process import Process
from bmad_otel._host.system import System
from bmad_otel._instruments import Measure, measures
from bmad_otel._state import State
from bmad_otel._version import __version__
from bmad_otel.semconv import Instrument

_CUMULATIVE: Final = AggregationTemporality.CUMULATIVE

_OF_HOST: Final = (
    semconv.PROCESS_CPU_TIME,
    semconv.PROCESS_MEMORY_USAGE,
    semconv.PROCESS_MEMORY_UTILIZATION,
    semconv.SYSTEM_CPU_UTILIZATION,
    semconv.SYSTEM_MEMORY_USAGE,
    semconv.SYSTEM_MEMORY_UTILIZATION,
    semconv.SYSTEM_DISK_IO,
    semconv.SYSTEM_NETWORK_IO,
)
"""What the engine knows of process and host; the other readings would be taken for nothing."""

_BEGINS_BEFORE_NS: Final = 30_000_000_000
"""The engine believes that it saw a stream begin when that lies within its window. We know that we did, however long
nobody looked: the first point of a stream begins at most this long ago."""


_FORGOTTEN_AFTER_NS: Final = 120_000_000_000
"""Shorter than the time after which the engine forgets an instance, longer than any interval."""

_SECOND: Final = 1_000_000_000
_CLOCK_STEP_NS: Final = 60 * _SECOND


class Observer:
    """Reads the registers of the SDK, the process and the host. Not thread-safe; `close` when nobody asks any more."""

    def __init__(self, state: State, resource: Resource, sources: Sources | None = None) -> None:
        self._resource = resource
        self._scope = InstrumentationScope(semconv.SCOPE_NAME, __version__)
        self._durations = state.durations.new_source(has_exemplars=False)
        self._start_unix_ns = clock.unix_ns()
        self._last: tuple[list[Metric], int] = ([], 0)
        self._begins: dict[tuple[str, int, tuple[Any, ...]], int] = {}
        self._measures: dict[semconv.Metric, Measure] = {**measures(state), **_host_measures(sources or Sources())}
        self.close: Callable[[], object] = weakref.finalize(self, self._durations.close)

    def requests(self) -> Iterator[tuple[bytes, int]]:
        """What there is now: ExportMetricsServiceRequests, each with its time in nanoseconds since the epoch."""
        before, before_ns = self._last
        now_ns = self.now_ns()
        if before and now_ns - before_ns > _FORGOTTEN_AFTER_NS:
            # the engine forgets streams that are silent for long, and would take their totals for a beginning
            yield self._bytes([_at(metric, now_ns - _SECOND) for metric in before]), now_ns - _SECOND
        durations = [self._begun(metric, now_ns) for metric in self._durations(_CUMULATIVE)]
        self._last = durations, now_ns
        found = list(durations)
        for row, measure in self._measures.items():
            try:
                observed = list(measure())
            except Exception as error:  # noqa: BLE001 - psutil and queues of the program raise what they like
                _guard.contain(f"measuring {row.name}", error)
                continue
            if observed:
                found.append(self._metric(row, observed, now_ns))
        yield self._bytes(found), now_ns

    def now_ns(self) -> int:
        """The time, a little later than any before: totals of one instant would be taken for a repetition. A clock that
        was set back by more than a minute is followed; the engine knows what to do then."""
        now_ns, last_ns = clock.unix_ns(), self._last[1]
        return last_ns + 1 if last_ns - _CLOCK_STEP_NS < now_ns <= last_ns else now_ns

    def _bytes(self, found: list[Metric]) -> bytes:
        scope = ScopeMetrics(self._scope, found, "")
        return metric_bytes(MetricsData([ResourceMetrics(self._resource, [scope], "")]), None)

    def _metric(self, row: semconv.Metric, observed: Iterable[Observation], now_ns: int) -> Metric:
        points = [
            NumberDataPoint(point.attributes or {}, self._start_unix_ns, now_ns, point.value) for point in observed
        ]
        if row.instrument is Instrument.GAUGE:
            return Metric(row.name, row.description, row.unit, Gauge(points))
        is_monotonic = row.instrument is Instrument.COUNTER
        return Metric(row.name, row.description, row.unit, Sum(points, _CUMULATIVE, is_monotonic))

    def _begun(self, metric: Metric, now_ns: int) -> Metric:
        """``metric`` with beginnings that the engine believes."""
        points = []
        for point in _points(metric):
            attributes: Mapping[str, Any] = point.attributes or {}
            key = (metric.name, point.start_time_unix_nano, tuple(attributes.values()))
            begin_ns = self._begins.get(key)
            if begin_ns is None:
                begin_ns = self._begins[key] = max(point.start_time_unix_nano, now_ns - _BEGINS_BEFORE_NS)
            points.append(replace(point, start_time_unix_nano=begin_ns, time_unix_nano=now_ns))
        return _with_points(metric, points)


def _at(metric: Metric, time_ns: int) -> Metric:
    return _with_points(metric, [replace(point, time_unix_nano=time_ns) for point in _points(metric)])


def _points(metric: Metric) -> Sequence[ExponentialHistogramDataPoint]:
    assert isinstance(metric.data, ExponentialHistogram)  # what durations are
    return metric.data.data_points


def _with_points(metric: Metric, points: Sequence[ExponentialHistogramDataPoint]) -> Metric:
    return Metric(metric.name, metric.description, metric.unit, ExponentialHistogram(points, _CUMULATIVE))


def _host_measures(sources: Sources) -> dict[semconv.Metric, Measure]:
    try:
        # no leader: this engine is in this process, so nobody else tells it of the host
        process, system = Process(sources, Allowances(sources)), System(sources, None)
        process.begin()
        system.begin()
        found = {**process.measures(), **system.measures()}
    except Exception as error:  # noqa: BLE001 - a machine psutil cannot read costs these metrics, not the program
        _guard.contain("taking the first readings of the host", error)
        return {}
    return {row: found[row] for row in _OF_HOST if row in found}
