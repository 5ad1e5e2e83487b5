"""The OpenTelemetry providers: the program's own where it has set them, ours where it has not."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from bmad_otel import _exporters, _guard, semconv
from bmad_otel._instruments import is_placeholder
from bmad_otel._settings import DEFAULT_METRIC_INTERVAL_S, DEFAULT_SPAN_DELAY_MS, Settings, variable

_MAX_BUCKETS = 160
"""Buckets of a duration histogram for each sign: the specification's default, 2 % error over a range of 1 to 1,000."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What we created for one signal: how it is put in place, and how it is ended.

    ``flush`` and ``close`` block for as long as the exporter takes, up to 30 s; the caller decides how long it waits.
    """

    name: str
    install: Callable[[], None]
    flush: Callable[[], bool]
    close: Callable[[], None]


class _Reader(PeriodicExportingMetricReader):
    """The SDK's reader, which may be shut down twice in silence: by us, and by the program's provider it is on."""

    _is_ended = False

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        if not self._is_ended:
            self._is_ended = True
            super().shutdown(timeout_millis, **kwargs)


def set_up(settings: Settings) -> list[Signal]:
    """Set the global providers that are missing; returns what `shutdown` has to end.

    All is built before anything is put in place: a variable an exporter chokes on leaves the program as it was.
    """
    resource = _resource(settings)
    prepared = (_prepare_traces(settings, resource), _prepare_metrics(settings, resource))
    signals = [signal for signal in prepared if signal is not None]
    for signal in signals:
        signal.install()
    return signals


def _prepare_traces(settings: Settings, resource: Resource) -> Signal | None:
    present = trace.get_tracer_provider()
    if not is_placeholder(present):
        if settings.endpoint is None:
            return None
        if not isinstance(present, TracerProvider):
            _refuse_endpoint("TracerProvider")
            return None
        processor = _span_processor(_exporters.otlp_spans(settings))
        return Signal(
            "traces", lambda: present.add_span_processor(processor), processor.force_flush, processor.shutdown
        )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    for exporter in _exporters.span_exporters(settings):
        provider.add_span_processor(_span_processor(exporter))
    return Signal("traces", lambda: trace.set_tracer_provider(provider), provider.force_flush, provider.shutdown)


def _prepare_metrics(settings: Settings, resource: Resource) -> Signal | None:
    present = metrics.get_meter_provider()
    if not is_placeholder(present):
        if settings.endpoint is None:
            return None
        # younger than the oldest release we work with
        if not isinstance(present, MeterProvider) or not hasattr(present, "add_metric_reader"):
            _refuse_endpoint("MeterProvider")
            return None
        reader = _metric_reader(settings, _exporters.otlp_metrics(settings))
        return Signal(
            "metrics",
            lambda: present.add_metric_reader(reader),
            reader.force_flush,
            lambda: _end_reader(present, reader),
        )
    provider = MeterProvider(
        metric_readers=[_metric_reader(settings, exporter) for exporter in _exporters.metric_exporters(settings)],
        resource=resource,
        shutdown_on_exit=False,
        views=_views(),
    )
    return Signal("metrics", lambda: metrics.set_meter_provider(provider), provider.force_flush, provider.shutdown)


def _end_reader(provider: MeterProvider, reader: _Reader) -> None:
    reader.shutdown()  # first: a reader taken off its provider has nothing to send
    provider.remove_metric_reader(reader)


def _refuse_endpoint(kind: str) -> None:
    _guard.warn_once(
        f"endpoint {kind}",
        "bmad_otel: the program's own %s takes no further exporter; configure(endpoint=...) has no effect on it",
        kind,
    )


def _span_processor(exporter: SpanExporter) -> SpanProcessor:
    delay_ms = None if variable("OTEL_BSP_SCHEDULE_DELAY") else DEFAULT_SPAN_DELAY_MS
    return BatchSpanProcessor(exporter, schedule_delay_millis=delay_ms)


def _metric_reader(settings: Settings, exporter: MetricExporter) -> _Reader:
    interval_s = settings.metric_export_interval_s
    if interval_s is None and not variable("OTEL_METRIC_EXPORT_INTERVAL"):
        interval_s = DEFAULT_METRIC_INTERVAL_S
    return _Reader(exporter, export_interval_millis=None if interval_s is None else interval_s * 1000)


def _views() -> list[View]:
    """Exponential histograms for our own durations, unless the user's variable says what histograms are to be."""
    if variable("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"):
        return []
    aggregation = ExponentialBucketHistogramAggregation(max_size=_MAX_BUCKETS)
    return [View(instrument_type=Histogram, meter_name=semconv.SCOPE_NAME, aggregation=aggregation)]


def _resource(settings: Settings) -> Resource:
    """Who reports. Later wins: our defaults, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME, the arguments."""
    defaults = Resource(
        {
            semconv.SERVICE_INSTANCE_ID: str(uuid.uuid4()),
            semconv.HOST_NAME: socket.gethostname(),
            semconv.PROCESS_PID: os.getpid(),
        }
    )
    given = dict(settings.resource_attributes)
    if settings.service_name is not None:
        given[semconv.SERVICE_NAME] = settings.service_name
    return defaults.merge(Resource.create(given))
