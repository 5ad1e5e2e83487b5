"""Exporters of OpenTelemetry's SDK that encode as OTLP and send by a `Sender`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.view import Aggregation, ExponentialBucketHistogramAggregation
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from bmad_otel import _guard
from bmad_otel._delivery.encoding import Identity, in_requests, log_bytes, metric_bytes, span_bytes
from bmad_otel._delivery.ledger import Reason
from bmad_otel._delivery.sender import Sender
from bmad_otel._settings import variable

_DELTA, _CUMULATIVE = AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE


class SpanSender(SpanExporter):
    """Spans by OTLP. ``taken`` counts what it was given, for the queue before it."""

    def __init__(self, sender: Sender, identity: Identity | None) -> None:
        self.sender = sender
        self.taken = 0
        self._identity = identity

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        is_sent = _send(self.sender, spans, lambda part: span_bytes(part, self._identity))
        return SpanExportResult.SUCCESS if is_sent else SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True  # nothing is kept here

    def shutdown(self) -> None: ...


class LogSender(LogRecordExporter):
    """Log records by OTLP."""

    def __init__(self, sender: Sender, identity: Identity | None) -> None:
        self.sender = sender
        self._identity = identity

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        is_sent = _send(self.sender, batch, lambda part: log_bytes(part, self._identity))
        return LogRecordExportResult.SUCCESS if is_sent else LogRecordExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 10_000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True

    def shutdown(self) -> None: ...


class MetricSender(MetricExporter):
    """Metrics by OTLP, with temporality and histograms as the OTEL_EXPORTER_OTLP_METRICS_* variables have them."""

    def __init__(self, sender: Sender, identity: Identity | None) -> None:
        super().__init__(preferred_temporality=temporalities(), preferred_aggregation=_aggregations())
        self.sender = sender
        self._identity = identity

    def export(self, metrics_data: MetricsData, *_: Any, **__: Any) -> MetricExportResult:
        points = sum(len(metric.data.data_points) for metric in _metrics_of(metrics_data))
        if not points:
            return MetricExportResult.SUCCESS
        try:
            body = metric_bytes(metrics_data, self._identity)
        except Exception as error:  # noqa: BLE001 - encoders raise what they like at what they do not know
            _guard.contain("encoding metrics", error)
            self.sender.ledger.drop(points, Reason.NOT_ENCODABLE)
            return MetricExportResult.FAILURE
        return MetricExportResult.SUCCESS if self.sender.send(body, points) else MetricExportResult.FAILURE

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None: ...


def temporalities() -> dict[type, AggregationTemporality]:
    """OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, as the specification of the OTLP exporter has it."""
    preference = (variable("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE") or "cumulative").lower()
    found: dict[type, AggregationTemporality] = dict.fromkeys(
        (Counter, UpDownCounter, Histogram, ObservableCounter, ObservableUpDownCounter, ObservableGauge), _CUMULATIVE
    )
    if preference in ("delta", "lowmemory"):
        found[Counter] = found[Histogram] = _DELTA
    if preference == "delta":
        found[ObservableCounter] = _DELTA
    if preference not in ("cumulative", "delta", "lowmemory"):
        _guard.warn_once(
            f"temporality {preference}",
            "bmad_otel: OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: %r is ignored; known are cumulative, delta "
            "and lowmemory",
            preference,
        )
    return found


def _aggregations() -> dict[type, Aggregation]:
    wanted = variable("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION")
    if wanted == "base2_exponential_bucket_histogram":
        return {Histogram: ExponentialBucketHistogramAggregation()}
    if wanted not in (None, "explicit_bucket_histogram"):
        _guard.warn_once(
            f"aggregation {wanted}",
            "bmad_otel: OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION: %r is ignored; known are "
            "explicit_bucket_histogram and base2_exponential_bucket_histogram",
            wanted,
        )
    return {}


def _metrics_of(data: MetricsData) -> list[Any]:
    def scopes(part: ResourceMetrics) -> Sequence[ScopeMetrics]:
        return part.scope_metrics

    return [metric for part in data.resource_metrics for scope in scopes(part) for metric in scope.metrics]


def _send(sender: Sender, items: Sequence[Any], encode: Callable[[Sequence[Any]], bytes]) -> bool:
    def refuse(item: Any, error: Exception) -> None:
        sender.ledger.drop(1, Reason.NOT_ENCODABLE)
        _guard.warn_once(
            f"encoding {type(error).__name__}",
            "bmad_otel: %r cannot be written as OTLP and is dropped: %s; this is said once",
            getattr(item, "name", type(item).__name__),
            error,
        )

    is_sent = True
    for body, count in in_requests(items, encode, refuse):
        is_sent = sender.send(body, count) and is_sent
    return is_sent
