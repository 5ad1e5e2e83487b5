"""What `BMADTracer.start_span` returns: a span that may be used in the three ways BMAD's programs use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, Status, StatusCode, format_span_id

from bmad_otel import _failure, _guard
from bmad_otel.compat._attributes import attribute, span_attributes
from bmad_otel.semconv import Operation


class TracerSpan(Span):
    """A span of OpenTelemetry: with ``with`` (or ``async with``) it is current for its block and ends with it; as a
    plain object it ends with `end`, or with `BMADTracer.end_span` and its `id`.

    Attributes may be of any type (see `span_attributes`). Nothing here raises into the program.
    """

    def __init__(self, span: Span, name: str, ended: Callable[[TracerSpan], None]) -> None:
        self.name = name
        self.failed = False
        self._span = span
        self._ended = ended
        self._is_over = False
        self._tokens: list[Any] = []

    @property
    def id(self) -> str:
        """The span's id, 16 hexadecimal digits."""
        return format_span_id(self._span.get_span_context().span_id)

    def __str__(self) -> str:
        return self.id

    def __enter__(self) -> TracerSpan:
        self._tokens.append(otel_context.attach(trace.set_span_in_context(self._span)))
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self._tokens:
            otel_context.detach(self._tokens.pop())
        if error is not None:
            self._fail(error)
        self.end()

    async def __aenter__(self) -> TracerSpan:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def end(self, end_time: int | None = None) -> None:
        """End the span; further calls do nothing. ``end_time``: nanoseconds since the epoch."""
        if self._is_over:
            return
        self._is_over = True
        try:
            self._span.end(end_time)
            self._ended(self)
        except Exception as error:  # noqa: BLE001 - span processors are other people's code
            _guard.contain("ending a span", error)

    def get_span_context(self) -> SpanContext:
        """As OpenTelemetry has it."""
        return self._span.get_span_context()

    def is_recording(self) -> bool:
        """Whether the span is sampled and has not ended."""
        return self._span.is_recording()

    def set_attribute(self, key: str, value: Any) -> None:
        """Put one attribute on the span."""
        try:
            self._span.set_attribute(str(key), attribute(str(key), value))
        except Exception as error:  # noqa: BLE001 - the value is anything
            _guard.contain("setting an attribute", error)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Put the members of a mapping on the span."""
        try:
            self._span.set_attributes(span_attributes(attributes))
        except Exception as error:  # noqa: BLE001 - the values are anything
            _guard.contain("setting attributes", error)

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: float | None = None) -> None:
        """Tell of something that happened at ``timestamp``: nanoseconds since the epoch, or a float of seconds."""
        try:
            at_ns = int(timestamp * 1e9) if isinstance(timestamp, float) else timestamp
            self._span.add_event(str(name), span_attributes(attributes), at_ns)
        except Exception as error:  # noqa: BLE001 - the attributes are anything
            _guard.contain("adding an event", error)

    def update_name(self, name: str) -> None:
        """Give the span another name."""
        self.name = name
        self._span.update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """As OpenTelemetry has it."""
        code = status.status_code if isinstance(status, Status) else status
        self.failed = self.failed or code is StatusCode.ERROR
        self._span.set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        _timestamp: int | None = None,
        _escaped: bool = False,
    ) -> None:
        """Tell of an exception, which also makes the span one that failed."""
        if attributes:
            self.set_attributes(attributes)
        self._fail(exception)

    def _fail(self, error: BaseException) -> None:
        try:
            if self._span.is_recording() and _failure.outcome_of(error, {}) in _failure.FAILURES:
                self.failed = True
                around: Context = trace.set_span_in_context(self._span)
                _failure.record(self._span, Operation.INVOKE_AGENT, _failure.type_name(error), error, "", around)
        except Exception as own_error:  # noqa: BLE001 - the exception is the program's, and so is all it does
            _guard.contain("recording an exception", own_error)
