"""What a decorator was told about a function: computed at decoration, asked at each call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bmad_otel import _guard, semconv
from bmad_otel._content import ArgumentNames, Capture, arguments_text, result_text
from bmad_otel._failure import message_of, type_name
from bmad_otel._handle import TaskHandle, Usage
from bmad_otel._labels import OVERFLOW_AGENT, AttributeValue, Labels
from bmad_otel._state import state
from bmad_otel._task import CURRENT, Task
from bmad_otel.semconv import Operation, Outcome

TaskId = str | Callable[..., str]
"""An id, or a function of the call's own arguments that returns it."""

_MAX_ID_LENGTH: Final = 256
"""Characters of a task or workflow id on a span."""

_CONTENT: Final = {
    Operation.EXECUTE_TOOL: (semconv.GEN_AI_TOOL_CALL_ARGUMENTS, semconv.GEN_AI_TOOL_CALL_RESULT),
}
_OTHER_CONTENT: Final = (semconv.TASK_ARGUMENTS, semconv.TASK_RESULT)


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of `track_task`, checked."""

    name: str | None = None
    agent: str | None = None
    operation: Operation = Operation.INVOKE_AGENT
    task_id: TaskId | None = None
    workflow_id: TaskId | None = None
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    capture: bool | Capture | None = None
    detect_failure: Callable[[Any], object] | None = None
    usage: Callable[[Any], Usage | Mapping[str, Any] | None] | None = None
    outcomes: Mapping[type[BaseException], Outcome] = field(default_factory=dict)


class Spec:
    """One decorated function. `start` begins a task of it; the agent's name is found like this, first hit wins:

    1. ``agent`` given to the decorator;
    2. for a function whose first parameter is called ``self`` or ``cls``: the attribute ``agent_name`` of that object,
       when it is a non-empty string;
    3. the name of that object's class, or of the class itself;
    4. ``owner``: the class around the function, or the first part of its qualified name. A tool or workflow that is a
       plain function has none: it works on the account of the agent that calls it.
    """

    __slots__ = (
        "_agent",
        "_by_agent",
        "_content_keys",
        "_finds_ids",
        "_has_receiver",
        "_judges",
        "_looks_at_calls",
        "_names",
        "_options",
        "_task",
    )

    def __init__(
        self, options: Options, task: str, *, owner: str | None, has_receiver: bool, names: ArgumentNames | None
    ) -> None:
        self._options = options
        self._task = task
        self._agent = options.agent or owner
        self._has_receiver = has_receiver and options.agent is None
        self._names = names
        self._by_agent: dict[str | None, Labels] = {}
        self._content_keys = _CONTENT.get(options.operation, _OTHER_CONTENT)
        self._finds_ids = options.task_id is not None or options.workflow_id is not None
        self._looks_at_calls = self._finds_ids or bool(options.capture)
        self._judges = bool(options.detect_failure or options.usage or options.capture)

    @property
    def capture(self) -> Capture | None:
        """What of the content is recorded: the decorator's word, else the program's."""
        own = self._options.capture
        if own is None or own is True:
            return state.capture or (Capture() if own else None)
        return own or None

    @property
    def looks_at_results(self) -> bool:
        """Whether `look_at` wants the result of a call."""
        return self._judges or state.capture is not None

    def start(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Task | None:
        """Begin a task for a call with these arguments.

        None when it is not to be tracked: nobody set a provider, after `shutdown`, or because our own code failed.
        """
        try:
            instruments = state.instruments or state.open()
            if instruments.rests and not instruments.wakes_up():
                return None
            agent = _name_of(args[0]) if self._has_receiver and args else self._agent
            labels = self._by_agent.get(agent)
            if labels is None or labels.names is not state.agents:
                labels = self._label(agent)
            attributes = labels.span
            if self._looks_at_calls or state.capture is not None:
                attributes = self._look_at_call(attributes, args, kwargs)
            return Task(state, instruments, labels, attributes)
        except Exception as error:  # noqa: BLE001 - the program we observe goes on whatever happened here
            _guard.contain("starting a task", error)
            return None

    def start_block(self) -> Task | None:
        """Begin a task for a ``with`` block. Without an agent of its own it is one of the agent around it."""
        try:
            instruments = state.instruments or state.open()
            if instruments.rests and not instruments.wakes_up():
                return None
            agent = self._agent
            if agent is None and self._options.operation in (Operation.INVOKE_AGENT, Operation.PLAN):
                around = CURRENT.get()
                agent = self._task if around is None or around.agent is None else around.agent
            labels = self._by_agent.get(agent)
            if labels is None or labels.names is not state.agents:
                labels = self._label(agent)
            attributes = self._look_at_call(labels.span, (), {}) if self._finds_ids else labels.span
            return Task(state, instruments, labels, attributes)
        except Exception as error:  # noqa: BLE001 - as above
            _guard.contain("starting a task", error)
            return None

    def look_at(self, task: Task, result: Any) -> None:
        """Before `Task.succeed`: take usage, failure and content from what the body returned."""
        options = self._options
        handle = TaskHandle(task)
        try:
            if options.usage is not None:
                handle.record(options.usage(result))
            if options.detect_failure is not None:
                judge(handle, options.detect_failure(result))
            capture = self.capture
            if capture is not None and capture.result and task.span.is_recording():
                task.span.set_attribute(self._content_keys[1], result_text(result, capture))
        except Exception as error:  # noqa: BLE001 - the functions are the user's, the result goes to the caller
            _guard.contain("looking at a result", error)

    def _label(self, agent: str | None) -> Labels:
        metric_agent = None if agent is None else state.agents.admit(agent)
        options = self._options
        labels = Labels(
            options.operation,
            agent,
            self._task,
            metric_agent=metric_agent,
            extra=options.attributes,
            outcomes=options.outcomes,
            names=state.agents,
        )
        if metric_agent != OVERFLOW_AGENT:  # an overflow of names is not kept, or it would fill this dict
            self._by_agent[agent] = labels
        return labels

    def _look_at_call(
        self, attributes: dict[str, AttributeValue], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> dict[str, AttributeValue]:
        found = attributes.copy()
        for key, source in ((semconv.TASK_ID, self._options.task_id), (semconv.WORKFLOW_ID, self._options.workflow_id)):
            if source is None:
                continue
            try:
                value = source if isinstance(source, str) else source(*args, **kwargs)
                if value is not None:
                    found[key] = str(value)[:_MAX_ID_LENGTH]
            except Exception as error:  # noqa: BLE001 - the task is tracked without the id
                _guard.contain(f"finding {key}", error)
        capture = self.capture
        if capture is not None and capture.arguments and self._names is not None:
            found[self._content_keys[0]] = arguments_text(self._names, args, kwargs, capture)
        return found


def judge(handle: TaskHandle, verdict: object) -> None:
    """Let the task fail when ``detect_failure`` said so (see `track_task`)."""
    if isinstance(verdict, BaseException):
        handle.fail(message_of(verdict), error_type=type_name(verdict))
    elif isinstance(verdict, str):
        if verdict:
            handle.fail(verdict)
    elif verdict:
        handle.fail()


class Started:
    """Stands for a `Spec` whose task has begun already."""

    __slots__ = ("_spec", "_task")

    def __init__(self, task: Task, spec: Spec) -> None:
        self._task = task
        self._spec = spec

    @property
    def looks_at_results(self) -> bool:
        return self._spec.looks_at_results

    def look_at(self, task: Task, result: Any) -> None:
        self._spec.look_at(task, result)

    def start(self, _args: tuple[Any, ...], _kwargs: Mapping[str, Any]) -> Task | None:
        return self._task


def _name_of(receiver: Any) -> str:
    try:
        name = getattr(receiver, "agent_name", None)
        if isinstance(name, str) and name:
            return name
    except Exception:  # noqa: BLE001, S110 - a property of the agent may raise anything
        pass
    owner = receiver if isinstance(receiver, type) else type(receiver)
    return owner.__name__
