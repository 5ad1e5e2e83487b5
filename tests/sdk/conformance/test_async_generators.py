"""Rows on async generator functions."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from opentelemetry import trace

from .kit import WORK_S, Body, Outside, Traced, exceptions, is_child, is_error, no_detach_log, own_tracer


def test_agen_real_duration(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    async def numbers(n: int) -> AsyncGenerator[int, Any]:
        for i in range(n):
            body.step()
            await asyncio.sleep(WORK_S)
            body.step()
            yield i
        body.step()

    async def consume() -> list[int]:
        return [i async for i in numbers(3)]

    assert asyncio.run(consume()) == [0, 1, 2]
    assert not is_error(body.one_span(lasting_s=3 * WORK_S))


def test_agen_context_not_leaked_to_consumer(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    async def numbers() -> AsyncGenerator[int, Any]:
        for i in range(3):
            body.step()
            await asyncio.sleep(0)
            body.step()
            yield i

    async def consume() -> None:
        with own_tracer().start_as_current_span("consumer") as consumer:
            outside = Outside()
            async for _ in numbers():
                assert trace.get_current_span() is consumer
                outside.assert_unchanged()
                with own_tracer().start_as_current_span("of the consumer"):
                    await asyncio.sleep(0)
            outside.assert_unchanged()

    asyncio.run(consume())
    span = body.one_span()
    *between, last = traced.other_spans()
    assert [is_child(own, last) for own in between] == [True] * 3
    assert is_child(span, last)


def test_agen_isasyncgenfunction_kept(traced: Traced) -> None:
    body = Body(traced)

    async def numbers() -> AsyncGenerator[int, Any]:
        body.step()
        yield 1

    decorated = traced.decorate(numbers)
    assert inspect.isasyncgenfunction(decorated)

    async def consume() -> list[int]:
        source = decorated()
        assert inspect.isasyncgen(source)
        return [i async for i in source]

    assert asyncio.run(consume()) == [1]
    body.one_span()


def test_agen_closed_from_other_task_one_span_no_leak_no_detach_log(traced: Traced) -> None:
    body = Body(traced)
    outsides: list[Outside] = []

    @traced.decorate
    async def numbers() -> AsyncGenerator[int, Any]:
        try:
            body.step()
            yield 1
        finally:
            await asyncio.sleep(0)
            body.step()

    async def close(source: AsyncGenerator[int, Any]) -> None:
        outside = Outside()
        await source.aclose()
        outside.assert_unchanged()

    async def hand_over() -> None:
        outside = Outside()
        source = numbers()
        await anext(source)
        await asyncio.create_task(close(source))
        outside.assert_unchanged()
        outsides.append(outside)

    with no_detach_log():
        asyncio.run(hand_over())
        gc.collect()
    assert len(outsides) == 1
    span = body.one_span()
    assert not is_error(span)
    assert exceptions(span) == []


def test_agen_break_and_gc_one_span_no_leak_no_detach_log(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    async def numbers(closed: asyncio.Event) -> AsyncGenerator[int, Any]:
        try:
            for i in range(3):
                body.step()
                yield i
        finally:
            await asyncio.sleep(0)
            body.step()
            closed.set()

    async def stop_early() -> None:
        closed = asyncio.Event()
        outside = Outside()
        async for _ in numbers(closed):
            break
        gc.collect()
        await asyncio.wait_for(closed.wait(), 10)
        await asyncio.sleep(0)
        outside.assert_unchanged()

    with no_detach_log():
        asyncio.run(stop_early())
    span = body.one_span()
    assert not is_error(span)
    assert exceptions(span) == []


def test_agen_asend_forwarded(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    async def talks() -> AsyncGenerator[str, str]:
        body.step()
        heard = yield "start"
        await asyncio.sleep(0)
        body.step()
        try:
            yield heard.upper()
        except KeyError as error:
            body.step()
            yield f"caught {error}"

    async def talk() -> None:
        source = talks()
        assert await anext(source) == "start"
        assert await source.asend("hello") == "HELLO"
        assert await source.athrow(KeyError("k")) == "caught 'k'"
        with pytest.raises(StopAsyncIteration):
            await source.asend("end")

    asyncio.run(talk())
    assert not is_error(body.one_span())
