"""Spans of messages on BMAD's buses: who sent, who processed, and what belongs together.

Source: semantic conventions, "Messaging spans"; the context travels in the message as W3C Trace Context.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode

from bmad_otel import _failure, _guard, semconv
from bmad_otel._labels import MAX_NAME_LENGTH
from bmad_otel._version import __version__
from bmad_otel.compat._bmad import names
from bmad_otel.compat._bmad.patches import CALLBACK, Patches
from bmad_otel.monitor._names import canonical
from bmad_otel.semconv import Operation

FindCarrier = Callable[[Any], Mapping[str, str] | None]
"""From what a handler is called with to the context that came along."""


class Sending:
    """A message on its way: handlers called while it ``is_open`` run inside of the publishing call."""

    __slots__ = ("carrier", "event", "is_open", "loop", "span_context", "task")

    def __init__(self, event: str, span: Span) -> None:
        self.event = event
        self.span_context = span.get_span_context()
        self.carrier: dict[str, str] = {}
        self.is_open = True
        self.loop, self.task = _where()

    def is_around(self) -> bool:
        """Whether the running code is called from the publishing call, not from a task it has left behind."""
        loop, task = _where()
        return self.is_open and (loop is not self.loop or task is self.task)


SENDING: Final[ContextVar[Sending | None]] = ContextVar("bmad_otel.sending", default=None)
"""The innermost message being published around the running code, or before it was left behind."""


def tracer() -> trace.Tracer:
    """The tracer of all spans of this package."""
    return trace.get_tracer(names.SCOPE, __version__)


@contextmanager
def sending(event: str, agent: object, subscribers: int | None) -> Iterator[tuple[Sending, Span]]:
    """The span ``send <event>`` around the publishing call."""
    with _span(f"send {event}", SpanKind.PRODUCER, _attributes("send", event, agent), None, ()) as span:
        if subscribers is not None:
            span.set_attribute(names.BUS_SUBSCRIBERS, subscribers)
        message = Sending(event, span)
        propagate.inject(message.carrier)
        token = SENDING.set(message)
        try:
            yield message, span
        finally:
            message.is_open = False
            SENDING.reset(token)


@contextmanager
def processing(event: str, agent: object, carrier: Mapping[str, str] | None) -> Iterator[Span]:
    """The span ``process <event>`` around a handler: below the ``send`` span, or linked to it where the handler runs
    detached, in a task that outlives the publishing call."""
    message = SENDING.get()
    if message is not None and carrier and dict(carrier) != message.carrier:
        message = None  # an earlier one: this handler's came from elsewhere
    context: Context | None = None
    links: tuple[Link, ...] = ()
    if message is not None and not message.is_around():
        context = Context()
        links = (Link(message.span_context),) if message.span_context.is_valid else ()
    elif message is None and carrier:
        context = propagate.extract(carrier)
    with _span(f"process {event}", SpanKind.CONSUMER, _attributes("process", event, agent), context, links) as span:
        yield span


def consumer(
    handler: Callable[..., Any], event: str, patches: Patches, find_carrier: FindCarrier, agent: object = None
) -> Callable[..., Any]:
    """``handler`` with a ``process`` span around each call, of the same kind, plain or async."""
    if getattr(handler, CALLBACK, None) is not None:
        return handler
    receiver = getattr(handler, "__self__", None)
    who = agent if agent is not None else getattr(receiver, "agent_name", None)

    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def consume_async(message: Any, *args: Any, **kwargs: Any) -> Any:
            if not patches.is_on:
                return await handler(message, *args, **kwargs)
            with processing(event, who, find_carrier(message)):
                return await handler(message, *args, **kwargs)

        consume: Callable[..., Any] = consume_async
    else:

        @functools.wraps(handler, assigned=("__module__", "__name__", "__qualname__", "__doc__"), updated=())
        def consume_plain(message: Any, *args: Any, **kwargs: Any) -> Any:
            if not patches.is_on:
                return handler(message, *args, **kwargs)
            with processing(event, who, find_carrier(message)):
                return handler(message, *args, **kwargs)

        consume = consume_plain
    setattr(consume, CALLBACK, handler)
    return consume


def stands_for(candidate: object, handler: object) -> bool:
    """Whether a subscriber is ``handler``, or ours around it."""
    return candidate is handler or candidate == handler or getattr(candidate, CALLBACK, None) == handler


def refused(span: Span, message: str) -> None:
    """The bus did not take the message."""
    span.set_attribute(semconv.ERROR_TYPE, "publish_failed")
    span.set_status(StatusCode.ERROR, message)


@contextmanager
def _span(
    name: str, kind: SpanKind, attributes: dict[str, str], context: Context | None, links: tuple[Link, ...]
) -> Iterator[Span]:
    """A current span; an error of the block fails it, an error of ours does not reach the block."""
    span: Span = trace.INVALID_SPAN
    try:
        span = tracer().start_span(name[:MAX_NAME_LENGTH], context, kind, attributes, links)
    except Exception as error:  # noqa: BLE001 - samplers and processors are other people's code
        _guard.contain("starting a span", error)
    around = trace.set_span_in_context(span, context)
    token = otel_context.attach(around)
    try:
        yield span
    except BaseException as error:
        if span.is_recording() and _failure.outcome_of(error, {}) in _failure.FAILURES:
            _failure.record(span, Operation.INVOKE_AGENT, _failure.type_name(error), error, "", around)
        raise
    finally:
        otel_context.detach(token)
        span.end()


def _attributes(operation: str, event: str, agent: object) -> dict[str, str]:
    found = {
        names.MESSAGING_SYSTEM: names.BUS_SYSTEM,
        names.MESSAGING_DESTINATION: event[:MAX_NAME_LENGTH],
        names.MESSAGING_OPERATION_NAME: operation,
        names.MESSAGING_OPERATION_TYPE: operation,
    }
    if isinstance(agent, str) and agent and agent != "unknown":
        found[semconv.GEN_AI_AGENT_NAME] = canonical(agent)[:MAX_NAME_LENGTH]
    return found


def _where() -> tuple[Any, Any]:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None, None
    return loop, asyncio.current_task(loop)
