"""Wrappers of generator functions and of async generator functions.

The task lasts from the first step to the end of the body, but its context is current only while the body runs, never
in the consumer between two items. A generator never iterated leaves no trace; one that is closed, or dropped and
collected, ends its task with the outcome *closed early*, which is no error.
"""

from __future__ import annotations

import contextvars
import functools
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from bmad_otel._spec import Spec, Started
from bmad_otel._stepwise import stepwise
from bmad_otel._task import COLLECTS_ANYWHERE, Task


def wrap_generator_function(
    function: Callable[..., Generator[Any, Any, Any]], spec: Spec | Started
) -> Callable[..., Generator[Any, Any, Any]]:
    """A generator function whose iterations are tasks; send, throw, close and the return value pass through."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        task = spec.start(args, kwargs)
        if task is None:
            return (yield from function(*args, **kwargs))
        closing = False
        try:
            body = function(*args, **kwargs)
            step, value = body.send, None
            while True:
                try:
                    if closing and COLLECTS_ANYWHERE:  # so the last step sets variables in a copy of the context
                        item = contextvars.copy_context().run(_step, task, step, value)
                    else:
                        item = _step(task, step, value)
                except StopIteration as stop:
                    result = stop.value
                    break
                finally:
                    value = None  # a thrown exception must not live on in this frame, which is in its traceback
                try:
                    value = yield item
                    step, closing = body.send, False
                except BaseException as error:  # noqa: BLE001 - handed to the body, whose answer decides
                    closing = isinstance(error, GeneratorExit)
                    step, value = body.throw, error
        except BaseException as error:
            if closing and isinstance(error, GeneratorExit):
                task.close_early()
            else:
                task.fail(error)
            raise
        if closing:
            task.close_early()
            return result
        if spec.looks_at_results:
            spec.look_at(task, result)
        task.succeed()
        return result

    return call


def _step(task: Task, step: Callable[[Any], Any], value: Any) -> Any:
    task.enter()
    try:
        return step(value)
    finally:
        del value  # as in the wrapper
        task.keep_context()
        task.leave()


def wrap_async_generator_function(
    function: Callable[..., AsyncGenerator[Any, Any]], spec: Spec | Started
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """An async generator function whose iterations are tasks; asend, athrow and aclose pass through."""

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        task = spec.start(args, kwargs)
        closing = False
        try:
            body = function(*args, **kwargs)
            step = _first_step(body)
            while True:
                if task is not None:
                    task.make_current()
                try:
                    item = await (step if task is None else stepwise(task, step))
                except StopAsyncIteration:
                    break
                finally:
                    if task is not None:
                        task.keep_context()
                        task.stop()
                try:
                    value = yield item
                    step, closing = body.asend(value), False
                except BaseException as error:  # noqa: BLE001 - handed to the body, whose answer decides
                    closing = isinstance(error, GeneratorExit)
                    step = body.athrow(error)
        except BaseException as error:
            if task is not None:
                if closing and isinstance(error, GeneratorExit):
                    task.close_early()
                else:
                    task.fail(error)
            raise
        if task is not None:
            if closing:
                task.close_early()
            else:
                task.succeed()

    return call


def _first_step(body: AsyncGenerator[Any, Any]) -> Any:
    """The first step of ``body``, made without telling the event loop of it.

    The loop closes the async generators it knows when they are dropped and when it ends. It knows the wrapper, which
    closes the body; told of both it would close the body twice at once, which is an error.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return body.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)
