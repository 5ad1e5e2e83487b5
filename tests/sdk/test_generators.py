"""Generators and async generators behave as if they were not tracked, and are one task each."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import inspect
import types
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from bmad_otel import track_task

from .conftest import Telemetry, attributes


@track_task(agent="Counts")
def counts(n: int) -> Generator[int, Any, str]:
    yield from range(n)
    return "done"


@track_task(agent="Counts")
async def counts_async(n: int) -> AsyncGenerator[int, Any]:
    for i in range(n):
        await asyncio.sleep(0)
        yield i


async def listed(source: Any) -> list[int]:
    return [item async for item in source]


# What table 1b of the comparison asks, for generators ----------------------------------------------------------------


def test_one_span_from_the_first_item_to_the_return_value(telemetry: Telemetry) -> None:
    def consumer() -> Generator[int, Any, str]:
        return (yield from counts(3))

    outer = consumer()
    assert list(outer) == [0, 1, 2]
    span = telemetry.span()
    assert attributes(span)["bmad.task.outcome"] == "ok"
    assert span.status.status_code is StatusCode.UNSET

    source = counts(0)
    with pytest.raises(StopIteration) as stopped:
        next(source)
    assert stopped.value.value == "done"


def test_the_kind_of_function_is_kept() -> None:
    assert inspect.isgeneratorfunction(counts)
    assert inspect.isasyncgenfunction(counts_async)
    assert inspect.isgenerator(counts(1))


def test_the_context_is_current_only_while_the_body_runs(telemetry: Telemetry) -> None:
    inside: list[Any] = []

    @track_task(agent="Looks")
    def looks() -> Generator[int, Any, None]:
        for i in range(2):
            inside.append(trace.get_current_span())
            yield i

    tracer = trace.get_tracer("app")
    with tracer.start_as_current_span("consumer") as consumer:
        for _ in looks():
            assert trace.get_current_span() is consumer
            with tracer.start_as_current_span("of the consumer"):
                pass
    assert inside[0] is inside[1]
    assert inside[0] is not consumer
    by_name = {span.name: span for span in telemetry.spans()}
    assert by_name["of the consumer"].parent == by_name["consumer"].context
    assert by_name["invoke_agent Looks"].parent == by_name["consumer"].context


def test_interleaved_generators_keep_their_own_children(telemetry: Telemetry) -> None:
    tracer = trace.get_tracer("app")

    @track_task(agent="Nests")
    def nests(name: str) -> Generator[int, Any, None]:
        with tracer.start_as_current_span(f"in {name}") as own:
            for i in range(3):
                assert trace.get_current_span() is own
                yield i

    for pair in zip(nests("a"), nests("b"), strict=True):
        assert pair[0] == pair[1]
        assert trace.get_current_span() is trace.INVALID_SPAN
    assert {attributes(s).get("bmad.task.outcome") for s in telemetry.spans() if s.name.startswith("invoke")} == {"ok"}


def test_an_early_close_is_an_outcome_and_no_error(telemetry: Telemetry) -> None:
    cleaned_up: list[bool] = []

    @track_task(agent="Closes")
    def closes() -> Generator[int, Any, None]:
        try:
            yield 1
        finally:
            cleaned_up.append(trace.get_current_span().is_recording())

    source = closes()
    next(source)
    source.close()
    assert cleaned_up == [True]
    assert telemetry.outcome() == "closed_early"
    assert telemetry.span().status.status_code is StatusCode.UNSET
    (point,) = telemetry.points()["gen_ai.invoke_agent.duration"]
    assert point.attributes["bmad.task.outcome"] == "closed_early"


def test_never_iterated_leaves_no_trace(telemetry: Telemetry) -> None:
    counts(3)
    counts(3).close()
    assert telemetry.spans() == []


def test_dropped_half_way_ends_when_collected(telemetry: Telemetry) -> None:
    for _ in counts(3):
        break
    gc.collect()
    assert telemetry.outcome() == "closed_early"


def test_send_and_throw_reach_the_body(telemetry: Telemetry) -> None:
    @track_task(agent="Talks")
    def talks() -> Generator[str, str, str]:
        heard = yield "start"
        try:
            heard = yield heard.upper()
        except KeyError as error:
            heard = yield f"caught {error}"
        return heard

    source = talks()
    assert next(source) == "start"
    assert source.send("hello") == "HELLO"
    assert source.throw(KeyError("k")) == "caught 'k'"
    with pytest.raises(StopIteration) as stopped:
        source.send("end")
    assert stopped.value.value == "end"
    assert telemetry.outcome() == "ok"


def test_an_error_in_the_body_is_an_error(telemetry: Telemetry) -> None:
    @track_task(agent="Fails")
    def fails() -> Generator[int, Any, None]:
        yield 1
        raise ValueError("bad item")

    with pytest.raises(ValueError, match="bad item"):
        list(fails())
    span = telemetry.span()
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "ValueError"
    assert len(span.events) == 1


def test_ignoring_the_close_is_told_to_the_caller_as_ever(telemetry: Telemetry) -> None:
    @track_task(agent="Stubborn")
    def stubborn() -> Generator[int, Any, None]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    source = stubborn()
    next(source)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        source.close()
    assert list(source) == []
    assert telemetry.outcome() == "ok"


def test_a_thrown_exception_is_let_go(telemetry: Telemetry) -> None:
    class Thrown(Exception):
        pass

    @track_task(agent="Lets go")
    def lets_go() -> Generator[int, Any, None]:
        with contextlib.suppress(Thrown):
            yield 1
        yield -1

    source = lets_go()
    next(source)
    gc.disable()
    try:
        error = Thrown()
        assert source.throw(error) == -1
        seen = weakref.ref(error)
        del error
        assert seen() is None
    finally:
        gc.enable()
    source.close()


# ... and for async generators ----------------------------------------------------------------------------------------


def test_async_one_span_until_exhausted(telemetry: Telemetry) -> None:
    assert asyncio.run(listed(counts_async(3))) == [0, 1, 2]
    assert telemetry.outcome() == "ok"


def test_async_the_context_does_not_leak(telemetry: Telemetry) -> None:
    async def consume() -> None:
        async for _ in counts_async(3):
            assert trace.get_current_span() is trace.INVALID_SPAN

    asyncio.run(consume())
    assert len(telemetry.spans()) == 1


def test_async_break_and_collect_ends_once_and_logs_nothing(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    async def stop_early() -> None:
        for _ in range(50):
            async for _ in counts_async(3):
                break
            gc.collect()
            await asyncio.sleep(0)

    asyncio.run(stop_early())
    assert len(telemetry.spans()) == 50
    assert {attributes(span)["bmad.task.outcome"] for span in telemetry.spans()} == {"closed_early"}
    assert caplog.records == []


def test_async_closed_from_another_task(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    async def hand_over() -> None:
        source = counts_async(3)
        assert await anext(source) == 0
        await asyncio.create_task(source.aclose())  # type: ignore[arg-type]

    asyncio.run(hand_over())
    assert telemetry.outcome() == "closed_early"
    assert caplog.records == []


def test_async_still_open_at_the_end_of_the_loop(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    kept: list[Any] = []

    @track_task(agent="Kept")
    async def cleans_up() -> AsyncGenerator[int, Any]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)

    async def keep() -> None:
        for _ in range(10):
            source = cleans_up()
            kept.append(source)
            await anext(source)

    asyncio.run(keep())
    assert [attributes(span)["bmad.task.outcome"] for span in telemetry.spans()] == ["closed_early"] * 10
    assert caplog.records == []


def test_async_asend_and_athrow_reach_the_body(telemetry: Telemetry) -> None:
    @track_task(agent="Talks")
    async def talks() -> AsyncGenerator[str, str]:
        heard = yield "start"
        try:
            yield heard.upper()
        except KeyError as error:
            yield f"caught {error}"

    async def talk() -> list[str]:
        source = talks()
        said = [await anext(source), await source.asend("hello"), await source.athrow(KeyError("k"))]
        with pytest.raises(StopAsyncIteration):
            await anext(source)
        return said

    assert asyncio.run(talk()) == ["start", "HELLO", "caught 'k'"]
    assert telemetry.outcome() == "ok"


def test_async_errors_and_cancellation(telemetry: Telemetry) -> None:
    @track_task(agent="Fails")
    async def fails() -> AsyncGenerator[int, Any]:
        yield 1
        raise ValueError("bad item")

    @track_task(agent="Waits")
    async def waits() -> AsyncGenerator[int, Any]:
        yield 1
        await asyncio.Event().wait()

    async def cancel() -> None:
        task = asyncio.create_task(listed(waits()))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(ValueError, match="bad item"):
        asyncio.run(listed(fails()))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())
    assert [attributes(span)["bmad.task.outcome"] for span in telemetry.spans()] == ["error", "cancelled"]


def test_async_never_iterated_leaves_no_trace(telemetry: Telemetry) -> None:
    async def create() -> None:
        counts_async(1)
        await counts_async(1).aclose()

    asyncio.run(create())
    assert telemetry.spans() == []


# The law: tracked and plain cannot be told apart ----------------------------------------------------------------------

REACTIONS = st.lists(st.sampled_from(["yield", "catch", "clean up", "raise", "return"]), max_size=6)
DRIVES = st.lists(st.sampled_from(["next", "send", "throw", "exit", "close"]), max_size=8)


def body_of(plan: list[str]) -> Generator[Any, Any, Any]:
    heard: Any = None
    for i, reaction in enumerate(plan):
        if reaction == "raise":
            raise LookupError(i)
        if reaction == "return":
            return ("returned", i, heard)
        try:
            heard = yield (i, heard)
        except ValueError as error:
            if reaction != "catch":
                raise
            heard = str(error)
        finally:
            if reaction == "clean up":
                heard = ("cleaned", i)
    return ("end", heard)


async def async_body_of(plan: list[str]) -> AsyncGenerator[Any, Any]:
    body = body_of(plan)
    step: Callable[[], Any] = lambda: next(body)  # noqa: E731
    while True:
        await asyncio.sleep(0)
        try:
            item = step()
        except StopIteration:
            return
        try:
            heard = yield item
        except BaseException as error:
            caught = error
            step = lambda: body.throw(caught)  # noqa: E731, B023
        else:
            step = lambda: body.send(heard)  # noqa: E731, B023


def drive(source: Any, moves: list[str], *, inside: bool = False) -> list[Any]:
    """What ``source`` answers to ``moves``; ``inside`` its own context, as a coroutine of an event loop is driven."""
    seen: list[Any] = []
    for i, move in enumerate(moves):
        try:
            match move:
                case "next":
                    seen.append(source.send(None))
                case "send":
                    seen.append(source.send(f"sent {i}"))
                case "throw":
                    seen.append(source.throw(ValueError(f"thrown {i}")))
                case "exit":
                    seen.append(source.throw(GeneratorExit()))
                case "close":
                    source.close()
                    seen.append("closed")
        except BaseException as error:
            seen.append((type(error), error.args, getattr(error, "value", None), type(error.__context__)))
        assert inside or trace.get_current_span() is trace.INVALID_SPAN
    source.close()
    return seen


async def drive_async(source: AsyncGenerator[Any, Any], moves: list[str]) -> list[Any]:
    seen: list[Any] = []
    for i, move in enumerate(moves):
        try:
            match move:
                case "next":
                    seen.append(await anext(source))
                case "send":
                    seen.append(await source.asend(f"sent {i}"))
                case "throw":
                    seen.append(await source.athrow(ValueError(f"thrown {i}")))
                case "exit":
                    seen.append(await source.athrow(GeneratorExit()))
                case "close":
                    await source.aclose()
                    seen.append("closed")
        except BaseException as error:
            seen.append((type(error), error.args))
        assert trace.get_current_span() is trace.INVALID_SPAN
    await source.aclose()
    return seen


LAW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@LAW
@given(plan=REACTIONS, moves=DRIVES)
def test_law_a_tracked_generator_is_the_plain_one(telemetry: Telemetry, plan: list[str], moves: list[str]) -> None:
    telemetry.exporter.clear()
    assert drive(track_task(agent="Law")(body_of)(plan), moves) == drive(body_of(plan), moves)
    assert len(telemetry.spans()) <= 1


@types.coroutine
def awaitable_of(plan: list[str]) -> Generator[Any, Any, Any]:
    return (yield from body_of(plan))


async def coroutine_of(plan: list[str]) -> Any:
    return await awaitable_of(plan)


@LAW
@given(plan=REACTIONS, moves=DRIVES)
def test_law_a_tracked_coroutine_is_the_plain_one(telemetry: Telemetry, plan: list[str], moves: list[str]) -> None:
    telemetry.exporter.clear()
    # every event loop gives a coroutine a context of its own to run in
    context = contextvars.copy_context()
    tracked = context.run(drive, track_task(agent="Law")(coroutine_of)(plan), moves, inside=True)
    assert tracked == drive(coroutine_of(plan), moves)
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert context.run(trace.get_current_span) is trace.INVALID_SPAN
    assert len(telemetry.spans()) <= 1


@LAW
@given(plan=REACTIONS, moves=DRIVES)
def test_law_a_tracked_async_generator_is_the_plain_one(
    telemetry: Telemetry, plan: list[str], moves: list[str]
) -> None:
    telemetry.exporter.clear()
    tracked = asyncio.run(drive_async(track_task(agent="Law")(async_body_of)(plan), moves))
    assert tracked == asyncio.run(drive_async(async_body_of(plan), moves))
    assert len(telemetry.spans()) <= 1
