"""What user code may say of the task it runs in: `current_task`, and what a ``with`` block gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import Span

from bmad_otel import _guard, semconv
from bmad_otel._labels import MAX_NAME_LENGTH, AttributeValue
from bmad_otel._spending import Tokens, spending_in
from bmad_otel._task import CURRENT, Task
from bmad_otel.semconv import Operation

ATTRIBUTE_KEY: Final = re.compile(r"[a-zA-Z][\w.-]{0,254}", re.ASCII)
"""Attribute names as the conventions write them; a typing error is caught here instead of in a backend."""

OWNED_PREFIXES: Final = ("bmad.", "gen_ai.", "error.")
"""Attributes under these names are the SDK's own; giving them by hand would make span and metric disagree."""

_INPUT_KEYS: Final = ("input_tokens", "prompt_tokens")
_OUTPUT_KEYS: Final = ("output_tokens", "completion_tokens")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model call. ``provider`` is ``gen_ai.provider.name``, such as ``"openai"`` or ``"anthropic"``."""

    input_tokens: int = 0
    output_tokens: int = 0
    model: str | None = None
    provider: str | None = None


class TaskHandle:
    """A running task, as far as its own code may speak of it.

    Outside of any task, and when nothing is tracked, the handle takes everything and does nothing. Nothing here raises:
    a wrong argument is told once in the log of ``bmad_otel`` and ignored, because the agent's work goes on.
    """

    __slots__ = ("_task",)

    def __init__(self, task: Task | None) -> None:
        self._task = task

    @property
    def agent(self) -> str | None:
        """The agent the task's metrics are kept under; None for a tool or workflow without one, outside of a task."""
        return None if self._task is None else self._task.agent

    @property
    def name(self) -> str | None:
        """The task's name; None outside of a task."""
        return None if self._task is None else self._task.labels.task

    @property
    def span(self) -> Span:
        """The task's span; a span that records nothing outside of a task."""
        return trace.INVALID_SPAN if self._task is None else self._task.span

    @property
    def is_running(self) -> bool:
        """Whether the task has not ended yet."""
        return self._task is not None and self._task.is_running

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Put ``key`` on the task's span. It is not on metrics. Names under ``bmad.``, ``gen_ai.`` and ``error.`` are
        the SDK's own."""
        if self._task is None:
            return
        try:
            check_attribute("set_attribute", key, value)
            self._task.span.set_attribute(key, value)
        except Exception as error:  # noqa: BLE001 - see the class
            _guard.contain("setting an attribute", error)

    def record_usage(
        self,
        *,
        input_tokens: int = 0,
        output_tokens: int = 0,
        model: str | None = None,
        provider: str | None = None,
    ) -> None:
        """Report one model call of the task and the tokens it used. Call it once for each model call: the span gets the
        sums, ``gen_ai.client.token.usage`` a point for each kind of token."""
        self.record(Usage(input_tokens, output_tokens, model, provider))

    def record(self, usage: Usage | Mapping[str, Any] | None) -> None:
        """`record_usage` with a `Usage`, or a mapping as model APIs return it: ``input_tokens`` or ``prompt_tokens``,
        ``output_tokens`` or ``completion_tokens``, ``model``, ``provider``. None is no model call."""
        if usage is None:
            return
        try:
            spending = spending_in(None if self._task is None else self._task.context)
            if self._task is None and spending is None:
                return
            used = _checked(usage if isinstance(usage, Usage) else _usage_of(usage))
            if self._task is not None:
                _record(self._task, used)
            if spending is not None:
                spending.add(used.model, Tokens(used.input_tokens, used.output_tokens, 1))
        except Exception as error:  # noqa: BLE001 - see the class
            _guard.contain("recording usage", error)

    def fail(self, message: str = "", *, error_type: str | None = None) -> None:
        """Let the task end as `Outcome.ERROR` although no exception leaves it. An exception that does has precedence.

        ``message`` becomes the status of the span. ``error_type`` should be one of few words, since it is on metrics;
        by default ``tool_error`` for a tool, as the conventions for MCP have it, else ``task_error``.
        """
        task = self._task
        if task is None:
            return
        try:
            if error_type is None:
                error_type = "tool_error" if task.labels.operation is Operation.EXECUTE_TOOL else "task_error"
            if not isinstance(message, str) or not isinstance(error_type, str) or not error_type.strip():
                raise TypeError(f"fail: message and error_type must be str, not {message!r} and {error_type!r}")
            task.said().failure = (error_type[:MAX_NAME_LENGTH], message)
        except Exception as error:  # noqa: BLE001 - see the class
            _guard.contain("failing a task", error)


_OUTSIDE: Final = TaskHandle(None)


def current_task() -> TaskHandle:
    """The task around the code that asks, the innermost one; outside of any a handle that ignores what it is told."""
    task = CURRENT.get()
    return _OUTSIDE if task is None else TaskHandle(task)


def check_attribute(where: str, key: object, value: object) -> None:
    """Raise ValueError or TypeError for what cannot be a span attribute of the user's own."""
    if not isinstance(key, str) or not ATTRIBUTE_KEY.fullmatch(key):
        raise ValueError(f"{where}: {key!r} is not an attribute name")
    if key.startswith(OWNED_PREFIXES):
        raise ValueError(f"{where}: {key!r} is set by the SDK; use your own prefix")
    if not isinstance(value, str | bool | int | float):
        raise TypeError(f"{where}: {key!r} must be a str, bool, int or float, not {value!r}")


def _usage_of(found: Mapping[str, Any]) -> Usage:
    def tokens(keys: tuple[str, ...]) -> Any:
        return next((found[key] for key in keys if found.get(key) is not None), 0)

    return Usage(tokens(_INPUT_KEYS), tokens(_OUTPUT_KEYS), found.get("model"), found.get("provider"))


def _workflow_of(task: Task) -> str | None:
    """The innermost workflow of this process that the task is, or works for: whose bill it is."""
    around: Task | None = task
    while around is not None:
        if around.labels.operation is Operation.INVOKE_WORKFLOW:
            return around.labels.task
        around = around.outer
    return None


def _checked(usage: Usage) -> Usage:
    for tokens in (usage.input_tokens, usage.output_tokens):
        if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0:
            raise ValueError(f"usage: tokens must be a whole number, 0 or more, not {tokens!r}")
    return usage


def _record(task: Task, usage: Usage) -> None:
    said = task.said()
    said.input_tokens += usage.input_tokens
    said.output_tokens += usage.output_tokens
    agent_task = task.agent_task()
    if agent_task is not None:
        agent_task.said().inference_calls += 1
    # The operation of the model call is not known here; chat is what the conventions call a call of a chat model.
    attributes: dict[str, AttributeValue] = {semconv.GEN_AI_OPERATION_NAME: "chat"}
    if agent_task is not None and agent_task.agent is not None:
        attributes[semconv.GEN_AI_AGENT_NAME] = agent_task.agent
    workflow = _workflow_of(task)
    if workflow is not None:
        attributes[semconv.GEN_AI_WORKFLOW_NAME] = workflow
    if usage.model is not None:
        attributes[semconv.GEN_AI_REQUEST_MODEL] = str(usage.model)[:MAX_NAME_LENGTH]
    if usage.provider is not None:
        attributes[semconv.GEN_AI_PROVIDER_NAME] = str(usage.provider)[:MAX_NAME_LENGTH]
    for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
        task.measure(semconv.TOKEN_USAGE, tokens, {**attributes, semconv.GEN_AI_TOKEN_TYPE: kind})
