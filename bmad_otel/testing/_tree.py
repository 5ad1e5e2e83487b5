"""Spans as indented text, the same in every run: no ids, no times unless asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.trace import format_span_id, format_trace_id

from bmad_otel import semconv
from bmad_otel.testing._recording import Recording, order_of
from bmad_otel.testing._records import SpanRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


_Id = tuple[str, str]
"""Trace id and span id."""


@dataclass(frozen=True, slots=True)
class _Node:
    order: int
    id: _Id
    parent: _Id | None
    text: str


def render(recording: Recording, *, with_durations: bool) -> str:
    """One line for each span below the span it ran in, in the order they started. No newline at the end."""
    ended = [_ended(record, with_durations) for record in list(recording.spans)]
    nodes = sorted([*ended, *_still_running(recording)], key=lambda node: node.order)
    known = {node.id for node in nodes}
    below: dict[_Id | None, list[_Node]] = {}
    for node in nodes:
        below.setdefault(node.parent if node.parent in known else None, []).append(node)
    return "\n".join(_lines(below, None, ""))


def line_of(record: SpanRecord, *, with_duration: bool = False) -> str:
    """``invoke_agent Planner (plan): error ValueError``: the span's name, the task if that does not say it, the end."""
    end = record.outcome or ("error" if record.status == "error" else "")
    if end and record.error_type is not None:
        end += f" {record.error_type}"
    duration = f" {record.duration_s:.9g} s" if with_duration else ""
    return f"{_label(record.name, record.task)}{': ' if end else ''}{end}{duration}"


def running_lines(recording: Recording) -> list[str]:
    """The spans that have not ended, in the order they started."""
    return [node.text for node in sorted(_still_running(recording), key=lambda node: node.order)]


def _label(name: str, task: str | None) -> str:
    return name if task is None or name.endswith(f" {task}") else f"{name} ({task})"


def _ended(record: SpanRecord, with_duration: bool) -> _Node:
    parent = None if record.parent_id is None else (record.trace_id, record.parent_id)
    text = line_of(record, with_duration=with_duration)
    return _Node(order_of(record), (record.trace_id, record.span_id), parent, text)


def _still_running(recording: Recording) -> list[_Node]:
    nodes = []
    for order, span in list(recording.running.values()):
        context = span.get_span_context()
        if context is not None:
            own = (format_trace_id(context.trace_id), format_span_id(context.span_id))
            nodes.append(_Node(order, own, _parent_of(span), f"{_label(span.name, _task_of(span))}: running"))
    return nodes


def _parent_of(span: ReadableSpan) -> _Id | None:
    if span.parent is None:
        return None
    return format_trace_id(span.parent.trace_id), format_span_id(span.parent.span_id)


def _task_of(span: ReadableSpan) -> str | None:
    task = (span.attributes or {}).get(semconv.TASK_NAME)
    return None if task is None else str(task)


def _lines(below: dict[_Id | None, list[_Node]], parent: _Id | None, indent: str) -> Iterator[str]:
    # a loop instead of recursion: a test may nest spans deeper than Python calls
    waiting = [(node, indent) for node in reversed(below.get(parent, []))]
    while waiting:
        node, at = waiting.pop()
        yield at + node.text
        waiting += [(child, at + "  ") for child in reversed(below.get(node.id, []))]
