"""What one test has reported so far: spans that run, spans that have ended, log records, metric points."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from bmad_otel.testing._metrics import Points
from bmad_otel.testing._records import LogEntry, SpanRecord, log_entry, span_record

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.trace import ReadableSpan, Span

Key = tuple[int, int, int]
"""Trace id, span id and start time: the ids begin anew in each test, so alone they would not tell tests apart."""


class Recording:
    """Filled from any thread; each change is one step of a list or dict, so it needs no lock."""

    def __init__(self) -> None:
        self.spans: list[SpanRecord] = []
        self.running: dict[Key, tuple[int, ReadableSpan]] = {}
        self.logs: list[LogEntry] = []
        self.points = Points()
        self.trace_ids = itertools.count(1)
        self.span_ids = itertools.count(1)
        self._order = itertools.count()

    def clear(self) -> None:
        """Forget what has ended; what runs is still awaited."""
        self.spans.clear()
        self.logs.clear()
        self.points.clear()

    def started(self, span: Span) -> None:
        """A span has started."""
        self.running[_key(span)] = (next(self._order), span)

    def ended(self, span: ReadableSpan) -> bool:
        """A span has ended; False when it did not start here, such as one left over by an earlier test."""
        order, _ = self.running.pop(_key(span), (None, None))
        if order is None:
            return False
        self.spans.append(span_record(span, order, self))
        return True

    def logged(self, record: ReadWriteLogRecord) -> None:
        """A log record was emitted."""
        self.logs.append(log_entry(record))

    def parent_of(self, record: SpanRecord) -> SpanRecord | None:
        """The span it ran in, if that has ended."""
        return next((other for other in self.spans if _id_of(other) == (record.trace_id, record.parent_id)), None)

    def children_of(self, record: SpanRecord) -> list[SpanRecord]:
        """The ended spans that ran directly in it, in the order they started."""
        children = [other for other in self.spans if (other.trace_id, other.parent_id) == _id_of(record)]
        return sorted(children, key=order_of)


def order_of(record: SpanRecord) -> int:
    """Its place among all spans by start."""
    return record._order


def _id_of(record: SpanRecord) -> tuple[str, str]:
    return record.trace_id, record.span_id


def _key(span: ReadableSpan) -> Key:
    context = span.get_span_context()
    if context is None:
        return (0, 0, span.start_time or 0)
    return (context.trace_id, context.span_id, span.start_time or 0)
