"""The real OpenTelemetry SDK sending one of each signal."""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor


def send_all(spans: Any, metrics: Any, logs: Any) -> None:
    """One span, one metric and one log record through the given exporters."""
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    with tracers.get_tracer("test").start_as_current_span("hello"):
        pass
    tracers.shutdown()

    meters = MeterProvider([PeriodicExportingMetricReader(metrics, 60_000)], shutdown_on_exit=False)
    meters.get_meter("test").create_counter("n").add(1)
    meters.force_flush()
    meters.shutdown()

    loggers = LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    record = LogRecord(timestamp=1, severity_number=SeverityNumber.INFO, body="hello")
    loggers.get_logger("test").emit(record)
    loggers.shutdown()
