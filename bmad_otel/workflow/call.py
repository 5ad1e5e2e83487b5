"""One attempt at a task: a tracked call of the agent's function, whatever kind of function it is."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from bmad_otel import _guard
from bmad_otel._clock import clock
from bmad_otel._failure import message_of, type_name
from bmad_otel._handle import current_task
from bmad_otel._spec import Options, judge
from bmad_otel._state import state
from bmad_otel._task import CURRENT
from bmad_otel._tracker import TRACKED, Tracker
from bmad_otel.semconv import Operation

from .agents import Callee

T = TypeVar("T")


class TaskFailed(Exception):
    """The agent returned, and what it said or returned means that the task failed."""

    def __init__(self, message: str, error_type: str) -> None:
        self.error_type = error_type
        super().__init__(message or "the agent said that it failed")


async def attempt(
    callee: Callee,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    name: str,
    task_id: str,
    workflow_id: str,
    timeout_s: float | None,
) -> Any:
    """What the agent's function returned: of a coroutine function what it returned in the end, of a generator the list
    of what it gave. One span ``invoke_agent`` and one duration of the agent, however it ends.

    A plain function runs in a thread of its own, a coroutine function in this event loop. Raises what it raised,
    TimeoutError after ``timeout_s`` seconds, and TaskFailed when it said that it failed.
    """
    function, told = _untracked(callee.function)
    # evaluated within the attempt, so that they count whether or not anything is recorded
    usage, detect_failure = told.usage, told.detect_failure
    options = replace(
        told,
        name=told.name or name,
        agent=callee.agent,
        task_id=task_id,
        workflow_id=workflow_id,
        usage=None,
        detect_failure=None,
    )
    failed: TaskFailed | None = None

    # named and with the signature of the function, for whoever records arguments
    @functools.wraps(function)
    async def body(*args: Any, **kwargs: Any) -> Any:
        nonlocal failed
        handle = current_task()
        task = CURRENT.get()
        try:
            async with asyncio.timeout(timeout_s) as limit:
                result = await _call(function, args, kwargs)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TimeoutError(f"no result within {timeout_s:g} s") from error
        try:
            if usage is not None:
                handle.record(usage(result))
            if detect_failure is not None and (verdict := detect_failure(result)):
                judge(handle, verdict)
                failed = _failed(verdict)
        except Exception as error:  # noqa: BLE001 - as with @track_task: the result stands
            _guard.contain("looking at a result", error)
        if task is not None and (said := task.said().failure) is not None:
            failed = TaskFailed(said[1], said[0])
        return result

    result = await Tracker("run_workflow", options)(body)(*args, **kwargs)
    if failed is not None:
        raise failed
    return result


def _failed(verdict: object) -> TaskFailed:
    if isinstance(verdict, BaseException):
        return TaskFailed(message_of(verdict), type_name(verdict))
    return TaskFailed(verdict if isinstance(verdict, str) else "", "task_error")


def _untracked(function: Callable[..., Any]) -> tuple[Callable[..., Any], Options]:
    """A function without its ``@track_task`` and what that was told: the attempt is tracked in its place, so that a
    task counts once. Any other function as it is."""
    bound = getattr(function, "__self__", None)
    plain = getattr(function, "__func__", function)
    options = getattr(plain, TRACKED, None)
    inner = getattr(plain, "__wrapped__", None)
    if not isinstance(options, Options) or options.operation is not Operation.INVOKE_AGENT or inner is None:
        return function, Options()
    if hasattr(inner, TRACKED):  # another decorator around @track_task: it has work of its own to do
        return function, Options()
    return inner if bound is None else functools.partial(inner, bound), options


async def _call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    kind = function
    while isinstance(kind, functools.partial):
        kind = kind.func
    if not (inspect.isroutine(kind) or inspect.isclass(kind)):
        kind = type(kind).__call__
    if inspect.iscoroutinefunction(kind) or inspect.isasyncgenfunction(kind):
        result = function(*args, **kwargs)
    else:
        result = await _in_thread(lambda: _finished(function(*args, **kwargs)))
    if inspect.isawaitable(result):
        result = await result
    return [item async for item in result] if inspect.isasyncgen(result) else result


def _finished(result: Any) -> Any:
    return list(result) if inspect.isgenerator(result) else result


async def _in_thread(function: Callable[[], T]) -> T:
    """Run ``function`` in a thread of its own with the current context.

    Not in a pool: a function that goes on after its timeout would keep a place in it, and the program's end would wait
    for it. Such a thread is left behind; what it returns is not used.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            outcome = functools.partial(_give, done, context.run(_accounted, function), None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is awaited
            outcome = functools.partial(_give, done, None, error)
        with contextlib.suppress(RuntimeError):  # after the timeout the loop may be closed
            loop.call_soon_threadsafe(outcome)

    threading.Thread(target=run, name="bmad-workflow-task", daemon=True).start()
    return await done


def _give(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    elif isinstance(error, StopIteration | KeyboardInterrupt | SystemExit):
        # a future cannot hold the first, and the others would end the event loop
        done.set_exception(RuntimeError(f"the agent raised {type(error).__name__}: {error}"))
    else:
        done.set_exception(error)


def _accounted(function: Callable[[], T]) -> T:
    """Call ``function`` and book this thread's CPU time on the agent of the current task."""
    task = CURRENT.get()
    if task is None or task.agent is None:
        return function()
    cell = state.cpu.cell()
    booked_ns, start_ns = cell.booked_ns, clock.monotonic_ns()
    cpu_ns = cell.read(start_ns)
    try:
        return function()
    finally:
        used_ns = cell.used_by_long_step(start_ns, cpu_ns, clock.monotonic_ns())
        cell.add(task.agent, used_ns + booked_ns - cell.booked_ns)
        cell.booked_ns = booked_ns + used_ns
