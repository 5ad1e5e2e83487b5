"""`with track_task(...)` and `async with`: a part of a function as a task."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Generator

import pytest
from opentelemetry import trace

from bmad_otel import Operation, track_task, track_tool, track_workflow
from bmad_otel._state import state

from .conftest import Telemetry, attributes


def test_a_block_is_a_task(telemetry: Telemetry) -> None:
    with track_task(name="plan", agent="Planner", task_id="t-1", operation=Operation.PLAN) as task:
        assert task.is_running
        assert trace.get_current_span() is task.span
        task.set_attribute("team.name", "blue")
    span = telemetry.span()
    assert span.name == "plan Planner"
    assert attributes(span) == {
        "gen_ai.operation.name": "plan", "gen_ai.agent.name": "Planner", "bmad.task.name": "plan",
        "bmad.task.id": "t-1", "bmad.task.outcome": "ok", "team.name": "blue",
    }  # fmt: skip
    (point,) = telemetry.points()["gen_ai.invoke_agent.duration"]
    assert point.count == 1
    assert not task.is_running


def test_the_agent_of_a_block(telemetry: Telemetry) -> None:
    with track_task(name="alone"):
        pass
    with track_task(name="whole", agent="Research"), track_task(name="part"), track_tool(name="search"):
        pass
    assert [(s.name, attributes(s).get("gen_ai.agent.name")) for s in telemetry.spans()] == [
        ("invoke_agent alone", "alone"), ("execute_tool search", None), ("invoke_agent Research", "Research"),
        ("invoke_agent Research", "Research"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(ValueError("v"), "error"), (TimeoutError(), "timeout"), (KeyboardInterrupt(), "cancelled")],
)
def test_what_leaves_a_block_goes_on(telemetry: Telemetry, error: BaseException, outcome: str) -> None:
    def block() -> None:
        with track_workflow(name="nightly"):
            raise error

    with pytest.raises(type(error)) as caught:
        block()
    assert caught.value is error
    assert telemetry.outcome() == outcome


def test_around_awaits_other_tasks_of_the_loop_keep_their_parents(telemetry: Telemetry) -> None:
    async def one(name: str) -> None:
        async with track_task(name=name, agent=name):
            await asyncio.sleep(0)
            with track_tool(name=f"tool of {name}"):
                await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(one(f"A{i}") for i in range(5)))
        assert trace.get_current_span() is trace.INVALID_SPAN

    asyncio.run(main())
    by_id = {span.context.span_id: span for span in telemetry.spans()}
    tools = [span for span in by_id.values() if span.name.startswith("execute_tool")]
    assert len(tools) == 5
    for tool in tools:
        assert tool.parent is not None
        assert tool.name == f"execute_tool tool of {attributes(by_id[tool.parent.span_id])['bmad.task.name']}"


def test_cpu_time_of_a_block_in_a_coroutine_is_not_that_of_the_loop(telemetry: Telemetry) -> None:
    async def waiting() -> None:
        async with track_task(name="wait", agent="Waiter"):
            with track_task(name="wait more", agent="Waiter"):
                await asyncio.sleep(0.05)

    @track_task(agent="Worker")
    async def working() -> None:
        sum(range(200_000))

    async def main() -> None:
        await asyncio.gather(waiting(), working())

    asyncio.run(main())
    used = state.cpu.by_agent_ns()
    assert used["Worker"] > 0
    assert used.get("Waiter", 0) == 0


def test_one_object_may_be_entered_again_and_by_several_threads(telemetry: Telemetry) -> None:
    block = track_task(name="again", agent="Shared")
    with block as outer, block as inner:
        assert outer.span is not inner.span
        assert trace.get_current_span() is inner.span
    parents = {span.context.span_id: span.parent for span in telemetry.spans()}
    assert [parent is None for parent in parents.values()] == [False, True]

    barrier = threading.Barrier(4)

    def work() -> None:
        for _ in range(50):
            with block as task:
                barrier.wait(10)
                assert trace.get_current_span() is task.span

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(telemetry.spans()) == 202


def test_a_block_left_open_in_a_dropped_generator_ends_quietly(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    def items() -> Generator[int, None, None]:
        with track_task(name="items", agent="Lazy"):
            yield 1

    def consume() -> None:
        for _ in items():
            break

    async def elsewhere() -> None:
        consume()
        gc.collect()

    with caplog.at_level(logging.DEBUG, "opentelemetry"):
        asyncio.run(elsewhere())
    assert telemetry.outcome() == "closed_early"
    assert "detach" not in caplog.text


def test_a_block_needs_a_name() -> None:
    with pytest.raises(TypeError, match="name is needed"), track_task(agent="Planner"):
        pass


def test_the_same_object_decorates(telemetry: Telemetry) -> None:
    tracker = track_task(name="both", agent="Both")

    @tracker
    def function() -> str:
        return "result"

    with tracker:
        assert function() == "result"
    assert [attributes(span)["bmad.task.name"] for span in telemetry.spans()] == ["both", "both"]
