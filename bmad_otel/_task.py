"""One tracked call from start to end: a span and a duration from one measurement.

The wrappers of each shape (`_calls`, `_generators`) create a `Task`, bracket each step of the body with `enter` and
`leave`, and say at the end how it went. Nothing here raises into the caller.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from bmad_otel import _guard, semconv
from bmad_otel._cpu import Cell
from bmad_otel._instruments import Instruments
from bmad_otel._labels import AttributeValue, Labels
from bmad_otel._state import State
from bmad_otel.semconv import Outcome

_MAX_MESSAGE_LENGTH: Final = 1024
"""Characters of an exception's message: enough to recognise it, too little to carry a document."""

_MAX_STACKTRACE_LENGTH: Final = 16_384
"""Characters of a stack trace, the innermost ones: the end of it says where and what."""

_now_ns = time.perf_counter_ns
_thread_cpu_ns = time.thread_time_ns


class Task:
    """A call that has started. Times are `time.perf_counter_ns`; the span gets wall-clock start plus the same delta."""

    __slots__ = (
        "_cell",
        "_context",
        "_instruments",
        "_labels",
        "_outer_ns",
        "_span",
        "_started_unix_ns",
        "_state",
        "_step_ns",
        "_token",
        "agent",
        "started_ns",
    )

    def __init__(
        self, state: State, instruments: Instruments, labels: Labels, ids: dict[str, AttributeValue] | None
    ) -> None:
        self._state = state
        self._instruments = instruments
        self._labels = labels
        self.agent = labels.agent
        # Both clocks are read together, before the span is made: read later, the task would seem to end before its
        # last child does.
        self._started_unix_ns = time.time_ns()
        self.started_ns = _now_ns()
        self._span = instruments.tracer.start_span(
            labels.span_name,
            kind=SpanKind.INTERNAL,
            attributes=labels.span if ids is None else {**labels.span, **ids},
            start_time=self._started_unix_ns,
        )
        self._context = trace.set_span_in_context(self._span)
        self._cell: Cell | None = None
        state.running.tasks[self] = True

    def enter(self) -> None:
        """A step of the body begins on this thread: its context becomes current, its CPU time counts."""
        if self.agent is not None:
            cell = self._cell = self._state.cpu.cell()
            self._outer_ns = cell.nested_ns
            cell.nested_ns = 0
        self._token = otel_context.attach(self._context)
        self._step_ns = _thread_cpu_ns()

    def leave(self) -> None:
        """The step ends. What the body made current is kept for its next step and taken from the caller's view."""
        used_ns = _thread_cpu_ns() - self._step_ns
        cell = self._cell
        if cell is not None and self.agent is not None:
            own_ns = used_ns - cell.nested_ns
            cell.nested_ns = self._outer_ns + used_ns
            if own_ns > 0:  # in a child forked during the step the clock began anew
                cell.own_ns[self.agent] = cell.own_ns.get(self.agent, 0) + own_ns
        self._context = otel_context.get_current()
        otel_context.detach(self._token)

    def succeed(self) -> None:
        """The body returned."""
        self._finish(Outcome.OK, None)

    def close_early(self) -> None:
        """The caller closed the generator or coroutine, or dropped it, before its end."""
        self._finish(Outcome.CLOSED_EARLY, None)

    def fail(self, error: BaseException) -> None:
        """The body raised ``error``, which goes on to the caller."""
        outcome = _outcome_of(error)
        self._finish(outcome, error if outcome in (Outcome.ERROR, Outcome.TIMEOUT) else None)

    def _finish(self, outcome: Outcome, error: BaseException | None) -> None:
        duration_ns = _now_ns() - self.started_ns
        if not self._state.running.tasks.pop(self, False):
            return  # started before a fork, ended in the child: the parent reports it
        try:
            error_type = None if error is None else _type_name(error)
            # The span's context comes along for exemplars: a generator may end while another context is current.
            self._instruments.durations[self._labels.operation].record(
                duration_ns / 1e9,
                self._labels.metric(outcome, error_type),
                self._context,
            )
            span = self._span
            if span.is_recording():
                span.set_attribute(semconv.TASK_OUTCOME, outcome.value)
                if error is not None and error_type is not None:
                    self._record(error, error_type)
            span.end(self._started_unix_ns + duration_ns)
        except Exception as own_error:  # noqa: BLE001 - samplers, processors and views are other people's code
            _guard.contain("ending a task", own_error)

    def _record(self, error: BaseException, error_type: str) -> None:
        # An event of our own making instead of Span.record_exception, which neither bounds what it copies nor survives
        # an exception whose __str__ raises.
        message = _message_of(error)
        stacktrace = "".join(traceback.format_exception(error))
        self._span.set_attribute(semconv.ERROR_TYPE, error_type)
        self._span.set_status(StatusCode.ERROR, message)
        self._span.add_event(
            "exception",
            {
                "exception.type": error_type,
                "exception.message": message,
                "exception.stacktrace": stacktrace[-_MAX_STACKTRACE_LENGTH:],
            },
        )


def _outcome_of(error: BaseException) -> Outcome:
    if isinstance(error, TimeoutError):
        return Outcome.TIMEOUT
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        return Outcome.CANCELLED
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return Outcome.CANCELLED  # the program ends in good order and takes the task with it
    return Outcome.ERROR


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message_of(error: BaseException) -> str:
    try:
        return str(error)[:_MAX_MESSAGE_LENGTH]
    except Exception:  # noqa: BLE001 - the exception is the caller's, and so is its __str__
        return "<no message: __str__ raised>"
