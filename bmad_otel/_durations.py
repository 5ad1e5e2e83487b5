"""Durations of tasks and what else is a histogram of theirs, aggregated by us: filled in batches, exponential.

For the meter provider that `configure` makes. The hot path appends a number to a list; everything else happens when a
source is asked for its metrics, or for one task in `_FOLD_AT`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from bmad_otel import semconv
from bmad_otel._clock import clock
from bmad_otel._exponential import ExponentialHistogram
from bmad_otel._labels import AttributeValue

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import Exemplar
    from opentelemetry.sdk.metrics.export import AggregationTemporality, ExponentialHistogramDataPoint, Metric
    from opentelemetry.trace import Span

_FOLD_AT: Final = 1024
"""Durations of one series kept before they are counted into buckets."""

MAX_SERIES: Final = 2000
"""Series of all durations together, as many as the OpenTelemetry SDK keeps per instrument. The rest is counted under
``otel.metric.overflow``, as the specification of the SDK has it."""

_OVERFLOW: Final[Mapping[str, AttributeValue]] = {"otel.metric.overflow": True}

Key = tuple[str, tuple[tuple[str, AttributeValue], ...]]


class Series:
    """The values of one metric with one set of attributes, and the highest since the last look with its span.

    ``values`` waits to be counted. Appending is one step for the interpreter and the list is only cut at its front, so
    tasks of any thread add to it without a lock.
    """

    __slots__ = ("_durations", "attributes", "highest", "highest_span", "metric", "start_unix_ns", "values", "views")

    def __init__(self, durations: Durations, metric: semconv.Metric, attributes: dict[str, AttributeValue]) -> None:
        self._durations = durations
        self.metric = metric
        self.attributes = attributes
        self.clear()

    def clear(self) -> None:
        """Forget everything: the series starts now."""
        self.start_unix_ns = clock.unix_ns()
        self.values: list[float] = []
        self.views: dict[int, _View] = {}
        self.highest = -1.0
        self.highest_span: Span | None = None

    def add(self, value: float, span: Span) -> None:
        """One more value. The pair of value and span may be torn between two threads: both are true examples."""
        self.values.append(value)
        if value > self.highest:
            self.highest = value
            self.highest_span = span
        if len(self.values) >= _FOLD_AT:
            self._durations.fold(self)


class _View:
    """What one source makes of a series."""

    __slots__ = ("histogram", "start_unix_ns")

    def __init__(self, start_unix_ns: int) -> None:
        self.histogram = ExponentialHistogram()
        self.start_unix_ns = start_unix_ns


class Durations:
    """All series of the process, and the sources that report them.

    Nothing that a task does waits for the lock: a signal handler or the garbage collector may end a task of its own in
    the middle of a fold on the same thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._series: dict[Key, Series] = {}
        self._sources: dict[int, int] = {}
        self._next_source = 0

    def series(self, metric: semconv.Metric, attributes: dict[str, AttributeValue]) -> Series:
        """The series of these attributes; the one of the overflow when there are too many."""
        key = (metric.name, tuple(sorted(attributes.items())))
        found = self._series.get(key)
        if found is not None:
            return found
        if len(self._series) >= MAX_SERIES:
            attributes = dict(_OVERFLOW)
            key = (metric.name, tuple(attributes.items()))
        return self._series.setdefault(key, Series(self, metric, attributes))

    def new_source(self, *, has_exemplars: bool = True) -> Source:
        """What an exporter asks at each export; every source reports every task that ends from now on. An exemplar is
        reported once, so a source that has no use for them leaves them to the others."""
        with self._lock:
            for series in list(self._series.values()):
                self._fold(series)
            source, self._next_source = self._next_source, self._next_source + 1
            self._sources[source] = clock.unix_ns()
        return Source(self, source, has_exemplars=has_exemplars)

    def close_source(self, source: int) -> None:
        """Keep nothing for ``source`` any more; nothing happens if that has been done. Without the lock: the garbage
        collector may close one in the middle of a fold. What was kept goes at the next one."""
        self._sources.pop(source, None)

    def fold(self, series: Series) -> None:
        """Count what waits in ``series``, unless somebody is counting: it is counted next time then."""
        if self._lock.acquire(blocking=False):
            try:
                self._fold(series)
            finally:
                self._lock.release()

    def after_fork_in_child(self) -> None:
        """Begin anew: what the parent counted is the parent's to report. The series themselves are known to labels."""
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget all durations."""
        for series in list(self._series.values()):
            series.clear()

    def _fold(self, series: Series) -> None:
        waiting = len(series.values)
        values = series.values[:waiting]
        del series.values[:waiting]
        sources = self._sources.copy()
        for gone in series.views.keys() - sources.keys():
            del series.views[gone]
        for source, start_unix_ns in sources.items():
            view = series.views.get(source)
            if view is None:
                view = series.views[source] = _View(max(start_unix_ns, series.start_unix_ns))
            view.histogram.add(values)

    def metrics(self, source: int, temporality: AggregationTemporality, *, has_exemplars: bool) -> list[Metric]:
        """What ``source`` has to report: since its last time, or since its beginning. Nothing once it is closed."""
        from opentelemetry.sdk.metrics.export import AggregationTemporality, ExponentialHistogram, Metric

        now_ns = clock.unix_ns()
        points: dict[semconv.Metric, list[ExponentialHistogramDataPoint]] = {}
        with self._lock:
            for series in list(self._series.values()):
                self._fold(series)
                view = series.views.get(source)
                if view is None or not view.histogram.count:
                    continue
                points.setdefault(series.metric, []).append(_point(series, view, now_ns, has_exemplars))
                if temporality is AggregationTemporality.DELTA:
                    view.histogram.clear()
                    view.start_unix_ns = now_ns
        return [
            Metric(metric.name, metric.description, metric.unit, ExponentialHistogram(found, temporality))
            for metric, found in points.items()
        ]


class Source:
    """What one exporter (or monitor) asks for all durations, until `close`."""

    __slots__ = ("_durations", "_has_exemplars", "_number")

    def __init__(self, durations: Durations, number: int, *, has_exemplars: bool) -> None:
        self._durations = durations
        self._number = number
        self._has_exemplars = has_exemplars

    def __call__(self, temporality: AggregationTemporality) -> Sequence[Metric]:
        return self._durations.metrics(self._number, temporality, has_exemplars=self._has_exemplars)

    def close(self) -> None:
        """Nothing more is kept for this source."""
        self._durations.close_source(self._number)


def _point(series: Series, view: _View, now_ns: int, has_exemplars: bool) -> ExponentialHistogramDataPoint:
    from opentelemetry.sdk.metrics.export import Buckets, ExponentialHistogramDataPoint

    histogram = view.histogram
    offset, counts = histogram.buckets()
    return ExponentialHistogramDataPoint(
        attributes=series.attributes,
        start_time_unix_nano=view.start_unix_ns,
        time_unix_nano=now_ns,
        count=histogram.count,
        sum=histogram.total,
        scale=histogram.scale,
        zero_count=histogram.zero_count,
        positive=Buckets(offset=offset, bucket_counts=counts),
        negative=Buckets(offset=0, bucket_counts=[]),
        flags=0,
        min=histogram.minimum,
        max=histogram.maximum,
        exemplars=_exemplars(series, now_ns) if has_exemplars else [],
    )


def _exemplars(series: Series, now_ns: int) -> list[Exemplar]:
    """The task with the highest value since the last look, if its span was sampled."""
    from opentelemetry.sdk.metrics import Exemplar

    span, value = series.highest_span, series.highest
    series.highest_span, series.highest = None, -1.0
    if span is None:
        return []
    context = span.get_span_context()
    if not context.trace_flags.sampled:
        return []
    return [Exemplar({}, value, now_ns, context.span_id, context.trace_id)]
