"""The ends of the span pipeline: they count and throw away, because what is measured is making spans."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from sdk.loops import Loop, awaiting, calling


class Discard(SpanProcessor):
    """The null span processor, the same behind every form that allows it."""

    def __init__(self) -> None:
        self.count = 0
        self.last: ReadableSpan | None = None

    def on_end(self, span: ReadableSpan) -> None:
        self.count += 1
        self.last = span

    def spans(self) -> int:
        return self.count

    def last_span(self) -> dict[str, Any]:
        span = self.last
        return {} if span is None else {"name": span.name, "attributes": dict(span.attributes or {})}


class DiscardExporter(SpanExporter):
    """The null exporter, for peers that insist on a span processor of their own."""

    def __init__(self) -> None:
        self.count = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.count += len(spans)
        return SpanExportResult.SUCCESS

    def spans(self) -> int:
        return self.count


def nothing() -> None: ...


def plain() -> Loop:
    """The empty function that every form calls, called as it is."""
    return calling(nothing)


def bare_span_of(provider: trace.TracerProvider) -> Loop:
    """`start_as_current_span` without attributes around the empty function."""
    tracer = provider.get_tracer("benchmark")

    def bare_span() -> None:
        with tracer.start_as_current_span("invoke_agent Benchmark"):
            nothing()

    return calling(bare_span)


def own_bare_span() -> Loop:
    """The same on a provider of its own, which is nobody's global one: for peers that take the global one."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Discard())
    return bare_span_of(provider)


def bare_coroutine_of(provider: trace.TracerProvider, awaits: Callable[[], Awaitable[object]]) -> Loop:
    """`start_as_current_span` without attributes around something to await."""
    tracer = provider.get_tracer("benchmark")

    async def bare_coroutine() -> None:
        with tracer.start_as_current_span("invoke_agent Benchmark"):
            await awaits()

    return awaiting(bare_coroutine)
