"""Wrappers of plain functions and of coroutine functions."""

from __future__ import annotations

import functools
import types
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from bmad_otel._generators import wrap_async_generator_function, wrap_generator_function
from bmad_otel._spec import Spec, Started
from bmad_otel._stepwise import stepwise
from bmad_otel._task import Task


def wrap_function(function: Callable[..., Any], spec: Spec) -> Callable[..., Any]:
    """A function whose calls are tasks; when it returns a coroutine or a generator, until that ends."""

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
        if type(result) in _LATER:
            return _follow(task, spec, result)
        if spec.looks_at_results:
            spec.look_at(task, result)
        task.succeed()
        return result

    return call


def wrap_coroutine_function(
    function: Callable[..., Awaitable[Any]], spec: Spec | Started
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """A coroutine function whose awaited calls are tasks. A coroutine never awaited leaves no trace."""

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        task = spec.start(args, kwargs)
        if task is None:
            return await function(*args, **kwargs)
        task.make_current()
        try:
            body = function(*args, **kwargs)
            result = await stepwise(task, body if isinstance(body, types.CoroutineType) else _awaiting(body))
        except GeneratorExit:
            task.stop()
            task.close_early()
            raise
        except BaseException as error:
            task.stop()
            task.fail(error)
            raise
        task.stop()
        if spec.looks_at_results:
            spec.look_at(task, result)
        task.succeed()
        return result

    return call


async def _awaiting(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


_LATER: Final[dict[type, Callable[[Callable[..., Any], Started], Callable[..., Any]]]] = {
    types.CoroutineType: wrap_coroutine_function,
    types.GeneratorType: wrap_generator_function,
    types.AsyncGeneratorType: wrap_async_generator_function,
}
"""What a plain function may return instead of doing its work, and who goes on with its task."""


def _follow(task: Task, spec: Spec, body: Any) -> Any:
    """What stands for ``body`` and ends ``task`` with it; dropped before its first step, it ends the task early."""

    def resume() -> Any:
        return body

    followed = _LATER[type(body)](resume, Started(task, spec))()
    followed.__name__, followed.__qualname__ = body.__name__, body.__qualname__
    weakref.finalize(followed, _abandon, task, body).atexit = False
    return followed


def _abandon(task: Task, body: Any) -> None:
    if task.is_running:
        if isinstance(body, types.CoroutineType):
            body.close()  # the warning that it was never awaited is given once, for what stood for it
        task.close_early()
