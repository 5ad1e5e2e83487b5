"""Spans of tasks for a tracer provider that `configure` made, at a third of the cost of the SDK's.

Half of what the OpenTelemetry SDK spends on a span goes into locks, bounded lists and the copying and checking of
attributes that an SDK must be ready for. The spans of tasks begin with a few attributes checked at decoration; a
`TaskSpan` makes the rest when somebody asks for it. It is the SDK's public interfaces on both sides: the sampler, id
generator, resource and span processors of the provider's own tracer, and a `ReadableSpan` for the processors.

Used only where nothing can differ: not with a provider, tracer class or span limits of the application's own, and not
when the SDK's own metrics about spans are switched on. `tests/sdk/test_spans.py` compares it with the SDK's spans.
"""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, Tracer, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from bmad_otel import semconv
from bmad_otel._clock import clock as _clock
from bmad_otel._labels import AttributeValue
from bmad_otel._version import __version__

_logger = logging.getLogger("bmad_otel")
_growing: Final = threading.RLock()
"""Held while a span gets what it did without so far: seldom, and never on the hot path."""

_UNSET: Final = Status(StatusCode.UNSET)
_NO_LINKS: Final[Sequence[Link]] = ()
_INTERNAL: Final = SpanKind.INTERNAL
_DROP: Final = Decision.DROP
_SAMPLED: Final = Decision.RECORD_AND_SAMPLE


class SpanSource:
    """Starts the spans of tasks on behalf of a tracer of the SDK."""

    def __init__(self, tracer: Tracer, limits: SpanLimits) -> None:
        self._tracer = tracer
        self.processor = tracer.span_processor
        self.limits = limits
        self.scope = InstrumentationScope(semconv.SCOPE_NAME, __version__)
        # Newer than the oldest release we work with; without it no trace id is known to be random.
        self._is_random = getattr(tracer.id_generator, "is_trace_id_random", lambda: False)
        random = getattr(TraceFlags, "RANDOM_TRACE_ID", 0)
        # Indexed by whether the trace id is random; made once, for a flag object costs as much as a third of a start.
        self._unsampled = (TraceFlags(0), TraceFlags(random))
        self._sampled = (TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.SAMPLED | random))

    def start(self, name: str, attributes: Mapping[str, AttributeValue], start_unix_ns: int, context: Context) -> Span:
        """A span below that of ``context``, as `Tracer.start_span` makes it."""
        tracer = self._tracer
        parent: SpanContext | None = trace.get_current_span(context).get_span_context()
        if parent is None or not parent.is_valid:
            parent = None
            trace_id = tracer.id_generator.generate_trace_id()
            is_random = self._is_random()
        else:
            trace_id = parent.trace_id
            is_random = bool(getattr(parent.trace_flags, "random_trace_id", False))
        result = tracer.sampler.should_sample(context, trace_id, name, _INTERNAL, attributes, _NO_LINKS)
        decision = result.decision
        flags = self._sampled if decision is _SAMPLED else self._unsampled
        span_context = SpanContext(
            trace_id, tracer.id_generator.generate_span_id(), False, flags[is_random], result.trace_state
        )
        if decision is _DROP:
            return NonRecordingSpan(span_context)
        span = TaskSpan(self, tracer.resource, name, span_context, parent, dict(result.attributes), start_unix_ns)
        self.processor.on_start(span, context)
        return span

    def set_outcome(self, span: Span, outcome: str) -> None:
        """``bmad.task.outcome`` of a running span made here; the value needs no check."""
        if type(span) is TaskSpan:
            span._values[semconv.TASK_OUTCOME] = outcome


class TaskSpan(sdk.Span):
    """A recording span of a task: a span of the SDK to whoever asks, with storage of its own."""

    # What most spans never have is kept on the class until somebody says it.
    _new_name: str | None = None
    _told: Any = ()
    _linked: Any = ()
    _standing = _UNSET
    _ended_unix_ns: int | None = None

    def __init__(
        self,
        source: SpanSource,
        resource: Resource,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: dict[str, Any],
        start_unix_ns: int,
    ) -> None:
        ReadableSpan.__init__(
            self, name, context, parent, resource, attributes, (), (), _INTERNAL, None, _UNSET, start_unix_ns, None,
            source.scope,
        )  # fmt: skip
        self._source = source
        self._values: Any = attributes

    @property
    def name(self) -> str:
        return self._new_name or super().name

    @property
    def attributes(self) -> Mapping[str, Any]:
        return MappingProxyType(self._values)

    @property
    def events(self) -> Sequence[Event]:
        return tuple(self._told)

    @property
    def links(self) -> Sequence[Link]:
        return tuple(self._linked)

    @property
    def status(self) -> Status:
        return self._standing

    @property
    def end_time(self) -> int | None:
        return self._ended_unix_ns

    def get_span_context(self) -> SpanContext:
        return self.context  # type: ignore[no-any-return]

    def is_recording(self) -> bool:
        return self._ended_unix_ns is None

    def set_attribute(self, key: str, value: Any) -> None:
        if not self._is_over("Setting attribute"):
            self._bounded()[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        if not self._is_over("Setting attribute"):
            self._bounded().update(attributes)

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        if self._is_over("Adding an event"):
            return
        limits = self._source.limits
        bounded = BoundedAttributes(
            limits.max_event_attributes, attributes, max_value_len=limits.max_attribute_length, immutable=True
        )
        with _growing:
            if not isinstance(self._told, BoundedList):
                self._told = BoundedList(limits.max_events)
        self._told.append(Event(name=name, attributes=bounded, timestamp=timestamp))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        if self._is_over("Adding a link") or context is None:
            return
        if not (context.is_valid or attributes or context.trace_state):
            return
        limits = self._source.limits
        bounded = BoundedAttributes(
            limits.max_link_attributes, attributes, max_value_len=limits.max_attribute_length, immutable=True
        )
        with _growing:
            if not isinstance(self._linked, BoundedList):
                self._linked = BoundedList(limits.max_links)
        self._linked.append(Link(context=context, attributes=bounded))

    def update_name(self, name: str) -> None:
        if not self._is_over("Updating the name"):
            self._new_name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if self._is_over("Setting the status"):
            return
        wanted = status if isinstance(status, Status) else Status(status, description)
        if self._standing.status_code is not StatusCode.OK and wanted.status_code is not StatusCode.UNSET:
            self._standing = wanted

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        kind = type(exception)
        is_builtin = not kind.__module__ or kind.__module__ == "builtins"
        found = {
            semconv.EXCEPTION_TYPE: kind.__qualname__ if is_builtin else f"{kind.__module__}.{kind.__qualname__}",
            semconv.EXCEPTION_MESSAGE: str(exception),
            semconv.EXCEPTION_STACKTRACE: "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**found, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        if self._is_over("Calling end()"):
            return
        self._ended_unix_ns = end_time if end_time is not None else _clock.unix_ns()
        # What processors get is a span of its own, as from the SDK: nothing changes it any more.
        self._source.processor.on_end(
            ReadableSpan(
                self.name, self.context, self.parent, self.resource, self._values, self._told, self._linked,
                _INTERNAL, None, self._standing, self.start_time, self._ended_unix_ns, self._source.scope,
            )
        )  # fmt: skip

    def __exit__(self, _kind: Any, error: BaseException | None, _traceback: TracebackType | None) -> None:
        if error is not None and self.is_recording():
            self.record_exception(error, escaped=True)
            self.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        self.end()

    def _is_over(self, what: str) -> bool:
        if self._ended_unix_ns is None:
            return False
        _logger.warning("%s on an ended span has no effect: %s", what, self.name)
        return True

    def _bounded(self) -> Any:
        """The attributes in the SDK's bounded mapping, which checks what users put in."""
        if not isinstance(self._values, BoundedAttributes):
            limits = self._source.limits
            with _growing:
                if not isinstance(self._values, BoundedAttributes):
                    self._values = BoundedAttributes(
                        limits.max_span_attributes,
                        self._values,
                        immutable=False,
                        max_value_len=limits.max_span_attribute_length,
                    )
        return self._values


def span_source(provider: object) -> SpanSource | None:
    """A source for a provider `configure` made with the SDK's defaults; None where the SDK has to make the spans."""
    if not isinstance(provider, TracerProvider) or os.environ.get("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"):
        return None
    limits = SpanLimits()  # what the variables say, as the provider read them
    tracer = provider.get_tracer(semconv.SCOPE_NAME, __version__)
    few = limits.max_span_attributes is not None and limits.max_span_attributes < _OWN_ATTRIBUTES
    if type(tracer) is not Tracer or limits.max_span_attribute_length is not None or few:
        return None
    return SpanSource(tracer, limits)


_OWN_ATTRIBUTES: Final = 32
"""More than the SDK puts on a span; lower limits are left to the SDK to keep."""
