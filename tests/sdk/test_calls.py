"""Plain and async functions: one span and one duration for each call, however it ends."""

from __future__ import annotations

import asyncio
import inspect
import pickle
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from bmad_otel import Operation, track_task

from .conftest import Telemetry, attributes


class Research:
    @track_task
    def look_up(self, question: str, *, depth: int = 1) -> str:
        return f"{question}{depth}"

    @track_task
    async def summarise(self, text: str) -> str:
        await asyncio.sleep(0)
        return text.upper()

    @track_task(name="plan the work", operation=Operation.PLAN)
    def plan(self) -> None: ...


class Broken(Exception):
    pass


@track_task(agent="Fails")
def fails(error: BaseException) -> None:
    raise error


@track_task
def top_level() -> int:
    return 1


def duration_points(telemetry: Telemetry, name: str = "gen_ai.invoke_agent.duration") -> list[Any]:
    return telemetry.points().get(name, [])


def test_a_call_is_a_span_of_the_conventions(telemetry: Telemetry) -> None:
    assert Research().look_up("why", depth=2) == "why2"
    span = telemetry.span()
    assert span.name == "invoke_agent Research"
    assert span.kind is SpanKind.INTERNAL
    assert dict(attributes(span)) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "Research",
        "bmad.task.name": "look_up",
        "bmad.task.outcome": "ok",
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.events == ()
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "bmad_otel"


def test_span_and_duration_are_one_measurement(telemetry: Telemetry) -> None:
    Research().look_up("why")
    span = telemetry.span()
    (point,) = duration_points(telemetry)
    assert point.count == 1
    assert span.end_time is not None
    assert span.start_time is not None
    assert point.sum == (span.end_time - span.start_time) / 1e9
    assert dict(point.attributes) == dict(attributes(span))


def test_the_duration_points_to_its_trace(telemetry: Telemetry) -> None:
    Research().look_up("why")
    span = telemetry.span()
    (point,) = duration_points(telemetry)
    assert span.context is not None
    assert [exemplar.trace_id for exemplar in point.exemplars] == [span.context.trace_id]
    assert [exemplar.span_id for exemplar in point.exemplars] == [span.context.span_id]


async def _summary() -> str:
    return await Research().summarise("abc")


def test_an_async_call_lasts_until_it_returns(telemetry: Telemetry) -> None:
    assert inspect.iscoroutinefunction(Research.summarise)
    assert asyncio.run(_summary()) == "ABC"
    assert attributes(telemetry.span())["bmad.task.name"] == "summarise"


def test_a_coroutine_never_awaited_leaves_no_trace(telemetry: Telemetry) -> None:
    Research().summarise("abc").close()  # type: ignore[attr-defined]
    assert telemetry.spans() == []


def test_plan_uses_the_agents_duration(telemetry: Telemetry) -> None:
    Research().plan()
    assert telemetry.span().name == "plan Research"
    (point,) = duration_points(telemetry)
    assert point.attributes["gen_ai.operation.name"] == "plan"
    assert point.attributes["bmad.task.name"] == "plan the work"


def test_an_error_is_reported_once_and_goes_on(telemetry: Telemetry) -> None:
    with pytest.raises(Broken) as caught:
        fails(Broken("no paper"))
    assert caught.value.__context__ is None
    span = telemetry.span()
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "no paper"
    assert attributes(span)["error.type"] == f"{__name__}.Broken"
    assert attributes(span)["bmad.task.outcome"] == "error"
    (event,) = span.events
    assert event.name == "exception"
    assert event.attributes is not None
    assert event.attributes["exception.type"] == f"{__name__}.Broken"
    assert "no paper" in str(event.attributes["exception.stacktrace"])
    (point,) = duration_points(telemetry)
    assert point.attributes["error.type"] == f"{__name__}.Broken"
    assert point.attributes["bmad.task.outcome"] == "error"


def test_an_exceptions_text_is_bounded_and_may_misbehave(telemetry: Telemetry) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    with pytest.raises(ValueError, match="xxx"):
        fails(ValueError("x" * 1_000_000))
    with pytest.raises(Mute):
        fails(Mute())
    long, mute = telemetry.spans()
    assert len(long.status.description or "") == 1024
    assert attributes(long)["error.type"] == "ValueError"
    assert all(len(str(value)) <= 16_384 for value in (long.events[0].attributes or {}).values())
    assert "__str__ raised" in (mute.status.description or "")


@pytest.mark.parametrize(
    ("error", "outcome", "status"),
    [
        (TimeoutError("slow"), "timeout", StatusCode.ERROR),
        (asyncio.CancelledError(), "cancelled", StatusCode.UNSET),
        (KeyboardInterrupt(), "cancelled", StatusCode.UNSET),
        (SystemExit(0), "cancelled", StatusCode.UNSET),
        (SystemExit(3), "error", StatusCode.ERROR),
        (GeneratorExit(), "error", StatusCode.ERROR),  # raised by hand in a plain function it is an error like others
        (ExceptionGroup("both", [ValueError()]), "error", StatusCode.ERROR),
    ],
)
def test_each_end_has_its_outcome(telemetry: Telemetry, error: BaseException, outcome: str, status: StatusCode) -> None:
    with pytest.raises(type(error)):
        fails(error)
    span = telemetry.span()
    assert attributes(span)["bmad.task.outcome"] == outcome
    assert span.status.status_code is status
    assert ("error.type" in attributes(span)) is (status is StatusCode.ERROR)
    (point,) = duration_points(telemetry)
    assert dict(point.attributes) == dict(attributes(span))


def test_cancelling_and_timing_out_are_told_apart(telemetry: Telemetry) -> None:
    @track_task(agent="Waits")
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    @track_task(agent="Impatient")
    async def gives_up() -> None:
        async with asyncio.timeout(0.001):
            await waits_for_ever()

    with pytest.raises(TimeoutError):
        asyncio.run(gives_up())
    inner, outer = telemetry.spans()
    assert attributes(inner)["bmad.task.outcome"] == "cancelled"
    assert attributes(outer)["bmad.task.outcome"] == "timeout"
    assert attributes(outer)["error.type"] == "TimeoutError"


def test_children_hang_below_the_task_also_after_an_await(telemetry: Telemetry) -> None:
    tracer = trace.get_tracer("app")

    @track_task(agent="Parent")
    async def parent() -> None:
        with tracer.start_as_current_span("own") as own:
            await asyncio.sleep(0)
            # what the body made current is current again after the await
            assert trace.get_current_span() is own
            await Research().summarise("abc")
        with tracer.start_as_current_span("late"):
            await asyncio.sleep(0)

    asyncio.run(parent())
    spans = {span.name: span for span in telemetry.spans()}

    def parent_of(name: str) -> str:
        (found,) = [
            other.name
            for other in spans.values()
            if other.context and spans[name].parent and other.context.span_id == spans[name].parent.span_id
        ]
        return found

    assert parent_of("invoke_agent Research") == "own"
    assert parent_of("own") == parent_of("late") == "invoke_agent Parent"


def test_concurrent_calls_do_not_mix(telemetry: Telemetry) -> None:
    seen: list[bool] = []

    @track_task(agent="Many")
    async def one() -> None:
        mine = trace.get_current_span()
        for _ in range(5):
            await asyncio.sleep(0)
            seen.append(trace.get_current_span() is mine)

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(10)))

    asyncio.run(all_of_them())
    assert len(telemetry.spans()) == 10
    assert all(span.parent is None for span in telemetry.spans())
    assert all(seen)
    assert len(seen) == 50


def test_a_coroutine_dropped_half_way_ends_its_task(telemetry: Telemetry) -> None:
    @track_task(agent="Dropped")
    async def waits() -> None:
        await asyncio.Event().wait()

    async def drop() -> None:
        coroutine = waits()
        coroutine.send(None)  # type: ignore[attr-defined]
        del coroutine

    asyncio.run(drop())
    assert telemetry.outcome() == "closed_early"
    assert telemetry.span().status.status_code is StatusCode.UNSET


def test_a_thrown_exception_reaches_the_coroutine(telemetry: Telemetry) -> None:
    @track_task(agent="Catches")
    async def catches() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "cleaned up"
        return "never"

    async def cancel() -> str:
        task = asyncio.create_task(catches())  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert asyncio.run(cancel()) == "cleaned up"
    assert telemetry.outcome() == "ok"


def test_recursion_and_reentry(telemetry: Telemetry) -> None:
    @track_task(agent="Deep")
    def down(n: int) -> int:
        return 0 if n == 0 else 1 + down(n - 1)

    assert down(20) == 20
    assert len(telemetry.spans()) == 21
    assert {attributes(span)["bmad.task.outcome"] for span in telemetry.spans()} == {"ok"}


def test_the_function_stays_itself(telemetry: Telemetry) -> None:
    assert top_level.__name__ == "top_level"
    assert pickle.loads(pickle.dumps(top_level)) is top_level
    assert list(inspect.signature(Research.look_up).parameters) == ["self", "question", "depth"]
    assert not inspect.iscoroutinefunction(Research.look_up)


def test_no_argument_or_result_is_recorded(telemetry: Telemetry) -> None:
    Research().look_up("secret-question")
    span = telemetry.span()
    assert "secret" not in span.to_json()
    assert "secret" not in repr(duration_points(telemetry))


def test_a_tools_name_is_its_function(telemetry: Telemetry) -> None:
    @track_task(operation=Operation.EXECUTE_TOOL)
    def search() -> None: ...

    @track_task(operation=Operation.EXECUTE_TOOL, name="web", agent="Scout")
    def search_web() -> None: ...

    search()
    search_web()
    bare, named = telemetry.spans()
    assert bare.name == "execute_tool search"
    assert attributes(bare)["gen_ai.tool.name"] == "search"
    assert "gen_ai.agent.name" not in attributes(bare)  # the tool works on the account of whoever calls it
    assert named.name == "execute_tool web"
    assert attributes(named)["gen_ai.agent.name"] == "Scout"
    points = duration_points(telemetry, "gen_ai.execute_tool.duration")
    assert sorted(point.attributes["gen_ai.tool.name"] for point in points) == ["search", "web"]
    assert all("bmad.task.name" not in point.attributes for point in points)


def test_a_workflows_name_is_its_function(telemetry: Telemetry) -> None:
    @track_task(operation=Operation.INVOKE_WORKFLOW)
    async def nightly() -> None: ...

    asyncio.run(nightly())  # type: ignore[arg-type]
    assert telemetry.span().name == "invoke_workflow nightly"
    (point,) = duration_points(telemetry, "gen_ai.invoke_workflow.duration")
    assert dict(point.attributes) == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "nightly",
        "bmad.task.outcome": "ok",
    }


def test_ids_come_from_the_call_and_stay_off_metrics(telemetry: Telemetry) -> None:
    @track_task(agent="A", task_id=lambda job: job["id"], workflow_id="night", attributes={"team.name": "blue"})
    def work(job: dict[str, str]) -> None: ...

    work({"id": "j-7"})
    found = attributes(telemetry.span())
    assert (found["bmad.task.id"], found["bmad.workflow.id"], found["team.name"]) == ("j-7", "night", "blue")
    (point,) = duration_points(telemetry)
    assert {"bmad.task.id", "bmad.workflow.id", "team.name"}.isdisjoint(point.attributes)


def test_internal_errors_stay_inside(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @track_task(agent="A", task_id=lambda job: job["missing"])
    def work(job: dict[str, str]) -> str:
        return "done"

    with pytest.raises(KeyError):  # loud in our own suite
        work({})
    monkeypatch.setenv("BMAD_OTEL_RAISE_INTERNAL", "0")
    assert [work({}), work({})] == ["done", "done"]
    assert len([record for record in caplog.records if "bmad.task.id" in record.getMessage()]) == 1
    assert len(telemetry.spans()) == 2
