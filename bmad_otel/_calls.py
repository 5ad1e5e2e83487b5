"""Wrappers of plain functions and of coroutine functions."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol

from bmad_otel._spec import Spec
from bmad_otel._task import Task


class Steppable(Protocol):
    """A coroutine, or the awaitable of one step of an async generator."""

    def send(self, value: Any, /) -> Any: ...
    def throw(self, error: BaseException, /) -> Any: ...


def wrap_function(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    """A function whose calls are tasks."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        task = spec.start(args, kwargs)
        if task is None:
            return function(*args, **kwargs)
        task.enter()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            task.leave()
            task.fail(error)
            raise
        task.leave()
        task.succeed()
        return result

    return call


def wrap_coroutine_function(
    function: Callable[..., Coroutine[Any, Any, Any]], spec: Spec
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """A coroutine function whose awaited calls are tasks. A coroutine never awaited leaves no trace."""

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        task = spec.start(args, kwargs)
        if task is None:
            return await function(*args, **kwargs)
        try:
            result = await stepwise(task, function(*args, **kwargs))
        except GeneratorExit:
            task.close_early()
            raise
        except BaseException as error:
            task.fail(error)
            raise
        task.succeed()
        return result

    return call


@types.coroutine
def stepwise(task: Task, body: Steppable) -> Generator[Any, Any, Any]:
    """Await ``body`` with each of its steps between ``task.enter`` and ``task.leave``.

    Between two steps the body's context is not current and its CPU clock stands still: the event loop runs others.
    Sent values and thrown exceptions, cancellation among them, reach the body unchanged.
    """
    step, value = body.send, None
    while True:
        task.enter()
        try:
            awaited = step(value)
        except StopIteration as stop:
            return stop.value
        finally:
            value = None  # a thrown exception must not live on in this frame, which is in its traceback
            task.leave()
        try:
            value = yield awaited
            step = body.send
        except BaseException as error:  # noqa: BLE001 - handed to the body, whose answer decides
            step, value = body.throw, error
