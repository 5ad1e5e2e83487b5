"""Pitfalls at run time, inside one process: contexts, ways to end, what others do in between, and memory."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
import sys
import threading
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.trace import StatusCode

from bmad_otel import Outcome, current_task, track_task, track_tool, track_workflow

from .conformance.kit import Outside, ending, id_of, is_child, no_detach_log, own_tracer
from .conftest import Telemetry, attributes


def outcomes(telemetry: Telemetry) -> list[Any]:
    return [attributes(span)["bmad.task.outcome"] for span in telemetry.spans()]


# Contexts ------------------------------------------------------------------------------------------------------------


def test_what_the_consumer_opens_between_two_items_is_its_own(telemetry: Telemetry) -> None:
    """The consumer opens a span after one item and closes it after the next: both contexts stay in order."""

    @track_task(agent="Streams")
    def items() -> Iterator[int]:
        with own_tracer().start_as_current_span("inner"):
            yield from range(4)

    outside = Outside()
    open_span: Any = None
    for _ in items():
        if open_span is None:
            open_span = own_tracer().start_as_current_span("consumer")
            open_span.__enter__()
        else:
            assert trace.get_current_span().name == "consumer"  # type: ignore[attr-defined]
            open_span.__exit__(None, None, None)
            open_span = None
        if open_span is None:
            outside.assert_unchanged()
    by_name = {span.name: span for span in telemetry.spans()}
    assert by_name["consumer"].parent is None
    assert is_child(by_name["inner"], by_name["invoke_agent Streams"])


def test_two_generators_in_turn_keep_their_contexts(telemetry: Telemetry) -> None:
    @track_task
    def items(name: str) -> Iterator[str]:
        for _ in range(3):
            with own_tracer().start_as_current_span(f"in {name}") as own:
                yield name
                assert trace.get_current_span() is own

    @track_task
    async def items_later(name: str) -> AsyncIterator[str]:
        for _ in range(3):
            with own_tracer().start_as_current_span(f"in {name}") as own:
                await asyncio.sleep(0)
                yield name
                assert trace.get_current_span() is own

    async def in_turn() -> None:
        first, second = items_later("c"), items_later("d")
        for _ in range(3):
            assert (await anext(first), await anext(second)) == ("c", "d")
        async for _ in second:
            raise AssertionError
        async for _ in first:
            raise AssertionError

    outside = Outside()
    assert list(zip(items("a"), items("b"), strict=True)) == [("a", "b")] * 3
    asyncio.run(in_turn())
    outside.assert_unchanged()
    tasks = {id_of(span) for span in telemetry.spans() if span.name.startswith("invoke_agent")}
    children: dict[str, set[int]] = {}
    for span in telemetry.spans():
        if span.parent is not None:
            children.setdefault(span.name, set()).add(span.parent.span_id)
    assert {name: len(parents) for name, parents in children.items()} == dict.fromkeys(
        ["in a", "in b", "in c", "in d"], 1
    )
    assert set().union(*children.values()) == tasks


def test_a_context_variable_set_in_the_body_is_seen_as_without_us(telemetry: Telemetry) -> None:
    """Only the span is kept apart; the program's own variables behave as in an untracked generator or coroutine."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    def items() -> Iterator[int]:
        variable.set(variable.get() + 1)
        yield variable.get()
        yield variable.get()

    async def later() -> int:
        variable.set(variable.get() + 10)
        await asyncio.sleep(0)
        return variable.get()

    def plain() -> int:
        variable.set(variable.get() + 100)
        return variable.get()

    def observed(wrap: Callable[[Any], Any]) -> list[int]:
        async def run() -> list[int]:
            seen = [wrap(plain)(), variable.get()]
            source = wrap(items)()
            seen += [next(source), variable.get()]
            variable.set(50)
            seen += [next(source), variable.get(), await wrap(later)(), variable.get()]
            return seen

        return asyncio.run(run())

    assert observed(track_task) == observed(lambda function: function)


def test_baggage_and_suppression_set_in_the_body_stay_in_the_body(telemetry: Telemetry) -> None:
    @track_task
    def attaches_for_ever() -> Any:
        otel_context.attach(baggage.set_baggage("user", "ada"))
        return baggage.get_baggage("user")

    outside = Outside()
    assert attaches_for_ever() == "ada"
    outside.assert_unchanged()


def test_a_remote_parent_and_baggage_reach_the_task(telemetry: Telemetry) -> None:
    remote = trace.SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=trace.TraceFlags(1))
    context = baggage.set_baggage("user", "ada", trace.set_span_in_context(trace.NonRecordingSpan(remote)))

    @track_task
    async def reads() -> Any:
        await asyncio.sleep(0)
        return baggage.get_baggage("user")

    async def serve() -> Any:
        token = otel_context.attach(context)
        try:
            return await reads()
        finally:
            otel_context.detach(token)

    assert asyncio.run(serve()) == "ada"
    span = telemetry.span()
    assert span.context is not None
    assert span.parent is not None
    assert (span.context.trace_id, span.parent.span_id) == (0xABC, 0xDEF)


def test_tasks_created_in_the_body_hang_below_it_also_when_they_outlive_it(telemetry: Telemetry) -> None:
    @track_task(agent="Child")
    async def child(go: asyncio.Event) -> None:
        await go.wait()

    @track_task(agent="Parent")
    async def parent(go: asyncio.Event) -> Any:
        return asyncio.create_task(child(go))  # type: ignore[arg-type]

    async def main() -> None:
        go = asyncio.Event()
        task = await parent(go)
        await asyncio.sleep(0)
        go.set()
        await task

    asyncio.run(main())
    first, last = telemetry.spans()
    assert (first.name, last.name) == ("invoke_agent Parent", "invoke_agent Child")
    assert is_child(last, first)


# Ways to end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "outcome", "error_type"),
    [
        (ExceptionGroup("several", [ValueError(), TypeError()]), "error", "ExceptionGroup"),
        (BaseExceptionGroup("several", [KeyboardInterrupt()]), "error", "BaseExceptionGroup"),
        (KeyboardInterrupt(), "cancelled", None),
        (SystemExit(), "cancelled", None),
        (SystemExit(0), "cancelled", None),
        (SystemExit(1), "error", "SystemExit"),
        (SystemExit("no configuration"), "error", "SystemExit"),
        (asyncio.CancelledError(), "cancelled", None),
        (TimeoutError(), "timeout", "TimeoutError"),
        (ValueError("v"), "error", "ValueError"),
    ],
)
@pytest.mark.parametrize("shape", ["function", "coroutine", "generator", "async generator", "block", "async block"])
def test_each_end_is_told_alike_in_every_shape(
    telemetry: Telemetry, error: BaseException, outcome: str, error_type: str | None, shape: str
) -> None:
    def plain() -> None:
        raise error

    async def coroutine() -> None:
        raise error

    def generator() -> Iterator[int]:
        yield 1
        raise error

    async def async_generator() -> AsyncIterator[int]:
        yield 1
        raise error

    async def exhaust() -> None:
        async for _ in track_task(agent="A")(async_generator)():
            pass

    async def await_it() -> None:
        await track_task(agent="A")(coroutine)()

    async def async_block() -> None:
        async with track_task(name="block", agent="A"):
            raise error

    def block() -> None:
        with track_task(name="block", agent="A"):
            raise error

    def stepped(coroutine: Any) -> None:
        coroutine.send(None)  # without an event loop, which has a way of its own with SystemExit

    ways: dict[str, Callable[[], Any]] = {
        "function": track_task(agent="A")(plain),
        "coroutine": lambda: stepped(await_it()),
        "generator": lambda: list(track_task(agent="A")(generator)()),
        "async generator": lambda: stepped(exhaust()),
        "block": block,
        "async block": lambda: stepped(async_block()),
    }
    outside = Outside()
    with pytest.raises(type(error)) as caught:
        ways[shape]()
    assert caught.value is error
    outside.assert_unchanged()
    span = telemetry.span()
    assert telemetry.outcome() == outcome
    assert attributes(span).get("error.type") == error_type
    assert span.status.status_code is (StatusCode.UNSET if error_type is None else StatusCode.ERROR)
    assert len(span.events) == (error_type is not None)
    (point,) = telemetry.points()["gen_ai.invoke_agent.duration"]
    assert point.attributes["bmad.task.outcome"] == outcome
    assert point.attributes.get("error.type") == error_type


def test_an_exception_group_out_of_a_task_group(telemetry: Telemetry) -> None:
    @track_task(agent="Fails")
    async def fails(error: Exception) -> None:
        await asyncio.sleep(0)
        raise error

    @track_task(agent="Group")
    async def several() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails(ValueError("first")))  # type: ignore[arg-type]
            group.create_task(fails(KeyError("second")))  # type: ignore[arg-type]

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(several())  # type: ignore[arg-type]
    assert len(caught.value.exceptions) == 2
    *children, outer = telemetry.spans()
    assert sorted(attributes(span)["error.type"] for span in children) == ["KeyError", "ValueError"]
    assert attributes(outer)["error.type"] == "ExceptionGroup"
    assert all(is_child(span, outer) for span in children)


def test_a_cancelled_task_that_carries_on_is_ok(telemetry: Telemetry) -> None:
    @track_task
    async def persists() -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            return "partial"
        return "never"

    assert asyncio.run(persists()) == "partial"  # type: ignore[arg-type]
    assert telemetry.outcome() == "ok"


def test_shielded_work_is_not_cancelled(telemetry: Telemetry) -> None:
    @track_task(agent="Shielded")
    async def works(go: asyncio.Event) -> None:
        await go.wait()

    async def main() -> None:
        go = asyncio.Event()
        inner = asyncio.ensure_future(works(go))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(inner), 0.001)
        go.set()
        await inner

    asyncio.run(main())
    assert outcomes(telemetry) == ["ok"]


def test_a_coroutine_never_awaited_leaves_no_trace_and_warns_as_ever(telemetry: Telemetry) -> None:
    @track_task
    async def later() -> None: ...

    with pytest.warns(RuntimeWarning, match="later' was never awaited"):
        later()  # dropped at once
    assert telemetry.spans() == []


def test_the_exception_is_told_once_in_a_trace(telemetry: Telemetry) -> None:
    @track_task(agent="Inner")
    def inner() -> None:
        raise ValueError("once")

    @track_task(agent="Outer")
    def outer() -> None:
        inner()

    with pytest.raises(ValueError, match="once"):
        outer()
    first, second = telemetry.spans()
    assert attributes(first)["error.type"] == attributes(second)["error.type"] == "ValueError"
    assert first.status.status_code is second.status.status_code is StatusCode.ERROR
    assert (len(first.events), len(second.events)) == (1, 0)


def test_one_exception_object_raised_again_in_another_trace_is_told_again(telemetry: Telemetry) -> None:
    error = ValueError("kept")

    @track_task
    def fails() -> None:
        raise error

    for _ in range(2):
        with pytest.raises(ValueError, match="kept"):
            fails()
    assert [len(span.events) for span in telemetry.spans()] == [1, 1]


@pytest.mark.parametrize(
    ("result", "outcome", "message", "error_type"),
    [
        ({"error": "no quota"}, "error", "no quota", "task_error"),
        ({"error": ""}, "ok", None, None),
        ({}, "ok", None, None),
        ({"error": True}, "error", None, "task_error"),
        ({"error": LookupError("lost")}, "error", "lost", "LookupError"),
    ],
)
@pytest.mark.parametrize("shape", ["function", "coroutine"])
def test_a_result_may_be_a_failure(
    telemetry: Telemetry, shape: str, result: Any, outcome: str, message: str | None, error_type: str | None
) -> None:
    def plain() -> Any:
        return result

    async def coroutine() -> Any:
        return result

    decorate = track_task(agent="A", detect_failure=lambda found: found.get("error"))
    assert (decorate(plain)() if shape == "function" else asyncio.run(decorate(coroutine)())) is result
    span = telemetry.span()
    assert telemetry.outcome() == outcome
    assert span.status.status_code is (StatusCode.ERROR if outcome == "error" else StatusCode.UNSET)
    assert attributes(span).get("error.type") == error_type
    if message is not None:
        assert span.status.description == message
    (point,) = telemetry.points()["gen_ai.invoke_agent.duration"]
    assert point.attributes.get("error.type") == error_type


def test_a_failed_tool_has_the_error_type_of_the_convention(telemetry: Telemetry) -> None:
    @track_tool(detect_failure=lambda result: result["isError"])
    def search() -> dict[str, bool]:
        return {"isError": True}

    search()
    assert attributes(telemetry.span())["error.type"] == "tool_error"


def test_a_task_may_say_that_it_failed(telemetry: Telemetry) -> None:
    @track_task(agent="A")
    def gives_up() -> None:
        current_task().fail("out of quota", error_type="quota")

    @track_task(agent="A")
    def gives_up_and_raises() -> None:
        current_task().fail("out of quota", error_type="quota")
        raise ValueError("worse")

    gives_up()
    with pytest.raises(ValueError, match="worse"):
        gives_up_and_raises()
    said, raised = telemetry.spans()
    assert (attributes(said)["error.type"], said.status.description) == ("quota", "out of quota")
    assert (attributes(raised)["error.type"], raised.status.description) == ("ValueError", "worse")
    assert outcomes(telemetry) == ["error", "error"]


# Blocks --------------------------------------------------------------------------------------------------------------


def test_blocks_of_every_kind(telemetry: Telemetry) -> None:
    async def later() -> None:
        async with track_tool(name="search", agent="A") as task:
            assert task.name == "search"
            await asyncio.sleep(0)
            task.set_attribute("team.name", "blue")
        with track_workflow(name="nightly"):
            await asyncio.sleep(0)

    outside = Outside()
    with track_task(name="plan", agent="Planner") as task:
        assert task.agent == "Planner"
        assert current_task().span is task.span is trace.get_current_span()
    asyncio.run(later())
    outside.assert_unchanged()
    assert [span.name for span in telemetry.spans()] == [
        "invoke_agent Planner", "execute_tool search", "invoke_workflow nightly",
    ]  # fmt: skip
    assert attributes(telemetry.spans()[1])["team.name"] == "blue"


def test_one_block_object_used_by_many_at_once(telemetry: Telemetry) -> None:
    block = track_task(name="shared", agent="A")

    async def one(n: int) -> None:
        async with block as task:
            await asyncio.sleep(0.001 * (n % 3))
            task.set_attribute("team.n", n)
            assert trace.get_current_span() is task.span
            async with block as inner:
                await asyncio.sleep(0)
                inner.set_attribute("team.n", n)

    async def many() -> None:
        await asyncio.gather(*(one(n) for n in range(20)))

    def in_thread(n: int) -> None:
        with block as task, block as inner:
            assert inner.span is not task.span
            task.set_attribute("team.n", n)
            inner.set_attribute("team.n", n)

    asyncio.run(many())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(in_thread, range(20)))
    spans = telemetry.spans()
    assert len(spans) == 80
    by_id = {id_of(span): span for span in spans}
    inner = [span for span in spans if span.parent is not None]
    assert len(inner) == 40
    assert all(
        attributes(span)["team.n"] == attributes(by_id[span.parent.span_id])["team.n"]
        for span in inner
        if span.parent is not None
    )


def test_a_block_inside_a_generator(telemetry: Telemetry) -> None:
    """The context of a block that spans a yield of an untracked generator ends with the block, without a complaint."""

    def items() -> Iterator[int]:
        with track_task(name="block", agent="A"):
            yield 1

    with no_detach_log():
        source = items()
        next(source)
        del source
        contextvars.Context().run(list, items())
        stopped = items()
        contextvars.Context().run(next, stopped)
        contextvars.Context().run(stopped.close)
    otel_context.attach(otel_context.Context())
    assert outcomes(telemetry) == ["closed_early", "ok", "closed_early"]


def test_a_block_needs_a_name() -> None:
    with pytest.raises((TypeError, ValueError), match="name"), track_task():
        pass


def test_the_handle_outside_of_any_task_does_nothing() -> None:
    task = current_task()
    task.set_attribute("team.name", "blue")
    task.record_usage(input_tokens=1, output_tokens=2, model="m", provider="p")
    task.fail("nobody")
    assert (task.agent, task.name, task.is_running) == (None, None, False)


def test_the_handle_is_the_innermost_tasks_and_comes_back(telemetry: Telemetry) -> None:
    seen: list[str | None] = []

    @track_tool
    def search() -> None:
        seen.append(current_task().name)

    @track_task
    async def outer() -> None:
        seen.append(current_task().name)
        search()
        await asyncio.sleep(0)
        seen.append(current_task().name)
        async for _ in items():
            seen.append(current_task().name)

    @track_task
    async def items() -> AsyncIterator[int]:
        seen.append(current_task().name)
        yield 1

    asyncio.run(outer())  # type: ignore[arg-type]
    assert seen == ["outer", "search", "outer", "items", "outer"]
    assert current_task().name is None


def test_the_handle_kept_after_the_end_does_nothing(telemetry: Telemetry) -> None:
    kept = []

    @track_task(agent="A")
    def keeps() -> None:
        kept.append(current_task())

    keeps()
    before = ending(telemetry.span())
    (handle,) = kept
    assert not handle.is_running
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        handle.set_attribute("team.late", 1)
        handle.fail("late")
        handle.record_usage(input_tokens=5)
    assert ending(telemetry.span()) == before


# What others do in between -------------------------------------------------------------------------------------------


def test_exceptions_of_processors_and_id_functions_stay_away_from_the_caller(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BMAD_OTEL_RAISE_INTERNAL", "0")

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    class Agent:
        @property
        def agent_name(self) -> str:
            raise ZeroDivisionError

        @track_task(task_id=broken, workflow_id=broken, usage=broken, detect_failure=broken)
        def work(self) -> int:
            return 1

        @track_task(task_id=broken, usage=broken, detect_failure=broken)
        async def work_later(self) -> int:
            return 2

    assert [Agent().work() for _ in range(20)] == [1] * 20
    assert [asyncio.run(Agent().work_later()) for _ in range(5)] == [2] * 5  # type: ignore[arg-type]
    assert outcomes(telemetry) == ["ok"] * 25
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("bmad_otel")]
    assert 0 < len(messages) <= 5
    assert len(messages) == len(set(messages))  # each cause is told once


def test_a_log_handler_that_traces_its_own_records(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the SDK logs may come back to it as a tracked call."""
    monkeypatch.setenv("BMAD_OTEL_RAISE_INTERNAL", "0")

    class Traces(logging.Handler):
        @track_task(agent="Handler", task_id=lambda *_: 1 / 0)
        def emit(self, record: logging.LogRecord) -> None: ...

    @track_task(agent="Broken", workflow_id=lambda: 1 / 0)
    def work() -> int:
        return 1

    logger, handler = logging.getLogger("bmad_otel"), Traces()
    logger.addHandler(handler)
    try:
        assert work() == 1
    finally:
        logger.removeHandler(handler)
    assert "invoke_agent Broken" in [span.name for span in telemetry.spans()]


def test_threads_of_all_kinds_at_once(telemetry: Telemetry) -> None:
    @track_task(agent="Sync")
    def work() -> None: ...

    @track_task(agent="Async")
    async def later() -> None:
        await asyncio.sleep(0)

    @track_task(agent="Items")
    def items() -> Iterator[int]:
        yield from range(2)

    def worker() -> None:
        for _ in range(50):
            work()
            list(items())

    async def many() -> None:
        for _ in range(50):
            await later()

    threads = [threading.Thread(target=worker) for _ in range(4)]
    threads += [threading.Thread(target=lambda: asyncio.run(many())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id_of(span) for span in telemetry.spans()}) == 600
    assert {span.parent for span in telemetry.spans()} == {None}
    counts = {p.attributes["gen_ai.agent.name"]: p.count for p in telemetry.points()["gen_ai.invoke_agent.duration"]}
    assert counts == {"Sync": 200, "Async": 200, "Items": 200}


# Memory --------------------------------------------------------------------------------------------------------------


def test_memory_is_flat_over_many_calls(telemetry: Telemetry) -> None:
    """Of every shape; many more calls are made in test_pitfalls_processes."""

    class Agent:
        @track_task(task_id=lambda self, n: f"job-{n}", capture=True)
        def work(self, n: int) -> int:
            return n

        @track_task
        async def work_later(self, n: int) -> int:
            return n

        @track_task
        def items(self, n: int) -> Iterator[int]:
            yield n

        @track_task
        async def items_later(self, n: int) -> AsyncIterator[int]:
            yield n

        @track_task
        def fails(self, n: int) -> None:
            raise ValueError(n)

    agent = Agent()

    async def calls(times: int) -> None:
        for n in range(times):
            agent.work(n)
            await agent.work_later(n)
            list(agent.items(n))
            next(agent.items(n))
            async for _ in agent.items_later(n):
                pass
            with contextlib.suppress(ValueError):
                agent.fails(n)
            with track_task(name="block", agent="Agent"):
                pass
        telemetry.exporter.clear()
        telemetry.reader.get_metrics_data()

    def growth() -> int:
        """Blocks of memory that a hundred more calls of each shape keep."""
        before = sys.getallocatedblocks()
        asyncio.run(calls(100))
        gc.collect()
        return sys.getallocatedblocks() - before

    asyncio.run(calls(100))
    gc.collect()
    # The first calls fill buckets and lists that are bounded; one object kept of each call would be a hundred each time
    assert any(growth() < 50 for _ in range(10))


def test_memory_is_flat_over_functions_decorated_for_one_call(telemetry: Telemetry) -> None:
    """Tools made inside a function, as closures: the SDK keeps none of them."""
    import weakref

    def makes_a_tool(n: int) -> Callable[[], int]:
        @track_tool(name="search", agent="A")
        def tool() -> int:
            return n

        return tool

    seen = []
    for n in range(200):
        tool = makes_a_tool(n)
        assert tool() == n
        seen.append(weakref.ref(tool))
    del tool
    gc.collect()
    assert [one for one in seen if one() is not None] == []
    (point,) = telemetry.points()["gen_ai.execute_tool.duration"]
    assert point.count == 200


# Sampling ------------------------------------------------------------------------------------------------------------


def test_an_unsampled_parent_is_followed_and_metrics_stay_exact(telemetry: Telemetry) -> None:
    remote = trace.SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=trace.TraceFlags(0))
    seen: list[bool] = []

    @track_task(agent="Silent", capture=True)
    def work(n: int) -> None:
        seen.append(trace.get_current_span().get_span_context().trace_flags.sampled)
        current_task().record_usage(input_tokens=n)
        if n % 2:
            raise ValueError("odd")

    @track_task(agent="Silent")
    def items() -> Generator[int, Any, None]:
        yield 1

    @track_task(agent="Silent")
    async def later() -> AsyncGenerator[int, Any]:
        yield 1

    token = otel_context.attach(trace.set_span_in_context(trace.NonRecordingSpan(remote)))
    try:
        for n in range(20):
            with contextlib.suppress(ValueError):
                work(n)
            next(items())
        asyncio.run(_first(later()))
    finally:
        otel_context.detach(token)
    assert telemetry.spans() == []
    assert seen == [False] * 20
    points = telemetry.points()
    counts: dict[Any, int] = {}
    for point in points["gen_ai.invoke_agent.duration"]:
        key = (point.attributes["bmad.task.name"], point.attributes["bmad.task.outcome"])
        counts[key] = counts.get(key, 0) + point.count
    assert counts == {
        ("work", "ok"): 10,
        ("work", "error"): 10,
        ("items", "closed_early"): 20,
        ("later", "closed_early"): 1,
    }
    tokens = [p for p in points["gen_ai.client.token.usage"] if p.attributes["gen_ai.token.type"] == "input"]
    assert sum(point.sum for point in tokens) == sum(range(20))


async def _first(source: AsyncGenerator[int, Any]) -> int:
    item = await anext(source)
    await source.aclose()
    return item


def test_outcome_is_an_enum_of_plain_strings() -> None:
    assert [str(outcome) for outcome in Outcome] == ["ok", "error", "cancelled", "timeout", "closed_early"]
