"""BMAD's tracing service: spans by their id, over `BMADTracer`.

service = get_tracing_service("research")
with service.trace_operation("search", {"query": "..."}):
    ...
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

from bmad_otel.compat._tracer_span import TracerSpan
from bmad_otel.compat.tracing import BMADTracer, TracingConfig

__all__ = ["TracingContext", "TracingService", "get_tracing_service", "initialize_tracing_service"]


class TracingService:
    """Spans that are begun and ended by their id, maybe in different places. Nothing here raises into the program."""

    def __init__(self, service_name: str = "bmad-tracing-service", config: object = None) -> None:
        self.service_name = service_name
        self.config = config if config is not None else TracingConfig(service_name=service_name)
        self.tracer: BMADTracer | None = BMADTracer(self.config)

    def start_span(self, operation_name: str, attributes: Mapping[str, Any] | None = None) -> str | None:
        """Begin a span below the current one; returns its id, 16 hexadecimal digits. None when tracing is off, or the
        process has no OpenTelemetry provider."""
        span = self._begin(operation_name, attributes)
        return span.id if span is not None and span.get_span_context().is_valid else None

    def end_span(self, span_id: object, attributes: Mapping[str, Any] | None = None) -> None:
        """End the span with this id; one that is unknown or has ended is ignored. ``attributes`` with ``error`` true
        make it one that failed."""
        if self.tracer is None:
            return
        if attributes and attributes.get("error"):
            self.tracer.fail_span(
                span_id, str(attributes.get("error_type") or "error"), str(attributes.get("error_message") or "")
            )
        self.tracer.end_span(span_id, attributes)

    def record_event(
        self, event_name: str, attributes: Mapping[str, Any] | None = None, span_id: object | None = None
    ) -> None:
        """Tell of something on the open span with this id, else on the current one."""
        if self.tracer is not None:
            self.tracer.record_event(event_name, attributes, span_id)

    def add_attribute(self, key: str, value: Any, span_id: object | None = None) -> None:
        """Put an attribute on the open span with this id, else on the current one."""
        if self.tracer is not None:
            self.tracer.add_attribute(key, value, span_id)

    def trace_operation(self, operation_name: str, attributes: Mapping[str, Any] | None = None) -> TracingContext:
        """A span for a block: current in it, ended with it, failed when an exception leaves it."""
        return TracingContext(self, operation_name, attributes)

    def get_trace_id(self) -> str | None:
        """The current trace's id, 32 hexadecimal digits; None outside of any."""
        return None if self.tracer is None else self.tracer.get_trace_id()

    def is_enabled(self) -> bool:
        """Whether there is a tracer; set ``tracer`` to None to switch the service off."""
        return self.tracer is not None

    def _begin(self, operation_name: str, attributes: Mapping[str, Any] | None) -> TracerSpan | None:
        return None if self.tracer is None else self.tracer.start_span(operation_name, attributes=attributes)


class TracingContext:
    """What `TracingService.trace_operation` returns. ``span_id`` is known inside of the block."""

    def __init__(
        self, tracing_service: TracingService, operation_name: str, attributes: Mapping[str, Any] | None = None
    ) -> None:
        self.tracing_service = tracing_service
        self.operation_name = operation_name
        self.attributes = dict(attributes or {})
        self.span_id: str | None = None
        self._span: TracerSpan | None = None

    def __enter__(self) -> TracingContext:
        self._span = self.tracing_service._begin(self.operation_name, self.attributes)
        if self._span is not None:
            self._span.__enter__()
            self.span_id = self._span.id
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._span is not None:
            self._span.__exit__(kind, error, traceback)


class _Process:
    """The service of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.service: TracingService | None = None


_process: Final = _Process()


def get_tracing_service(service_name: str = "bmad-tracing-service") -> TracingService:
    """The service of this process, made at the first call."""
    with _process.lock:
        if _process.service is None:
            _process.service = TracingService(service_name)
        return _process.service


def initialize_tracing_service(service_name: str = "bmad-tracing-service", config: object = None) -> TracingService:
    """Make the service that `get_tracing_service` returns, anew."""
    with _process.lock:
        _process.service = TracingService(service_name, config)
        return _process.service
