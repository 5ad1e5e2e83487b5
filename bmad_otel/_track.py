"""`track_task`: what kind of function it is given is decided here, once, at decoration."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, ParamSpec, TypeVar, cast, overload

from bmad_otel._calls import wrap_coroutine_function, wrap_function
from bmad_otel._generators import wrap_async_generator_function, wrap_generator_function
from bmad_otel._labels import AttributeValue
from bmad_otel._spec import Spec, TaskId
from bmad_otel.semconv import Operation

P = ParamSpec("P")
R = TypeVar("R")

_ATTRIBUTE_KEY: Final = re.compile(r"[a-zA-Z][\w.-]{0,254}", re.ASCII)
"""Attribute names as the conventions write them; a typing error is caught at decoration instead of in a backend."""

_OWNED_PREFIXES: Final = ("bmad.", "gen_ai.", "error.")
"""Attributes under these names are the SDK's own; giving them by hand would make span and metric disagree."""


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
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
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
) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
    """Make every call of a function a task of an agent: one span and one duration, and its share of what runs now.

    Use it bare or with arguments, on functions and methods, plain, async, generators and async generators, above or
    below ``@staticmethod`` and ``@classmethod``. The function keeps its kind, signature and type. Arguments and results
    are never recorded, and no error of the SDK reaches the caller.

    ``name``: the task (for a tool or workflow its name), by default the function's name.
    ``agent``: the agent, by default the object's ``agent_name`` or its class (see `Spec` for the exact order).
    ``operation``: what the task is, `Operation.INVOKE_AGENT` by default.
    ``task_id``, ``workflow_id``: an id for the span, or a function of the call's arguments that returns one. Ids are
    never on metrics.
    ``attributes``: fixed attributes for the span, not on metrics.

    Raises TypeError or ValueError at decoration, naming the argument.
    """
    _require_text("name", name)
    _require_text("agent", agent)
    if not isinstance(operation, Operation):
        raise TypeError(f"track_task: operation must be an Operation, not {operation!r}")
    _require_id("task_id", task_id)
    _require_id("workflow_id", workflow_id)
    extra = _checked_attributes(attributes)

    def decorate(target: Callable[P, R]) -> Callable[P, R]:
        # staticmethod and classmethod objects come in when the decorator stands above them: wrap what they hold
        if isinstance(target, staticmethod | classmethod):
            return cast("Callable[P, R]", type(target)(decorate(target.__func__)))
        kind = _checked_target(target)
        task = name or kind.__name__
        receiver, owner = _where(kind)
        is_agent = operation in (Operation.INVOKE_AGENT, Operation.PLAN)
        spec = Spec(
            operation=operation,
            task=task,
            agent=agent,
            owner=owner if is_agent or _in_class(kind) else None,
            has_receiver=receiver,
            task_id=task_id,
            workflow_id=workflow_id,
            extra=extra,
        )
        return cast("Callable[P, R]", _wrapper_for(kind)(target, spec))

    if function is None:
        return decorate
    return decorate(function)


def _wrapper_for(kind: Callable[..., Any]) -> Callable[[Callable[..., Any], Spec], Callable[..., Any]]:
    if inspect.isasyncgenfunction(kind):
        return wrap_async_generator_function
    if inspect.isgeneratorfunction(kind):
        return wrap_generator_function
    if inspect.iscoroutinefunction(kind):
        return wrap_coroutine_function
    return wrap_function


def _checked_target(target: Any) -> Callable[..., Any]:
    """The function that tells of what kind ``target`` is: itself, what a partial holds, or an object's ``__call__``."""
    if isinstance(target, type):
        raise TypeError(f"track_task: decorate the methods of a class, not the class {target.__name__}")
    kind = target
    while isinstance(kind, functools.partial):
        kind = kind.func
    if not callable(kind):
        raise TypeError(f"track_task: a function is needed, not {target!r}; arguments are given by keyword")
    if not hasattr(kind, "__name__"):
        return type(kind).__call__
    return cast("Callable[..., Any]", kind)


def _where(kind: Callable[..., Any]) -> tuple[bool, str]:
    """Whether the first parameter is the agent object, and the name to fall back on (see `Spec`)."""
    try:
        first = next(iter(inspect.signature(kind).parameters), "")
    except (TypeError, ValueError):  # a built-in without a signature
        first = ""
    parts = kind.__qualname__.split(".")
    return first in ("self", "cls"), parts[-2] if _in_class(kind) else parts[0]


def _in_class(kind: Callable[..., Any]) -> bool:
    parts = kind.__qualname__.split(".")
    return len(parts) > 1 and parts[-2] != "<locals>"


def _require_text(argument: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"track_task: {argument} must be a str, not {value!r}")
    if not value.strip():
        raise ValueError(f"track_task: {argument} must not be empty")


def _require_id(argument: str, value: object) -> None:
    if not callable(value):
        _require_text(argument, value)


def _checked_attributes(attributes: object) -> dict[str, AttributeValue]:
    if attributes is None:
        return {}
    if not isinstance(attributes, Mapping):
        raise TypeError(f"track_task: attributes must be a mapping, not {attributes!r}")
    for key, value in attributes.items():
        if not isinstance(key, str) or not _ATTRIBUTE_KEY.fullmatch(key):
            raise ValueError(f"track_task: attributes: {key!r} is not an attribute name")
        if key.startswith(_OWNED_PREFIXES):
            raise ValueError(f"track_task: attributes: {key!r} is set by the SDK; use your own prefix")
        if not isinstance(value, str | bool | int | float):
            raise TypeError(f"track_task: attributes: {key!r} must be a str, bool, int or float, not {value!r}")
    return dict(attributes)
