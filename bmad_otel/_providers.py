"""The OpenTelemetry providers: the program's own where it has set them, ours where it has not."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Histogram
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from bmad_otel import _guard, semconv
from bmad_otel._delivery.exporters import SpanSender
from bmad_otel._delivery.queue import DEFAULT_QUEUE_SIZE, CountedBatches
from bmad_otel._delivery.sender import Sender
from bmad_otel._exporters import ConsoleMetrics, Delivery
from bmad_otel._failure import exception_signals
from bmad_otel._instruments import is_placeholder
from bmad_otel._own_provider import OwnMeterProvider
from bmad_otel._settings import (
    DEFAULT_METRIC_INTERVAL_S,
    DEFAULT_SPAN_DELAY_MS,
    Settings,
    SignalName,
    exporter_names,
    variable,
)
from bmad_otel._spans import span_source
from bmad_otel._state import state

_MAX_BUCKETS = 160
"""Buckets of a duration histogram for each sign: the specification's default, 2 % error over a range of 1 to 1,000."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What we created for one signal: how it is put in place, and how it is ended.

    ``flush`` and ``close`` block until what waits was sent or given up; the ``sender`` decides how long that is, once
    it has been told to close. ``waiting`` counts what is queued, where that is known.
    """

    name: SignalName
    install: Callable[[], None]
    flush: Callable[[], bool]
    close: Callable[[], None]
    sender: Sender | None
    waiting: Callable[[], int]
    after_fork_in_child: Callable[[], None] = lambda: None


class _Reader(PeriodicExportingMetricReader):
    """The SDK's reader, which may be shut down twice in silence: by us, and by the program's provider it is on."""

    _is_ended = False

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        if not self._is_ended:
            self._is_ended = True
            super().shutdown(timeout_millis, **kwargs)


def set_up(settings: Settings, delivery: Delivery) -> list[Signal]:
    """Set the global providers that are missing; returns what `shutdown` has to end.

    All is built before anything is put in place: a variable an exporter chokes on leaves the program as it was.
    """
    resource = resource_of(settings)
    prepared = [_prepare_traces(settings, resource, delivery), _prepare_metrics(settings, resource, delivery)]
    if {"logs", "logs/dup"} & set(exception_signals()):
        prepared.append(_prepare_logs(settings, resource, delivery))
    signals = [signal for signal in prepared if signal is not None]
    for signal in signals:
        signal.install()
    return signals


def _prepare_traces(settings: Settings, resource: Resource, delivery: Delivery) -> Signal | None:
    present = trace.get_tracer_provider()
    if not is_placeholder(present):
        if settings.endpoint is None:
            return None
        taker = _taker(present, "add_span_processor")
        if taker is None:
            _refuse_endpoint("TracerProvider")
            return None
        batches = _batches(delivery.spans(to_own_provider=False))
        return Signal(
            "traces", lambda: taker.add_span_processor(batches), batches.force_flush, batches.shutdown,
            delivery.senders["traces"], batches.waiting, batches.begin,
        )  # fmt: skip
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    queue: CountedBatches | None = None
    for name in exporter_names("traces"):
        if name == "console":
            provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(), schedule_delay_millis=_delay_ms()))
        else:
            queue = _batches(delivery.spans(to_own_provider=True))
            provider.add_span_processor(queue)

    def install() -> None:
        trace.set_tracer_provider(provider)
        source = span_source(provider)
        if source is not None:
            state.open().make_spans_with(source.start, source.set_outcome)

    return Signal(
        "traces", install, provider.force_flush, provider.shutdown, delivery.senders.get("traces"),
        (lambda: 0) if queue is None else queue.waiting, (lambda: None) if queue is None else queue.begin,
    )  # fmt: skip


def _prepare_metrics(settings: Settings, resource: Resource, delivery: Delivery) -> Signal | None:
    present = metrics.get_meter_provider()
    if not is_placeholder(present):
        if settings.endpoint is None:
            return None
        taker = _taker(present, "add_metric_reader")  # younger than the oldest release we work with
        if taker is None:
            _refuse_endpoint("MeterProvider")
            return None
        reader = _metric_reader(settings, delivery.metrics(to_own_provider=False))
        return Signal(
            "metrics", lambda: taker.add_metric_reader(reader), reader.force_flush,
            lambda: _end_reader(taker, reader), delivery.senders["metrics"], lambda: 0,
        )  # fmt: skip
    exporters = [
        ConsoleMetrics() if name == "console" else delivery.metrics(to_own_provider=True)
        for name in exporter_names("metrics")
    ]
    views = _views()
    instruments = state.open()
    provider = OwnMeterProvider(
        lambda: instruments.fold_durations(also_record=True) if instruments.folds else None,
        metric_readers=[_metric_reader(settings, exporter) for exporter in exporters],
        resource=resource,
        shutdown_on_exit=False,
        views=views,
    )

    def install() -> None:
        if views:  # else the user's variable says what histograms are to be
            for exporter in exporters:
                exporter.send_durations(state.durations.new_source(), resource)
            instruments.fold_durations(also_record=False)
        metrics.set_meter_provider(provider)

    return Signal(
        "metrics", install, provider.force_flush, provider.shutdown, delivery.senders.get("metrics"), lambda: 0
    )


def _prepare_logs(settings: Settings, resource: Resource, delivery: Delivery) -> Signal | None:
    from opentelemetry import _logs
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    present = _logs.get_logger_provider()
    # as `is_placeholder`, which does not know log records: they are imported only here
    is_api = type(present).__module__.startswith("opentelemetry._logs")
    is_ours = is_api and not isinstance(present, _logs.NoOpLoggerProvider)
    if not is_ours and settings.endpoint is None:
        return None
    taker = (
        LoggerProvider(resource=resource, shutdown_on_exit=False)
        if is_ours
        else _taker(present, "add_log_record_processor")
    )
    if taker is None:
        _refuse_endpoint("LoggerProvider")
        return None
    processor = BatchLogRecordProcessor(delivery.logs(to_own_provider=is_ours), schedule_delay_millis=_delay_ms())

    def install() -> None:
        taker.add_log_record_processor(processor)
        if is_ours:
            _logs.set_logger_provider(taker)

    return Signal("logs", install, processor.force_flush, processor.shutdown, delivery.senders["logs"], lambda: 0)


def _taker(provider: object, method: str) -> Any:
    """The provider, or the one it stands for, that has ``method``; None if neither has.

    Logfire sets providers of its own classes, which keep the SDK's one in the attribute ``provider``.
    """
    for candidate in (provider, getattr(provider, "provider", None)):
        if callable(getattr(candidate, method, None)):
            return candidate
    return None


def _end_reader(provider: Any, reader: _Reader) -> None:
    reader.shutdown()  # first: a reader taken off its provider has nothing to send
    if hasattr(provider, "remove_metric_reader"):
        provider.remove_metric_reader(reader)


def _refuse_endpoint(kind: str) -> None:
    _guard.warn_once(
        f"endpoint {kind}",
        "bmad_otel: the program's own %s takes no further exporter; configure(endpoint=...) has no effect on it",
        kind,
    )


def _batches(sender: SpanSender) -> CountedBatches:
    size = variable("OTEL_BSP_MAX_QUEUE_SIZE")
    return CountedBatches(sender, int(size) if size and size.isdigit() else DEFAULT_QUEUE_SIZE, _delay_ms())


def _delay_ms() -> float | None:
    return None if variable("OTEL_BSP_SCHEDULE_DELAY") else DEFAULT_SPAN_DELAY_MS


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


def resource_of(settings: Settings) -> Resource:
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
