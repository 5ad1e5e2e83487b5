"""Driving an awaitable step by step, so that each step's CPU time is known."""

from __future__ import annotations

import types
from collections.abc import Generator
from typing import Any, Final, Protocol, cast

from bmad_otel._clock import clock
from bmad_otel._steps import NEGLIGIBLE_NS, Cell
from bmad_otel._task import LAG_NS, Task

_BOOK_AT_NS: Final = 1_000_000
"""CPU time of a task that is booked on its agent before the task ends."""


class Steppable(Protocol):
    """A coroutine, or the awaitable of one step of an async generator."""

    def send(self, value: Any, /) -> Any: ...
    def throw(self, error: BaseException, /) -> Any: ...


@types.coroutine
def stepwise(task: Task, body: Steppable) -> Generator[Any, Any, Any]:
    """Await ``body``; between two of its steps its CPU clock stands still, for the event loop runs others.

    Sent values and thrown exceptions, cancellation among them, reach the body unchanged. The thread's account is looked
    up once: a coroutine stays on the thread of its event loop.
    """
    cell = task.account()
    if cell is None:
        return (yield from cast("Generator[Any, Any, Any]", body))
    agent = cast("str", task.agent)
    # This loop is what a tracked await costs: looked up once, booked seldom.
    monotonic_ns, send = clock.monotonic_ns, body.send
    step: Any = send
    value: Any = None
    own_ns = 0
    try:
        while True:
            booked_ns = cell.booked_ns
            start_ns = monotonic_ns()
            if start_ns > cell.stale_at_ns:
                cell.read(start_ns)
            cpu_ns = cell.read_cpu_ns
            try:
                awaited = step(value)
            except StopIteration as stop:
                return stop.value
            finally:
                value = None  # a thrown exception must not live on in this frame, which is in its traceback
                used_ns = monotonic_ns() - start_ns
                if used_ns > NEGLIGIBLE_NS:
                    used_ns = _long_step(task, cell, start_ns, cpu_ns, start_ns + used_ns)
                own_ns += used_ns + booked_ns - cell.booked_ns
                cell.booked_ns = booked_ns + used_ns
                if own_ns > _BOOK_AT_NS:
                    cell.add(agent, own_ns)
                    own_ns = 0
            try:
                value = yield awaited
                step = send
            except BaseException as error:  # noqa: BLE001 - handed to the body, whose answer decides
                step, value = body.throw, error
    finally:
        cell.add(agent, own_ns)


def _long_step(task: Task, cell: Cell, start_ns: int, cpu_ns: int, end_ns: int) -> int:
    if end_ns - start_ns >= LAG_NS:
        task.held(cell, start_ns, end_ns, on_loop=True)
    return cell.used_by_long_step(start_ns, cpu_ns, end_ns)
