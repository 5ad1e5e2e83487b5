"""Rows on work that goes on in another thread: what it traces hangs below the task that gave it away."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opentelemetry import trace

from .kit import Body, Traced, is_child, own_tracer


def _child() -> None:
    with own_tracer().start_as_current_span("child"):
        pass


def _assert_linked(traced: Traced, body: Body, count: int = 1) -> None:
    span = body.one_span()
    assert [is_child(child, span) for child in traced.other_spans()] == [True] * count


def test_thread_pool_executor_child_linked(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    def fans_out(pool: ThreadPoolExecutor) -> None:
        body.step()
        pool.submit(_child).result()
        list(pool.map(lambda _: _child(), range(3)))
        body.step()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: None, range(4)))  # threads that are older than the task
        fans_out(pool)
        # the thread forgets the task with its work
        assert pool.submit(trace.get_current_span).result() is trace.INVALID_SPAN
    _assert_linked(traced, body, 4)


def test_asyncio_to_thread_child_linked(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    async def fans_out() -> None:
        body.step()
        await asyncio.to_thread(_child)
        body.step()

    asyncio.run(fans_out())
    _assert_linked(traced, body)


def test_run_in_executor_child_linked(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    async def fans_out(pool: Any) -> None:
        body.step()
        await asyncio.get_running_loop().run_in_executor(pool, _child)
        body.step()

    asyncio.run(fans_out(None))
    _assert_linked(traced, body)
