"""What changes where `configure` made the providers: durations and spans by our own hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from bmad_otel import semconv
from bmad_otel._delivery.exporters import temporalities
from bmad_otel._durations import Source
from bmad_otel._version import __version__
from bmad_otel.semconv import Instrument

_DURATIONS = frozenset(metric.name for metric in semconv.AGENT_METRICS if metric.instrument is Instrument.HISTOGRAM)


class AddsDurations:
    """To be put before a class of metric exporters: sends the durations we aggregate along with what the SDK collected.

    The SDK's own histograms of durations, recorded for readers that are not ours, are left out: they would say the same
    once more.
    """

    _source: Source | None = None

    def send_durations(self, source: Source, resource: Resource) -> None:
        """Ask ``source`` at each export from now on; ``resource`` is the meter provider's."""
        self._source = source
        self._resource = resource
        self._temporality = temporalities()[Histogram]

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """As the exporter's class has it, for all metrics together."""
        exporter = cast("MetricExporter", super())
        if self._source is not None:
            metrics_data = self._completed(metrics_data, self._source)
        return exporter.export(metrics_data, timeout_millis, **kwargs)

    def _completed(self, data: MetricsData, source: Source) -> MetricsData:
        """``data`` with the durations in our own scope: encoders keep one list of metrics for each scope."""
        durations = list(source(self._temporality))
        parts = list(data.resource_metrics) or [ResourceMetrics(self._resource, [], "")]
        ours = next((i for i, part in enumerate(parts) if part.resource == self._resource), 0)
        completed = [
            ResourceMetrics(part.resource, _with(part.scope_metrics, durations if i == ours else []), part.schema_url)
            for i, part in enumerate(parts)
        ]
        return MetricsData(completed)


def _with(scopes: Sequence[ScopeMetrics], durations: list[Metric]) -> list[ScopeMetrics]:
    others = [scope for scope in scopes if scope.scope.name != semconv.SCOPE_NAME]
    own = [scope for scope in scopes if scope.scope.name == semconv.SCOPE_NAME]
    if not own and not durations:
        return others
    kept = [metric for scope in own for metric in scope.metrics if metric.name not in _DURATIONS]
    scope = own[0].scope if own else InstrumentationScope(semconv.SCOPE_NAME, __version__)
    return [*others, ScopeMetrics(scope, [*kept, *durations], "")]


class OwnMeterProvider(MeterProvider):
    """The SDK's meter provider, which says when a reader is added that knows the SDK's instruments only."""

    def __init__(self, on_foreign_reader: Callable[[], None], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._on_foreign_reader = on_foreign_reader

    def add_metric_reader(self, metric_reader: MetricReader) -> None:
        """As the SDK has it; from now on durations are recorded in its histograms as well."""
        self._on_foreign_reader()
        super().add_metric_reader(metric_reader)
