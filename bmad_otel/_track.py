"""`track_task`, `track_tool`, `track_workflow`: their arguments, checked once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, overload

from bmad_otel._content import Capture
from bmad_otel._handle import Usage, check_attribute
from bmad_otel._labels import AttributeValue
from bmad_otel._spec import Options, TaskId
from bmad_otel._tracker import Tracker
from bmad_otel.semconv import Operation, Outcome

P = ParamSpec("P")
R = TypeVar("R")

FindUsage = Callable[[Any], Usage | Mapping[str, Any] | None]


@overload
def track_task(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def track_task(
    *,
    name: str | None = ...,
    agent: str | None = ...,
    operation: Operation = ...,
    task_id: TaskId | None = ...,
    workflow_id: TaskId | None = ...,
    attributes: Mapping[str, AttributeValue] | None = ...,
    capture: bool | Capture | None = ...,
    detect_failure: Callable[[Any], object] | None = ...,
    usage: FindUsage | None = ...,
    outcomes: Mapping[type[BaseException], Outcome] | None = ...,
) -> Tracker: ...
def track_task(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    agent: str | None = None,
    operation: Operation = Operation.INVOKE_AGENT,
    task_id: TaskId | None = None,
    workflow_id: TaskId | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    capture: bool | Capture | None = None,
    detect_failure: Callable[[Any], object] | None = None,
    usage: FindUsage | None = None,
    outcomes: Mapping[type[BaseException], Outcome] | None = None,
) -> Callable[P, R] | Tracker:
    """Make every call of a function a task of an agent: one span and one duration, and its share of what runs now.

    Use it bare or with arguments, on functions and methods, plain, async, generators and async generators, above or
    below ``@staticmethod``, ``@classmethod`` and ``@property``; or as ``with track_task(name=...) as task:``, also
    ``async with``, around a part of a function. The function keeps its kind, signature and type. Arguments and results
    are not recorded unless asked for, and no error of the SDK reaches the caller.

    ``name``: the task (for a tool or workflow its name), by default the function's name.
    ``agent``: the agent, by default the object's ``agent_name`` or its class (see `Spec` for the exact order).
    ``operation``: what the task is, `Operation.INVOKE_AGENT` by default.
    ``task_id``, ``workflow_id``: an id for the span, or a function of the call's arguments that returns one. Ids are
    never on metrics.
    ``attributes``: fixed attributes for the span, not on metrics.
    ``capture``: record arguments and results as text on the span, bounded and with secrets left out; a `Capture` says
    how. By default what `configure` or OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says.
    ``detect_failure``: asked for each returned result; an exception, a non-empty string (the message) or another true
    value means that the task failed although it returned.
    ``usage``: asked for each returned result for the tokens it cost (see `TaskHandle.record`).
    ``outcomes``: outcome by class of exception, where the rules of the documentation do not fit.

    Raises TypeError or ValueError at decoration, naming the argument.
    """
    options = _checked(
        "track_task",
        name=name,
        agent=agent,
        operation=operation,
        task_id=task_id,
        workflow_id=workflow_id,
        attributes=attributes,
        capture=capture,
        detect_failure=detect_failure,
        usage=usage,
        outcomes=outcomes,
    )
    tracker = Tracker("track_task", options)
    return tracker if function is None else tracker(function)


@overload
def track_tool(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def track_tool(
    *,
    name: str | None = ...,
    agent: str | None = ...,
    task_id: TaskId | None = ...,
    workflow_id: TaskId | None = ...,
    attributes: Mapping[str, AttributeValue] | None = ...,
    capture: bool | Capture | None = ...,
    detect_failure: Callable[[Any], object] | None = ...,
    usage: FindUsage | None = ...,
    outcomes: Mapping[type[BaseException], Outcome] | None = ...,
) -> Tracker: ...
def track_tool(function: Callable[P, R] | None = None, /, **keywords: Any) -> Callable[P, R] | Tracker:
    """`track_task` with ``operation=Operation.EXECUTE_TOOL``: a tool that agents call."""
    return _as("track_tool", Operation.EXECUTE_TOOL, function, keywords)


@overload
def track_workflow(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def track_workflow(
    *,
    name: str | None = ...,
    agent: str | None = ...,
    task_id: TaskId | None = ...,
    workflow_id: TaskId | None = ...,
    attributes: Mapping[str, AttributeValue] | None = ...,
    capture: bool | Capture | None = ...,
    detect_failure: Callable[[Any], object] | None = ...,
    usage: FindUsage | None = ...,
    outcomes: Mapping[type[BaseException], Outcome] | None = ...,
) -> Tracker: ...
def track_workflow(function: Callable[P, R] | None = None, /, **keywords: Any) -> Callable[P, R] | Tracker:
    """`track_task` with ``operation=Operation.INVOKE_WORKFLOW``: several tasks that belong together."""
    return _as("track_workflow", Operation.INVOKE_WORKFLOW, function, keywords)


def _as(
    where: str, operation: Operation, function: Callable[P, R] | None, keywords: Mapping[str, Any]
) -> Callable[P, R] | Tracker:
    tracker = Tracker(where, _checked(where, operation=operation, **keywords))
    return tracker if function is None else tracker(function)


def _checked(
    where: str,
    *,
    name: str | None = None,
    agent: str | None = None,
    operation: Operation = Operation.INVOKE_AGENT,
    task_id: TaskId | None = None,
    workflow_id: TaskId | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    capture: bool | Capture | None = None,
    detect_failure: Callable[[Any], object] | None = None,
    usage: FindUsage | None = None,
    outcomes: Mapping[type[BaseException], Outcome] | None = None,
) -> Options:
    """The arguments as `Options`. Raises TypeError or ValueError, naming the argument."""
    _require_text(where, "name", name)
    _require_text(where, "agent", agent)
    if not isinstance(operation, Operation):
        raise TypeError(f"{where}: operation must be an Operation, not {operation!r}")
    _require_id(where, "task_id", task_id)
    _require_id(where, "workflow_id", workflow_id)
    if capture is not None and not isinstance(capture, bool | Capture):
        raise TypeError(f"{where}: capture must be True, False or a Capture, not {capture!r}")
    for argument, value in (("detect_failure", detect_failure), ("usage", usage)):
        if value is not None and not callable(value):
            raise TypeError(f"{where}: {argument} must be a function of the result, not {value!r}")
    return Options(
        name=name,
        agent=agent,
        operation=operation,
        task_id=task_id,
        workflow_id=workflow_id,
        attributes=_attributes(where, attributes),
        capture=capture,
        detect_failure=detect_failure,
        usage=usage,
        outcomes=_outcomes(where, outcomes),
    )


def _require_text(where: str, argument: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"{where}: {argument} must be a str, not {value!r}")
    if not value.strip():
        raise ValueError(f"{where}: {argument} must not be empty")


def _require_id(where: str, argument: str, value: object) -> None:
    if not callable(value):
        _require_text(where, argument, value)


def _attributes(where: str, attributes: object) -> dict[str, AttributeValue]:
    if attributes is None:
        return {}
    if not isinstance(attributes, Mapping):
        raise TypeError(f"{where}: attributes must be a mapping, not {attributes!r}")
    for key, value in attributes.items():
        check_attribute(f"{where}: attributes", key, value)
    return dict(attributes)


def _outcomes(where: str, outcomes: object) -> dict[type[BaseException], Outcome]:
    if outcomes is None:
        return {}
    if not isinstance(outcomes, Mapping):
        raise TypeError(f"{where}: outcomes must be a mapping, not {outcomes!r}")
    for kind, outcome in outcomes.items():
        if not isinstance(kind, type) or not issubclass(kind, BaseException):
            raise TypeError(f"{where}: outcomes: {kind!r} is not a class of exceptions")
        if not isinstance(outcome, Outcome):
            raise TypeError(f"{where}: outcomes: {kind.__name__} must have an Outcome, not {outcome!r}")
    return dict(outcomes)
