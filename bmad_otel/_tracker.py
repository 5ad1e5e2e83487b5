"""What `track_task` with arguments returns: a decorator, and a context manager."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, ParamSpec, TypeVar, cast

from bmad_otel._calls import wrap_coroutine_function, wrap_function
from bmad_otel._content import ArgumentNames
from bmad_otel._generators import wrap_async_generator_function, wrap_generator_function
from bmad_otel._handle import TaskHandle
from bmad_otel._spec import Options, Spec
from bmad_otel._steps import is_in_event_loop
from bmad_otel._task import CURRENT, Task
from bmad_otel.semconv import Operation

P = ParamSpec("P")
R = TypeVar("R")

TRACKED: Final = "__bmad_otel_tracked__"
"""Attribute of a wrapper, the `Options` of its decorator: `instrument_agent` does not track a function twice, and a
workflow tracks it as its own decorator would."""


class Tracker:
    """``@track_task(...)``, or ``with track_task(name=...) as task:`` and ``async with``.

    One object may decorate any number of functions and be entered any number of times, also at once and by several
    threads.
    """

    __slots__ = ("_block", "_function_name", "_open", "_options")

    def __init__(self, function_name: str, options: Options) -> None:
        self._function_name = function_name
        self._options = options
        self._block: Spec | None = None
        self._open: list[Task] = []

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """``function`` with its calls tracked. Raises TypeError if it cannot be called."""
        # staticmethod, classmethod and property objects come in when the decorator stands above them: wrap what they
        # hold
        target: Any = function
        if isinstance(target, staticmethod | classmethod):
            return cast("Callable[P, R]", type(target)(self(target.__func__)))
        if isinstance(target, property):
            if target.fget is None:
                raise TypeError(f"{self._function_name}: a property without a getter cannot be tracked")
            return cast("Callable[P, R]", target.getter(self(target.fget)))
        kind = self._checked(target)
        options = self._options
        has_receiver, owner = _where(kind)
        is_agent = options.operation in (Operation.INVOKE_AGENT, Operation.PLAN)
        spec = Spec(
            options,
            options.name or kind.__name__,
            owner=owner if is_agent or _in_class(kind) else None,
            has_receiver=has_receiver,
            names=ArgumentNames.of(target),
        )
        wrapper = _wrapper_for(kind)(target, spec)
        setattr(wrapper, TRACKED, options)
        return cast("Callable[P, R]", wrapper)

    def __enter__(self) -> TaskHandle:
        # In a coroutine the thread also runs others between here and the end: their time is not this task's.
        return self._begin(accounts=not is_in_event_loop())

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._end(error)

    async def __aenter__(self) -> TaskHandle:
        return self._begin(accounts=False)

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._end(error)

    def _begin(self, *, accounts: bool) -> TaskHandle:
        if self._block is None:
            if self._options.name is None:
                raise TypeError(f"{self._function_name}: name is needed for a with block")
            self._block = Spec(self._options, self._options.name, owner=None, has_receiver=False, names=None)
        task = self._block.start_block()
        if task is None:
            return TaskHandle(None)
        self._open.append(task)
        if accounts:
            task.enter()
        else:
            task.make_current()
        return TaskHandle(task)

    def _end(self, error: BaseException | None) -> None:
        task = self._entered()
        if task is None:
            return
        task.leave_block()
        if error is None:
            task.succeed()
        elif isinstance(error, GeneratorExit):
            task.close_early()
        else:
            task.fail(error)

    def _entered(self) -> Task | None:
        """The block that ends now: the innermost of ours around the running code. What ends in another context than it
        began in, as a generator closed by the garbage collector, is taken to be the one entered last."""
        task = CURRENT.get()
        while task is not None and task not in self._open:
            task = task.outer
        if task is None:
            return self._open.pop() if self._open else None
        self._open.remove(task)
        return task

    def _checked(self, target: Any) -> Callable[..., Any]:
        """The function that tells of what kind ``target`` is: itself, what a partial holds, or an object's
        ``__call__``."""
        if isinstance(target, type):
            raise TypeError(
                f"{self._function_name}: decorate the methods of the class {target.__name__}, or the class with "
                "instrument_agent"
            )
        kind = target
        while isinstance(kind, functools.partial):
            kind = kind.func
        if not callable(kind):
            raise TypeError(
                f"{self._function_name}: a function is needed, not {target!r}; arguments are given by keyword"
            )
        if not hasattr(kind, "__name__"):
            return type(kind).__call__
        return cast("Callable[..., Any]", kind)


def _wrapper_for(kind: Callable[..., Any]) -> Callable[[Callable[..., Any], Spec], Callable[..., Any]]:
    if inspect.isasyncgenfunction(kind):
        return wrap_async_generator_function
    if inspect.isgeneratorfunction(kind):
        return wrap_generator_function
    if inspect.iscoroutinefunction(kind):
        return wrap_coroutine_function
    return wrap_function


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
