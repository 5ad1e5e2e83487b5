"""One tracked call from start to end: a span and a duration from one measurement.

The wrappers of each shape (`_calls`, `_generators`, `_track`) create a `Task`, bracket the body with `enter` and
`leave`, and say at the end how it went. Nothing here raises into the caller.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Final

from opentelemetry import context as otel_context
from opentelemetry import trace

from bmad_otel import _failure, _guard, semconv
from bmad_otel._clock import clock as _clock
from bmad_otel._instruments import Instruments
from bmad_otel._labels import AttributeValue, Labels
from bmad_otel._steps import NEGLIGIBLE_NS, Cell, is_in_event_loop
from bmad_otel.semconv import Operation, Outcome

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from bmad_otel._durations import Series
    from bmad_otel._state import State

LAG_NS: Final = 50_000_000
"""A step that keeps an event loop busy for longer is told as lag: half of what asyncio's debug mode calls slow."""

COLLECTS_ANYWHERE: Final = sys.version_info < (3, 12)
"""Before Python 3.12 the garbage collector may close a generator or coroutine in the middle of the interpreter setting
a context variable. Setting another one then crashes the interpreter."""

CURRENT: Final[ContextVar[Task | None]] = ContextVar("bmad_otel.task", default=None)
"""The innermost task around the running code."""

_attach = otel_context.attach
_detach = otel_context.detach
_current_context = otel_context.get_current
_with_span = trace.set_span_in_context
# What the hot path needs of enums, whose members and values are slow to reach.
_TOOL: Final = Operation.EXECUTE_TOOL
_OK: Final = Outcome.OK.value


class Said:
    """What was said of a task besides its end: most tasks have none."""

    __slots__ = ("failure", "inference_calls", "input_tokens", "output_tokens", "tool_calls")

    def __init__(self) -> None:
        self.failure: tuple[str, str] | None = None
        self.input_tokens = 0
        self.output_tokens = 0
        self.inference_calls = 0
        self.tool_calls = 0


class Task:
    """A call that has started. Times are `clock.monotonic_ns`; the span gets wall-clock start plus the same delta."""

    __slots__ = (
        "_booked_ns",
        "_cell",
        "_context",
        "_context_token",
        "_current_token",
        "_instruments",
        "_left_ns",
        "_running",
        "_said",
        "_started_unix_ns",
        "_state",
        "_step_cpu_ns",
        "_step_ns",
        "agent",
        "labels",
        "outer",
        "span",
        "started_ns",
    )

    def __init__(
        self, state: State, instruments: Instruments, labels: Labels, attributes: dict[str, AttributeValue]
    ) -> None:
        self._state = state
        self._instruments = instruments
        self.labels = labels
        self.agent = labels.agent
        self.outer = CURRENT.get()
        self._said: Said | None = None
        self._cell: Cell | None = None
        # Both clocks are read together, before the span is made: read later, the task would seem to end before its
        # last child does.
        self._started_unix_ns = _clock.unix_ns()
        self._left_ns = self.started_ns = _clock.monotonic_ns()
        context = _current_context()
        self.span: Span = instruments.start_span(labels.span_name, attributes, self._started_unix_ns, context)
        self._context: Context = _with_span(self.span, context)
        running = self._running = state.running.tasks
        running[self] = True

    # `enter` and `leave` hold what `make_current`, `leave_context` and `Cell` do, without the calls: together they are
    # a quarter of what a tracked call costs.

    def enter(self) -> None:
        """The body begins to run on this thread: its context becomes current, its CPU time counts."""
        self._context_token = _attach(self._context)
        self._current_token: Token[Task | None] = CURRENT.set(self)
        if self.agent is not None:
            cell = self._cell = self._state.cpu.cell()
            self._booked_ns = cell.booked_ns
            now_ns = self._step_ns = _clock.monotonic_ns()
            self._step_cpu_ns = cell.read_cpu_ns if now_ns < cell.stale_at_ns else cell.read(now_ns)

    def leave(self) -> None:
        """The body stops running, for good or until the next `enter`."""
        now_ns = self._left_ns = _clock.monotonic_ns()
        cell = self._cell
        if cell is not None:
            used_ns = now_ns - self._step_ns
            if used_ns >= NEGLIGIBLE_NS:
                used_ns = self._long_step(cell, now_ns)
            own_ns = used_ns + self._booked_ns - cell.booked_ns
            if own_ns > 0:
                agent = self.agent
                cell.own_ns[agent] = cell.own_ns.get(agent, 0) + own_ns  # type: ignore[index,arg-type]
            cell.booked_ns = self._booked_ns + used_ns
        try:
            CURRENT.reset(self._current_token)
        except ValueError:
            return  # see `leave_context`
        _detach(self._context_token)

    def _long_step(self, cell: Cell, now_ns: int) -> int:
        if now_ns - self._step_ns >= LAG_NS:
            self.held(cell, self._step_ns, now_ns, on_loop=is_in_event_loop())
        return cell.used_by_long_step(self._step_ns, self._step_cpu_ns, now_ns)

    def make_current(self) -> None:
        """Make the span and the task the current ones, here and in what is called from here."""
        self._context_token = _attach(self._context)
        self._current_token = CURRENT.set(self)

    def leave_context(self) -> None:
        """Make current again what was before `make_current`.

        What is closed by the garbage collector or from another asyncio task ends in another context than it began in:
        there is nothing of ours to take back there, and trying would be an error in OpenTelemetry's log.
        """
        if COLLECTS_ANYWHERE and CURRENT.get() is not self:
            return
        try:
            CURRENT.reset(self._current_token)
        except ValueError:
            return
        _detach(self._context_token)

    def keep_context(self) -> None:
        """Before `leave`: what the body made current is kept for its next step."""
        self._context = _current_context()

    def account(self) -> Cell | None:
        """This thread's CPU account, None for a task that runs on the account of the agent around it."""
        return None if self.agent is None else self._state.cpu.cell()

    def held(self, cell: Cell, start_ns: int, end_ns: int, *, on_loop: bool) -> None:
        """A step lasted `LAG_NS` or longer."""
        own_ns = cell.untold_ns(start_ns, end_ns)
        if not on_loop or own_ns < LAG_NS or self.agent is None:
            return
        try:
            self.measure(semconv.EVENT_LOOP_LAG, own_ns / 1e9, {semconv.GEN_AI_AGENT_NAME: self.agent})
        except Exception as error:  # noqa: BLE001 - views and exemplar filters are other people's code
            _guard.contain("recording event-loop lag", error)

    def stop(self) -> None:
        """After `make_current`, for a body whose steps `_stepwise` accounts for: it stops running."""
        self._left_ns = _clock.monotonic_ns()
        self.leave_context()

    def leave_block(self) -> None:
        """The end of a ``with`` block, entered by `enter` or `make_current`."""
        if self._cell is None:
            self.stop()
        else:
            self.leave()

    @property
    def context(self) -> Context:
        """OpenTelemetry's context of the body."""
        return self._context

    @property
    def is_running(self) -> bool:
        """Whether it has not ended; a task of the parent process is not running in a forked child."""
        return self in self._running

    def said(self) -> Said:
        """Where to put what is said of the task."""
        said = self._said
        if said is None:
            said = self._said = Said()
        return said

    def succeed(self) -> None:
        """The body returned."""
        said, labels, instruments = self._said, self.labels, self._instruments
        series = labels.ok
        if said is not None or series is None or not instruments.folds or labels.operation is _TOOL:
            failure = None if said is None else said.failure
            if failure is None:
                self._finish(Outcome.OK, None, None, "")
            else:
                self._finish(Outcome.ERROR, failure[0], None, failure[1])
            return
        # `_finish` for the usual case without its branches
        if self._running.pop(self, False):
            duration_ns = self._left_ns - self.started_ns
            span = self.span
            try:
                series.add(duration_ns / 1e9, span)
                if instruments.records:
                    self._record(duration_ns, series)
                instruments.set_outcome(span, _OK)
                span.end(self._started_unix_ns + duration_ns)
            except Exception as own_error:  # noqa: BLE001 - samplers, processors and views are other people's code
                _guard.contain("ending a task", own_error)
            self.outer = None

    def end_here(self) -> None:
        """The moment that counts as the end of a task whose body `leave` does not bracket."""
        self._left_ns = _clock.monotonic_ns()

    def abandon(self) -> None:
        """Nobody will say how it ended: its span is closed early, and no duration is told, since none is known."""
        if not self._running.pop(self, False):
            return
        self.end_here()
        try:
            self._instruments.set_outcome(self.span, Outcome.CLOSED_EARLY.value)
            self.span.end(self._started_unix_ns + self._left_ns - self.started_ns)
        except Exception as own_error:  # noqa: BLE001 - samplers, processors and views are other people's code
            _guard.contain("abandoning a task", own_error)
        self.outer = None

    def close_early(self) -> None:
        """The caller closed the generator or coroutine, or dropped it, before its end."""
        self._finish(Outcome.CLOSED_EARLY, None, None, "")

    def fail(self, error: BaseException) -> None:
        """The body raised ``error``, which goes on to the caller."""
        outcome = _failure.outcome_of(error, self.labels.outcomes)
        if outcome in _failure.FAILURES:
            self._finish(outcome, _failure.type_name(error), error, "")
        else:
            self._finish(outcome, None, None, "")

    def _finish(self, outcome: Outcome, error_type: str | None, error: BaseException | None, message: str) -> None:
        if not self._running.pop(self, False):
            return  # ended already, or started before a fork and ended in the child: the parent reports it
        duration_ns = self._left_ns - self.started_ns
        span, labels, instruments = self.span, self.labels, self._instruments
        try:
            series = labels.series(outcome, error_type, self._state.durations)
            if instruments.folds:
                series.add(duration_ns / 1e9, span)
            if instruments.records:
                self._record(duration_ns, series, is_late=outcome is Outcome.CLOSED_EARLY)
            instruments.set_outcome(span, outcome.value)
            if error_type is not None and span.is_recording():
                _failure.record(span, labels.operation, error_type, error, message, self._context)
            if self._said is not None:
                self._tell(self._said)
            if labels.operation is _TOOL:
                self._count_tool()
            span.end(self._started_unix_ns + duration_ns)
        except Exception as own_error:  # noqa: BLE001 - samplers, processors and views are other people's code
            _guard.contain("ending a task", own_error)
        self.outer = None  # a task spawned by this one may live for ever, and must not keep all before it

    def _record(self, duration_ns: int, series: Series, *, is_late: bool = False) -> None:
        # The span's context comes along for exemplars: a generator may end while another context is current.
        self._instruments.record(
            series.metric, duration_ns / 1e9, series.attributes, None if is_late else self._context
        )

    def measure(self, metric: semconv.Metric, value: float, attributes: dict[str, AttributeValue]) -> None:
        """One value of a histogram of the task's, besides its duration."""
        instruments = self._instruments
        if instruments.folds:
            self._state.durations.series(metric, attributes).add(value, self.span)
        if instruments.records:
            instruments.record(metric, value, attributes, self._context)

    def agent_task(self) -> Task | None:
        """The running agent task this one is, or works for."""
        task: Task | None = self
        while task is not None and task.labels.operation is not Operation.INVOKE_AGENT:
            task = task.outer
        return task

    def _count_tool(self) -> None:
        agent = self.agent_task()
        if agent is not None:
            agent.said().tool_calls += 1

    def _tell(self, said: Said) -> None:
        span = self.span
        if span.is_recording() and (said.input_tokens or said.output_tokens):
            span.set_attribute(semconv.GEN_AI_USAGE_INPUT_TOKENS, said.input_tokens)
            span.set_attribute(semconv.GEN_AI_USAGE_OUTPUT_TOKENS, said.output_tokens)
        if self.labels.operation is Operation.INVOKE_AGENT and self.agent is not None:
            if said.inference_calls:
                self.measure(semconv.INFERENCE_CALLS, said.inference_calls, {semconv.GEN_AI_AGENT_NAME: self.agent})
            if said.tool_calls:
                self.measure(semconv.TOOL_CALLS, said.tool_calls, {semconv.GEN_AI_AGENT_NAME: self.agent})
