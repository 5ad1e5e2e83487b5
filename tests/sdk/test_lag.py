"""Event-loop lag, attributed to the agent that kept the loop busy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from bmad_otel import track_task, track_tool

from .conftest import Telemetry

LONG_S = 0.07


def lag(telemetry: Telemetry) -> dict[str, tuple[int, float]]:
    return {
        point.attributes["gen_ai.agent.name"]: (point.count, point.sum)
        for point in telemetry.points().get("bmad.agent.event_loop.lag", [])
    }


def block() -> None:
    time.sleep(LONG_S)  # what blocks a loop: a call that waits instead of awaiting


def test_the_agent_that_blocks_is_told(telemetry: Telemetry) -> None:
    @track_task(agent="Blocker")
    async def blocks() -> None:
        await asyncio.sleep(0)
        block()
        await asyncio.sleep(0)

    @track_task(agent="Polite")
    async def waits() -> None:
        await asyncio.sleep(2 * LONG_S)

    async def main() -> None:
        await asyncio.gather(blocks(), waits())

    asyncio.run(main())
    found = lag(telemetry)
    assert set(found) == {"Blocker"}
    count, total_s = found["Blocker"]
    assert count == 1
    assert LONG_S <= total_s < 10 * LONG_S


def test_a_synchronous_task_on_the_loop_is_told_instead_of_the_one_around_it(telemetry: Telemetry) -> None:
    @track_task(agent="Inner")
    def inner() -> None:
        block()

    @track_task(agent="Outer")
    async def outer() -> None:
        inner()

    asyncio.run(outer())
    assert set(lag(telemetry)) == {"Inner"}


def test_time_of_its_own_is_told_besides_that_of_inner_tasks(telemetry: Telemetry) -> None:
    @track_task(agent="Inner")
    async def inner() -> None:
        block()

    @track_task(agent="Outer")
    async def outer() -> None:
        await inner()
        block()

    asyncio.run(outer())
    assert {agent: count for agent, (count, _) in lag(telemetry).items()} == {"Inner": 1, "Outer": 1}
    assert all(total_s < 2 * LONG_S for _, total_s in lag(telemetry).values())


def test_tools_without_an_agent_block_on_the_account_of_their_agent(telemetry: Telemetry) -> None:
    @track_tool
    def search() -> None:
        block()

    @track_task(agent="Research")
    async def read() -> AsyncGenerator[int, None]:
        search()
        yield 1

    async def main() -> list[Any]:
        return [item async for item in read()]

    asyncio.run(main())
    assert set(lag(telemetry)) == {"Research"}


def test_without_a_loop_nobody_is_kept_waiting(telemetry: Telemetry) -> None:
    @track_task(agent="Sync")
    def work() -> None:
        block()

    work()
    assert lag(telemetry) == {}


def test_work_in_a_thread_does_not_block(telemetry: Telemetry) -> None:
    @track_task(agent="Threaded")
    def work() -> None:
        block()

    asyncio.run(asyncio.wait_for(asyncio.to_thread(work), 10))
    assert lag(telemetry) == {}
