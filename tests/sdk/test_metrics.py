"""What runs now, for how long, and the CPU time each agent really used."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from bmad_otel import track_task
from bmad_otel._labels import MAX_AGENTS, OVERFLOW_AGENT
from bmad_otel._state import state

from .conftest import Telemetry, attributes


def burn(seconds: float) -> None:
    """Use this much CPU time of this thread, however busy the machine is."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_active_counts_what_runs_and_returns_to_zero(telemetry: Telemetry) -> None:
    seen: list[int] = []

    @track_task(agent="Nested")
    def nested(depth: int) -> None:
        seen.append(telemetry.value("bmad.agent.task.active", agent="Nested"))
        if depth:
            nested(depth - 1)

    nested(2)
    assert seen == [1, 2, 3]
    assert telemetry.value("bmad.agent.task.active", agent="Nested") == 0


def test_a_suspended_generator_is_running(telemetry: Telemetry) -> None:
    @track_task(agent="Stream")
    def stream() -> Generator[int, Any, None]:
        yield 1

    source = stream()
    next(source)
    assert telemetry.value("bmad.agent.task.active", agent="Stream") == 1
    source.close()
    assert telemetry.value("bmad.agent.task.active", agent="Stream") == 0


def test_the_oldest_age_grows_until_the_task_ends(telemetry: Telemetry) -> None:
    @track_task(agent="Old")
    def old() -> None:
        first = telemetry.value("bmad.agent.task.oldest_age", agent="Old")
        second = telemetry.value("bmad.agent.task.oldest_age", agent="Old")
        assert 0 < first < second

    old()
    assert telemetry.value("bmad.agent.task.oldest_age", agent="Old") == 0


def test_cpu_time_is_the_agents_own(telemetry: Telemetry) -> None:
    @track_task(agent="Inner")
    def inner() -> None:
        burn(0.04)

    @track_task(agent="Outer")
    def outer() -> None:
        burn(0.02)
        inner()
        inner()

    outer()
    used = {agent: value / 1e9 for agent, value in state.cpu.by_agent_ns().items()}
    assert used["Inner"] >= 0.08
    assert 0.02 <= used["Outer"] < 0.04
    assert telemetry.value("bmad.agent.cpu.time", agent="Inner") == used["Inner"]


def test_waiting_uses_no_cpu_time_and_others_steps_are_theirs(telemetry: Telemetry) -> None:
    @track_task(agent="Waits")
    async def waits(go: asyncio.Event) -> None:
        await go.wait()

    @track_task(agent="Works")
    async def works(go: asyncio.Event) -> None:
        for _ in range(4):
            burn(0.01)
            await asyncio.sleep(0)
        go.set()

    async def both() -> None:
        go = asyncio.Event()
        await asyncio.gather(waits(go), works(go))

    asyncio.run(both())
    used = {agent: value / 1e9 for agent, value in state.cpu.by_agent_ns().items()}
    assert used["Works"] >= 0.04
    assert used["Waits"] < 0.01
    durations = {p.attributes["gen_ai.agent.name"]: p.sum for p in telemetry.points()["gen_ai.invoke_agent.duration"]}
    assert durations["Waits"] >= 0.04


def test_cpu_time_of_ended_threads_is_kept(telemetry: Telemetry) -> None:
    @track_task(agent="Pool")
    def work() -> None:
        burn(0.0005)

    for _ in range(200):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert state.cpu.by_agent_ns()["Pool"] >= 200 * 500_000
    assert len(state.cpu._accounts) < 100  # ended threads were folded although nobody observed


def test_a_cpu_counter_never_falls(telemetry: Telemetry) -> None:
    stop = threading.Event()

    @track_task(agent="Busy")
    def work() -> None:
        burn(0.0001)

    def worker() -> None:
        while not stop.is_set():
            work()

    threads = [threading.Thread(target=worker) for _ in range(3)]
    for thread in threads:
        thread.start()
    readings = [state.cpu.by_agent_ns().get("Busy", 0) for _ in range(200)]
    stop.set()
    for thread in threads:
        thread.join()
    assert readings == sorted(readings)


@pytest.fixture
def sampled_out() -> Iterator[None]:
    state.open().talk_to(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("bmad_otel"))
    yield
    state.open().providers_changed()


@pytest.mark.usefixtures("sampled_out")
def test_metrics_are_exact_when_spans_are_sampled_out(telemetry: Telemetry) -> None:
    children: list[bool] = []

    @track_task(agent="Silent")
    def work() -> None:
        children.append(trace.get_current_span().get_span_context().trace_flags.sampled)

    for _ in range(100):
        work()
    assert telemetry.spans() == []
    assert children == [False] * 100  # the decision not to sample is the children's too
    (point,) = telemetry.points()["gen_ai.invoke_agent.duration"]
    assert point.count == 100


def test_further_agents_share_one_visible_series(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    class Agent:
        def __init__(self, name: str) -> None:
            self.agent_name = name

        @track_task
        def work(self) -> None: ...

    for i in range(MAX_AGENTS + 20):
        Agent(f"agent-{i}").work()
    points = telemetry.points()
    names = {point.attributes["gen_ai.agent.name"] for point in points["gen_ai.invoke_agent.duration"]}
    assert len(names) == MAX_AGENTS + 1
    (overflow,) = [
        p for p in points["gen_ai.invoke_agent.duration"] if p.attributes["gen_ai.agent.name"] == OVERFLOW_AGENT
    ]
    assert overflow.count == 20
    assert len([r for r in caplog.records if "more than 1000 agents" in r.getMessage()]) == 1
    assert attributes(telemetry.spans()[-1])["gen_ai.agent.name"] == f"agent-{MAX_AGENTS + 19}"  # spans tell the truth
