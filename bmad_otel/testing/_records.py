"""What was captured, as plain values: made when a span ends or a log record is emitted, never changed afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import format_span_id, format_trace_id

from bmad_otel import semconv

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.trace import ReadableSpan

    from bmad_otel.testing._recording import Recording

Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event of a span. ``unix_ns`` is its time in nanoseconds since the epoch."""

    name: str
    attributes: Attributes
    unix_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class SpanRecord:
    """A span that has ended. ``status`` is ``unset``, ``ok`` or ``error``; ids are the usual hexadecimal text.

    ``parent_id`` is None for a root. Times are nanoseconds since the epoch. ``scope`` names what made the span:
    ``bmad_otel`` for tracked functions.
    """

    name: str
    attributes: Attributes
    events: tuple[EventRecord, ...]
    trace_id: str
    span_id: str
    parent_id: str | None
    status: str
    status_message: str | None
    start_unix_ns: int
    end_unix_ns: int
    scope: str
    _order: int = field(repr=False)
    _of: Recording = field(repr=False)

    @property
    def agent(self) -> str | None:
        """``gen_ai.agent.name``: whose task it is."""
        return self._text(semconv.GEN_AI_AGENT_NAME)

    @property
    def task(self) -> str | None:
        """``bmad.task.name``; None for a span that is not of a tracked function."""
        return self._text(semconv.TASK_NAME)

    @property
    def operation(self) -> str | None:
        """``gen_ai.operation.name``, such as ``invoke_agent`` or ``execute_tool``."""
        return self._text(semconv.GEN_AI_OPERATION_NAME)

    @property
    def outcome(self) -> str | None:
        """``bmad.task.outcome``: ``ok``, ``error``, ``cancelled``, ``timeout`` or ``closed_early``."""
        return self._text(semconv.TASK_OUTCOME)

    @property
    def error_type(self) -> str | None:
        """``error.type``: the class of the exception, or the name the task gave its failure."""
        return self._text(semconv.ERROR_TYPE)

    @property
    def duration_s(self) -> float:
        """Seconds from start to end."""
        return (self.end_unix_ns - self.start_unix_ns) / 1e9

    @property
    def parent(self) -> SpanRecord | None:
        """The span it ran in; None for a root, and while the parent is still running."""
        return self._of.parent_of(self)

    @property
    def children(self) -> list[SpanRecord]:
        """The ended spans that ran directly in it, in the order they started."""
        return self._of.children_of(self)

    def _text(self, key: str) -> str | None:
        value = self.attributes.get(key)
        return None if value is None else str(value)


@dataclass(frozen=True, slots=True, eq=False)
class LogEntry:
    """A log record. ``severity`` is its text, or the name of its number; ids are None outside of any span."""

    event_name: str | None
    body: Any
    severity: str | None
    attributes: Attributes
    trace_id: str | None
    span_id: str | None


def span_record(span: ReadableSpan, order: int, of: Recording) -> SpanRecord:
    """The record of a span that has ended; ``order`` counts the starts of spans."""
    context = span.get_span_context()
    if context is None or span.start_time is None or span.end_time is None:
        raise ValueError(f"the span {span.name!r} has no context or has not ended")
    return SpanRecord(
        name=span.name,
        attributes=frozen(span.attributes),
        events=tuple(EventRecord(event.name, frozen(event.attributes), event.timestamp) for event in span.events),
        trace_id=format_trace_id(context.trace_id),
        span_id=format_span_id(context.span_id),
        parent_id=None if span.parent is None else format_span_id(span.parent.span_id),
        status=span.status.status_code.name.lower(),
        status_message=span.status.description,
        start_unix_ns=span.start_time,
        end_unix_ns=span.end_time,
        scope="" if span.instrumentation_scope is None else span.instrumentation_scope.name,
        _order=order,
        _of=of,
    )


def log_entry(emitted: ReadWriteLogRecord) -> LogEntry:
    """The entry of a log record as it is at this moment; later processors may still change the original."""
    record = emitted.log_record
    severity = record.severity_text or (None if record.severity_number is None else record.severity_number.name)
    return LogEntry(
        event_name=record.event_name or None,
        body=record.body,
        severity=severity,
        attributes=frozen(record.attributes),
        trace_id=format_trace_id(record.trace_id) if record.trace_id else None,
        span_id=format_span_id(record.span_id) if record.span_id else None,
    )


def frozen(attributes: Mapping[str, Any] | None) -> Attributes:
    """A copy that cannot be changed."""
    return MappingProxyType(dict(attributes or {}))
