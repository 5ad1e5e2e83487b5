"""What users of other SDKs complain of most, each as a test: the pains that show inside one process.

Numbered as in the comparison of SDKs; those about the life of a process are in test_pains_processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import inspect
import time
import tracemalloc
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from bmad_otel import Operation, Outcome, track_task

from .conformance.kit import Outside, id_of, is_child, no_detach_log, own_tracer
from .conftest import Telemetry, attributes


class Job:
    """Something that can be seen to be forgotten."""

    def __init__(self) -> None:
        self.payload = "x" * 10_000


@track_task(agent="Streams")
def stream(job: Job | None = None) -> Generator[int, Any, None]:
    try:
        yield from range(3)
    finally:
        del job


@track_task(agent="Streams")
async def stream_later(job: Job | None = None) -> AsyncGenerator[int, Any]:
    try:
        for i in range(3):
            await asyncio.sleep(0)
            yield i
    finally:
        del job


def outcomes(telemetry: Telemetry) -> list[Any]:
    return [attributes(span)["bmad.task.outcome"] for span in telemetry.spans()]


# 1: "Failed to detach context", and a context that leaks out of a generator ------------------------------------------


def test_pain_1_no_failed_to_detach_context_in_10k_early_breaks(telemetry: Telemetry) -> None:
    async def breaks() -> None:
        for _ in range(5_000):
            async for _ in stream_later():
                break
        await asyncio.sleep(0)

    outside = Outside()
    with no_detach_log():
        for _ in range(5_000):
            for _ in stream():
                break
        asyncio.run(breaks())
        gc.collect()
    outside.assert_unchanged()
    assert outcomes(telemetry) == ["closed_early"] * 10_000


def test_pain_1_each_step_in_a_context_of_its_own(telemetry: Telemetry) -> None:
    """As a web framework does that sends a generator's items: each step in another thread, with a fresh context."""
    source = stream()
    with no_detach_log(), ThreadPoolExecutor(3) as pool:
        for i in range(2):
            assert pool.submit(contextvars.Context().run, next, source).result() == i
        pool.submit(contextvars.Context().run, source.close).result()
        assert [pool.submit(trace.get_current_span).result() for _ in range(3)] == [trace.INVALID_SPAN] * 3
    assert outcomes(telemetry) == ["closed_early"]


def test_pain_1_collected_in_another_thread(telemetry: Telemetry) -> None:
    holder = [stream()]
    next(holder[0])
    with no_detach_log(), ThreadPoolExecutor(1) as pool:
        pool.submit(holder.clear).result()
        assert pool.submit(trace.get_current_span).result() is trace.INVALID_SPAN
    assert outcomes(telemetry) == ["closed_early"]


def test_pain_1_a_coroutine_dropped_in_another_context(telemetry: Telemetry) -> None:
    @track_task(agent="Dropped")
    async def waits() -> None:
        await asyncio.sleep(60)

    async def step_once() -> list[Any]:
        coroutine = waits()
        coroutine.send(None)  # type: ignore[attr-defined]
        return [coroutine]

    holder = asyncio.run(step_once())
    with no_detach_log():
        contextvars.Context().run(holder.clear)
    assert outcomes(telemetry) == ["closed_early"]


# 2: generators that are not traced, or wrongly -----------------------------------------------------------------------


def test_pain_2_stopped_generators_end_and_let_go_of_their_arguments(telemetry: Telemetry) -> None:
    async def stop_early(job: Job) -> None:
        async for _ in stream_later(job):
            break
        await asyncio.sleep(0)  # the loop closes what was dropped, if it is given the time

    gc.collect()
    gc.disable()  # nothing may have to wait for a collection
    try:
        job = Job()
        seen = weakref.ref(job)
        for _ in stream(job):
            break
        assert outcomes(telemetry) == ["closed_early"]
        del job
        assert seen() is None
    finally:
        gc.enable()
    job = Job()
    seen = weakref.ref(job)
    asyncio.run(stop_early(job))
    del job
    gc.collect()
    assert seen() is None
    assert outcomes(telemetry) == ["closed_early"] * 2


def test_pain_2_memory_does_not_grow_with_stopped_generators(telemetry: Telemetry) -> None:
    def stop_early(times: int) -> None:
        for _ in range(times):
            next(stream(Job()))
            if _ % 200 == 0:
                telemetry.exporter.clear()
        telemetry.exporter.clear()
        telemetry.points()

    stop_early(200)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        stop_early(1000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 200_000  # a thousand jobs are 10 MB


def test_pain_2_an_async_function_is_measured_whole(telemetry: Telemetry) -> None:
    @track_task(agent="Waits")
    async def waits() -> None:
        await asyncio.sleep(0.02)

    asyncio.run(waits())  # type: ignore[arg-type]
    (point,) = telemetry.points()["gen_ai.invoke_agent.duration"]
    assert 0.018 <= point.sum < 60


def test_pain_2_what_a_streaming_body_does_is_its_own(telemetry: Telemetry) -> None:
    """Made in one task, iterated in others: what the body traces is below it all the same."""

    @track_task(agent="Answers")
    async def answers() -> AsyncGenerator[int, Any]:
        for i in range(3):
            with own_tracer().start_as_current_span("model call"):
                await asyncio.sleep(0)
            yield i

    async def serve() -> None:
        with own_tracer().start_as_current_span("request"):
            source = answers()
        for i in range(3):
            assert await asyncio.create_task(anext(source)) == i  # type: ignore[arg-type]
        with pytest.raises(StopAsyncIteration):
            await anext(source)

    asyncio.run(serve())
    *_, task = telemetry.spans()
    assert [is_child(span, task) for span in telemetry.spans() if span.name == "model call"] == [True] * 3


# 3: cancelled counted as success, closed early counted as error ------------------------------------------------------


@track_task(agent="Waits")
async def waits_for_ever() -> None:
    await asyncio.Event().wait()


async def _cancelled_by_hand() -> None:
    task = asyncio.create_task(waits_for_ever())  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    await task


async def _cancelled_by_timeout() -> None:
    async with asyncio.timeout(0.001):
        await waits_for_ever()


async def _cancelled_by_wait_for() -> None:
    await asyncio.wait_for(waits_for_ever(), 0.001)


async def _cancelled_by_a_sibling() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError

    async with asyncio.TaskGroup() as group:
        group.create_task(waits_for_ever())  # type: ignore[arg-type]
        group.create_task(fails())


async def _cancelled_with_gather() -> None:
    gathered = asyncio.gather(waits_for_ever())
    await asyncio.sleep(0)
    gathered.cancel()
    await gathered


async def _cancelled_by_the_end_of_the_loop() -> None:
    asyncio.create_task(waits_for_ever())  # type: ignore[arg-type]  # noqa: RUF006 - that it is left behind is the case
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("way", "raises"),
    [
        (_cancelled_by_hand, asyncio.CancelledError),
        (_cancelled_by_timeout, TimeoutError),
        (_cancelled_by_wait_for, TimeoutError),
        (_cancelled_by_a_sibling, ExceptionGroup),
        (_cancelled_with_gather, asyncio.CancelledError),
        (_cancelled_by_the_end_of_the_loop, None),
    ],
)
def test_pain_3_cancelled_is_neither_success_nor_error(
    telemetry: Telemetry, way: Callable[[], Any], raises: type[BaseException] | None
) -> None:
    if raises is None:
        asyncio.run(way())
    else:
        with pytest.raises(raises):
            asyncio.run(way())
    span = telemetry.span()
    assert telemetry.outcome() == "cancelled"
    assert span.status.status_code is StatusCode.UNSET
    assert "error.type" not in attributes(span)
    assert span.events == ()
    (point,) = telemetry.points()["gen_ai.invoke_agent.duration"]
    assert point.attributes["bmad.task.outcome"] == "cancelled"


def test_pain_3_a_task_that_times_out_itself_is_late_and_an_error(telemetry: Telemetry) -> None:
    @track_task(agent="Late")
    async def gives_up(wait: Callable[[], Any]) -> None:
        await wait()

    for way in (_cancelled_by_timeout, _cancelled_by_wait_for):
        with pytest.raises(TimeoutError):
            asyncio.run(gives_up(way))  # type: ignore[arg-type]
    late = [span for span in telemetry.spans() if span.name == "invoke_agent Late"]
    assert [attributes(span)["bmad.task.outcome"] for span in late] == ["timeout"] * 2
    assert [attributes(span)["error.type"] for span in late] == ["TimeoutError"] * 2
    assert {span.status.status_code for span in late} == {StatusCode.ERROR}


def test_pain_3_a_closed_generator_is_no_error(telemetry: Telemetry) -> None:
    source = stream()
    next(source)
    source.close()
    assert telemetry.outcome() == "closed_early"
    assert telemetry.span().status.status_code is StatusCode.UNSET
    assert "error.type" not in attributes(telemetry.span())


def test_pain_3_a_body_that_returns_when_it_is_closed_was_closed_early(telemetry: Telemetry) -> None:
    @track_task(agent="Polite")
    def returns() -> Generator[int, Any, str]:
        try:
            yield 1
        except GeneratorExit:
            return "in peace"
        return "never"

    @track_task(agent="Polite")
    async def returns_later() -> AsyncGenerator[int, Any]:
        with contextlib.suppress(GeneratorExit):
            yield 1

    async def close() -> None:
        source = returns_later()
        await anext(source)
        await source.aclose()

    source = returns()
    next(source)
    source.close()
    asyncio.run(close())
    assert outcomes(telemetry) == ["closed_early"] * 2


def test_pain_3_what_an_exception_means_can_be_told(telemetry: Telemetry) -> None:
    class Stop(Exception):
        pass

    class StopNow(Stop):
        pass

    @track_task(
        agent="Told",
        outcomes={Stop: Outcome.CANCELLED, asyncio.CancelledError: Outcome.ERROR, TimeoutError: Outcome.OK},
    )
    def fails(error: BaseException) -> None:
        raise error

    for error in (StopNow(), asyncio.CancelledError(), TimeoutError(), ValueError()):
        with pytest.raises(type(error)):
            fails(error)
    assert outcomes(telemetry) == ["cancelled", "error", "ok", "error"]
    assert [attributes(span).get("error.type") for span in telemetry.spans()] == [
        None, "asyncio.exceptions.CancelledError", None, "ValueError",
    ]  # fmt: skip
    unset, error, *_ = [span.status.status_code for span in telemetry.spans()]
    assert (unset, error) == (StatusCode.UNSET, StatusCode.ERROR)


@pytest.mark.parametrize("wrong", [{"ValueError": Outcome.OK}, {ValueError: "okay"}, {int: Outcome.OK}, 7])
def test_pain_3_a_wrong_meaning_is_refused_when_it_is_told(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="outcomes"):
        track_task(outcomes=wrong)


# 8: capturing arguments hurts ----------------------------------------------------------------------------------------


def test_pain_8_capture_neither_keeps_nor_walks_through_large_arguments(telemetry: Telemetry) -> None:
    @track_task(agent="Reads", capture=True)
    def reads(document: Any) -> None: ...

    document = {"pages": [{"text": "x" * 1000, "number": i} for i in range(50_000)]}  # 50 MB of text when written out
    reads(document)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        started = time.thread_time()
        for _ in range(20):
            reads(document)
        took_s = time.thread_time() - started
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 10_000_000
    assert after - before < 2_000_000
    assert took_s / 20 < 0.1  # tracing allocations makes this several times slower than it is


def test_pain_8_names_that_tell_of_secrets_are_left_out_at_any_depth(telemetry: Telemetry) -> None:
    @track_task(agent="Reads", capture=True)
    def reads(**anything: Any) -> Any:
        return anything

    names = [
        "password", "passwd", "db_password", "secret", "client_secret", "token", "accessToken", "API_KEY", "apiKey",
        "x-api-key", "authorization", "Proxy-Authorization", "cookie", "private_key", "credentials",
    ]  # fmt: skip
    for name in names:
        telemetry.exporter.clear()
        reads(**{name: "hidden-value"}, visible="seen-value")
        reads(settings={"nested": [{name: "hidden-value", "other": "seen-value"}]})
        for span in telemetry.spans():
            text = repr(attributes(span))
            assert "hidden-value" not in text, name
            assert "seen-value" in text, name


def test_pain_8_capture_runs_no_code_of_the_arguments(telemetry: Telemetry) -> None:
    class Hostile:
        def __getattribute__(self, name: str) -> Any:
            raise SystemExit(f"asked for {name}")

        def __repr__(self) -> str:
            raise SystemExit("shown")

        __str__ = __len__ = __iter__ = __bool__ = __eq__ = __hash__ = __format__ = __repr__  # type: ignore[assignment]

    @track_task(agent="Reads", capture=True)
    def reads(*values: Any) -> Any:
        return values[0]

    hostile = Hostile()
    assert reads(hostile, [hostile], {"deep": hostile}) is hostile
    assert telemetry.outcome() == "ok"


# 10: the decorator gets in the way -----------------------------------------------------------------------------------


def test_pain_10_with_and_without_parentheses(telemetry: Telemetry) -> None:
    @track_task
    def bare() -> int:
        return 1

    @track_task()
    def called() -> int:
        return 2

    @track_task(agent="A")
    def with_arguments() -> int:
        return 3

    assert [bare(), called(), with_arguments()] == [1, 2, 3]
    assert [attributes(span)["bmad.task.name"] for span in telemetry.spans()] == ["bare", "called", "with_arguments"]


def test_pain_10_an_async_static_method_is_async(telemetry: Telemetry) -> None:
    class Agent:
        @track_task
        @staticmethod
        async def above() -> int:
            await asyncio.sleep(0.01)
            return 1

        @staticmethod
        @track_task
        async def below() -> int:
            await asyncio.sleep(0.01)
            return 1

    for method in (Agent.above, Agent().above, Agent.below, Agent().below):
        assert inspect.iscoroutinefunction(method)
        assert asyncio.run(method()) == 1
    assert all((span.end_time or 0) - (span.start_time or 0) >= 9_000_000 for span in telemetry.spans())
    assert len(telemetry.spans()) == 4


def test_pain_10_the_callers_exception_is_the_same_object(telemetry: Telemetry) -> None:
    class Strange(BaseException):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    cause = OSError("cause")

    def plain(error: BaseException) -> None:
        raise error from cause

    async def coroutine(error: BaseException) -> None:
        raise error from cause

    def generator(error: BaseException) -> Generator[int, Any, None]:
        yield 1
        raise error from cause

    async def async_generator(error: BaseException) -> AsyncGenerator[int, Any]:
        yield 1
        raise error from cause

    async def exhaust(source: AsyncGenerator[int, Any]) -> None:
        async for _ in source:
            pass

    ways: list[Callable[[BaseException], Any]] = [
        track_task(plain),
        lambda error: asyncio.run(track_task(coroutine)(error)),
        lambda error: list(track_task(generator)(error)),
        lambda error: asyncio.run(exhaust(track_task(async_generator)(error))),
    ]
    for way in ways:
        for error in (Strange(), ValueError("v"), ExceptionGroup("g", [ValueError(), KeyError()])):
            with pytest.raises(type(error)) as caught:
                way(error)
            assert caught.value is error
            assert error.__cause__ is cause
            assert getattr(error, "__notes__", []) == []
    assert len(telemetry.spans()) == 12


def test_pain_10_no_stop_iteration_turns_into_another_error(telemetry: Telemetry) -> None:
    """A StopIteration raised by a plain function is that; in a generator it is a RuntimeError, tracked or not."""

    @track_task
    def stops() -> None:
        raise StopIteration(7)

    with pytest.raises(StopIteration) as caught:
        stops()
    assert caught.value.value == 7

    def leaks() -> Generator[int, Any, None]:
        yield next(iter([]))

    for source in (leaks(), track_task(leaks)()):
        with pytest.raises(RuntimeError, match="generator raised StopIteration"):
            next(source)


def test_pain_10_wrong_arguments_are_told_where_they_are_written() -> None:
    for wrong in (
        {"name": 3}, {"name": ""}, {"agent": b"x"}, {"operation": "invoke"}, {"task_id": 4}, {"workflow_id": ""},
        {"attributes": {"gen_ai.agent.name": "x"}}, {"attributes": {"a": []}}, {"capture": "yes"},
        {"detect_failure": "error"}, {"usage": 1}, {"outcomes": []},
    ):  # fmt: skip
        (argument,) = wrong
        with pytest.raises((TypeError, ValueError), match=argument):
            track_task(**wrong)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="nam"):
        track_task(nam="typing error")  # type: ignore[call-overload]


# 12: cardinality -----------------------------------------------------------------------------------------------------


def test_pain_12_what_differs_from_call_to_call_is_not_on_metrics(telemetry: Telemetry) -> None:
    @track_task(agent="A", task_id=lambda i: f"task-{i}", workflow_id=lambda i: f"flow-{i}", attributes={"team.x": 1})
    def work(i: int) -> None: ...

    for i in range(100):
        work(i)
    (point,) = telemetry.points()["gen_ai.invoke_agent.duration"]
    assert point.count == 100
    assert len({id_of(span) for span in telemetry.spans()}) == 100
    assert {attributes(span)["bmad.task.id"] for span in telemetry.spans()} == {f"task-{i}" for i in range(100)}


# 13: metrics of agents and tools -------------------------------------------------------------------------------------


def test_pain_13_agents_and_tools_have_metrics(telemetry: Telemetry) -> None:
    from bmad_otel import current_task, track_tool, track_workflow

    @track_tool
    def search() -> None: ...

    @track_task(agent="Scout")
    def scout() -> None:
        search()
        search()
        current_task().record_usage(input_tokens=12, output_tokens=5, model="m-1", provider="acme")

    @track_workflow
    def nightly() -> None:
        scout()

    nightly()
    points = telemetry.points()
    assert points["gen_ai.execute_tool.duration"][0].count == 2
    assert points["gen_ai.invoke_agent.duration"][0].count == 1
    assert points["gen_ai.invoke_workflow.duration"][0].count == 1
    (tool_calls,) = points["gen_ai.invoke_agent.tool_calls"]
    (inference_calls,) = points["gen_ai.invoke_agent.inference_calls"]
    assert (tool_calls.count, tool_calls.sum) == (1, 2)
    assert (inference_calls.count, inference_calls.sum) == (1, 1)
    assert tool_calls.attributes["gen_ai.agent.name"] == inference_calls.attributes["gen_ai.agent.name"] == "Scout"
    tokens = {p.attributes["gen_ai.token.type"]: p for p in points["gen_ai.client.token.usage"]}
    assert {kind: point.sum for kind, point in tokens.items()} == {"input": 12, "output": 5}
    assert tokens["input"].attributes["gen_ai.request.model"] == "m-1"
    assert tokens["input"].attributes["gen_ai.provider.name"] == "acme"
    scouting = next(span for span in telemetry.spans() if span.name == "invoke_agent Scout")
    assert attributes(scouting)["gen_ai.usage.input_tokens"] == 12
    assert attributes(scouting)["gen_ai.usage.output_tokens"] == 5


def test_pain_13_span_and_metric_agree(telemetry: Telemetry) -> None:
    @track_task(agent="A", operation=Operation.PLAN)
    def plan(fail: bool) -> None:
        if fail:
            raise LookupError

    plan(False)
    with pytest.raises(LookupError):
        plan(True)
    by_outcome = {p.attributes["bmad.task.outcome"]: p for p in telemetry.points()["gen_ai.invoke_agent.duration"]}
    for span in telemetry.spans():
        point = by_outcome[attributes(span)["bmad.task.outcome"]]
        assert dict(point.attributes) == dict(attributes(span))
        assert point.sum == ((span.end_time or 0) - (span.start_time or 0)) / 1e9
