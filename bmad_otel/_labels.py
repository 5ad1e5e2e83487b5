"""The attributes of one kind of task, built once: an agent doing one thing.

Span and metric share them, so they are computed here for both and reused by every call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from bmad_otel import _guard, semconv
from bmad_otel.semconv import Operation, Outcome

if TYPE_CHECKING:
    from bmad_otel._durations import Durations, Series

MAX_AGENTS: Final = 1000
"""Agents with metrics of their own. Half of the 2,000 series the OpenTelemetry SDK keeps per instrument, because a task
may end well and badly."""

OVERFLOW_AGENT: Final = "bmad.overflow"
"""Agent of the metrics of all further agents; their spans keep the true name."""

MAX_NAME_LENGTH: Final = 256
"""Characters of an agent or task name; longer ones are cut, because a name is on every span and series."""

_MAX_ERROR_TYPES: Final = 100
"""Kinds of error of one kind of task with a series of their own; the rest shares ``_OTHER``, the conventions' word."""

_OTHER: Final = "_OTHER"

AttributeValue = str | bool | int | float


class Labels:
    """Names and attributes of one (operation, agent, task), as every call of it needs them."""

    __slots__ = ("_metric", "_series", "agent", "names", "ok", "operation", "outcomes", "span", "span_name", "task")

    def __init__(
        self,
        operation: Operation,
        agent: str | None,
        task: str,
        *,
        metric_agent: str | None,
        extra: Mapping[str, AttributeValue],
        outcomes: Mapping[type[BaseException], Outcome],
        names: AgentNames,
    ) -> None:
        self.names = names  # the register that admitted the agent
        self.task = task = task[:MAX_NAME_LENGTH]
        agent = agent[:MAX_NAME_LENGTH] if agent is not None else None
        self.operation = operation
        self.agent = metric_agent
        self.outcomes = outcomes
        named: dict[str, AttributeValue] = {semconv.GEN_AI_OPERATION_NAME: operation.value}
        if agent is not None:
            named[semconv.GEN_AI_AGENT_NAME] = agent
        subject = agent or task
        if operation is Operation.EXECUTE_TOOL:
            named[semconv.GEN_AI_TOOL_NAME] = subject = task
        elif operation is Operation.INVOKE_WORKFLOW:
            named[semconv.GEN_AI_WORKFLOW_NAME] = subject = task
        named[semconv.TASK_NAME] = task
        self.span_name = f"{operation.value} {subject}"
        self.span: dict[str, AttributeValue] = {**extra, **named}
        wanted = semconv.DURATION_BY_OPERATION[operation].attributes
        self._metric = {key: value for key, value in named.items() if key in wanted}
        if metric_agent is not None and semconv.GEN_AI_AGENT_NAME in self._metric:
            self._metric[semconv.GEN_AI_AGENT_NAME] = metric_agent
        self._series: dict[tuple[Outcome, str | None], Series] = {}
        self.ok: Series | None = None  # of `Outcome.OK`, once a task has ended so

    def series(self, outcome: Outcome, error_type: str | None, durations: Durations) -> Series:
        """Where the duration of a task that ended so belongs."""
        series = self._series.get((outcome, error_type))
        return series if series is not None else self._open(outcome, error_type, durations)

    def _open(self, outcome: Outcome, error_type: str | None, durations: Durations) -> Series:
        if len(self._series) >= _MAX_ERROR_TYPES and error_type is not None:
            error_type = _OTHER
        attributes = {**self._metric, semconv.TASK_OUTCOME: outcome.value}
        if error_type is not None:
            attributes[semconv.ERROR_TYPE] = error_type
        series = self._series[outcome, error_type] = durations.series(
            semconv.DURATION_BY_OPERATION[self.operation], attributes
        )
        if outcome is Outcome.OK:
            self.ok = series
        return series


class AgentNames:
    """The agents this process has seen, bounded by `MAX_AGENTS`."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: set[str] = set()

    def admit(self, agent: str) -> str:
        """The name under which metrics of ``agent`` are kept: its own, or `OVERFLOW_AGENT` when there are too many."""
        agent = agent[:MAX_NAME_LENGTH]
        if agent in self.known:
            return agent
        if len(self.known) >= MAX_AGENTS:
            _guard.warn_once(
                "agents",
                "bmad_otel: more than %d agents; metrics of further ones are kept under agent %r. Is an id part of "
                "the agent's name?",
                MAX_AGENTS,
                OVERFLOW_AGENT,
            )
            self.known.add(OVERFLOW_AGENT)
            return OVERFLOW_AGENT
        self.known.add(agent)
        return agent
