"""What a row sees of an SDK, and the questions most rows ask."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

WORK_S: Final = 0.01
"""How long a body works when a row asks for the true duration: far above what a span that ends too soon can last."""


class Unsupported(Exception):
    """The SDK has no such thing at all."""


class Traced(ABC):
    """One SDK's decorator. Its spans and metrics go to the global providers."""

    scope: str
    """Instrumentation scope of the SDK's spans; the rows make spans of their own in another one."""

    def __init__(self, finished: Callable[[], list[ReadableSpan]], points: Callable[[], dict[str, list[Any]]]) -> None:
        self._finished = finished
        self._points = points

    @abstractmethod
    def decorate(self, function: Any, *, capture: bool = False) -> Any:
        """``function`` with the SDK's decorator, bare or with ``capture`` of arguments and results turned on."""

    @abstractmethod
    def decorate_class(self, cls: type) -> Any:
        """``cls`` with its public methods traced."""

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Around each row: what the SDK has to set up in a program, and has to take back."""
        yield

    def spans(self) -> list[ReadableSpan]:
        """The SDK's ended spans, in order of their end."""
        return [span for span in self._finished() if scope_of(span) == self.scope]

    def other_spans(self) -> list[ReadableSpan]:
        """The ended spans of the row itself."""
        return [span for span in self._finished() if scope_of(span) != self.scope]

    def points(self) -> dict[str, list[Any]]:
        """Metric points by metric name; of histograms those since the last call."""
        return self._points()


class Body:
    """Put `step` where a traced body does something: `one_span` then says whether one span was there all the time.

    Asked by identity instead of by clock: at each step the SDK's span is current and has not ended, and exactly one has
    ended when all is over.
    """

    def __init__(self, traced: Traced) -> None:
        self._traced = traced
        self._steps: list[tuple[int, bool]] = []

    def step(self) -> None:
        current = trace.get_current_span().get_span_context().span_id
        self._steps.append((current, current in {id_of(span) for span in self._traced.spans()}))

    def one_span(self, *, lasting_s: float = 0.0) -> ReadableSpan:
        spans = self._traced.spans()
        assert len(spans) == 1, f"{len(spans)} spans ended instead of one"
        (span,) = spans
        assert self._steps, "the body never ran"
        assert {step[0] for step in self._steps} == {id_of(span)}, "the span was not current in the whole body"
        assert not any(has_ended for _, has_ended in self._steps), "the span ended before the body did"
        assert duration_s(span) >= 0.9 * lasting_s, f"the span lasted {duration_s(span)} s"
        return span


class Outside:
    """Use around what a consumer does: the context after each of its steps is the one there was before."""

    def __init__(self) -> None:
        self._before = dict(otel_context.get_current())

    def assert_unchanged(self) -> None:
        assert dict(otel_context.get_current()) == self._before, "a context leaked to the consumer"


@contextmanager
def no_detach_log() -> Iterator[None]:
    """No "Failed to detach context" while this runs."""
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger = logging.getLogger("opentelemetry.context")
    handler = Keep()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    assert said == []


def work() -> None:
    time.sleep(WORK_S)


def own_tracer() -> trace.Tracer:
    """A tracer of the application, not of the SDK."""
    return trace.get_tracer("application")


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def scope_of(span: ReadableSpan) -> str:
    return "" if span.instrumentation_scope is None else span.instrumentation_scope.name


def duration_s(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def is_error(span: ReadableSpan) -> bool:
    return span.status.status_code is StatusCode.ERROR


def exceptions(span: ReadableSpan) -> list[dict[str, Any]]:
    """Attributes of the exceptions recorded on the span."""
    return [dict(event.attributes or {}) for event in span.events if event.name == "exception"]


def ending(span: ReadableSpan) -> tuple[Any, ...]:
    """All that tells how a call ended, without ids and times."""
    return span.status.status_code, dict(span.attributes or {}), [event.name for event in span.events]


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    return span.parent is not None and span.parent.span_id == id_of(parent)


def text_of(span: ReadableSpan) -> str:
    """Everything on the span as text, also what its repr would shorten."""
    events = [(event.name, dict(event.attributes or {})) for event in span.events]
    return repr((span.name, dict(span.attributes or {}), events, span.status.description))
