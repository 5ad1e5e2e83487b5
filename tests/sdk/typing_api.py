"""What a type checker makes of tracked functions. Read by mypy in test_public_api, never run.

A line that must be an error carries an ignore; an ignore without an error is an error itself.
"""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import queue
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, assert_type, overload

from bmad_otel import (
    AgentPerformanceProfile,
    AlertLevel,
    Capture,
    Diagnostics,
    MetricType,
    Operation,
    Outcome,
    PerformanceAlert,
    PerformanceMetric,
    PerformanceMonitor,
    TaskHandle,
    Usage,
    configure,
    current_task,
    diagnostics,
    force_flush,
    get_performance_monitor,
    instrument_agent,
    observe_queue,
    shutdown,
    track_task,
    track_tool,
    track_workflow,
)

T = TypeVar("T")


class Agent:
    @track_task
    def plain(self, question: str, *, depth: int = 1) -> list[str]:
        return [question] * depth

    @track_task(name="t", agent="a", operation=Operation.PLAN, task_id=lambda self: "1", attributes={"k": 1})
    async def later(self) -> int:
        return 1

    @track_task
    def items(self) -> Iterator[int]:
        yield 1

    @track_task
    async def items_later(self) -> AsyncIterator[int]:
        yield 1

    @classmethod
    @track_task
    def below_class(cls, n: int) -> int:
        return n

    @track_task
    @classmethod
    def above_class(cls, n: int) -> int:
        return n

    @staticmethod
    @track_task
    def below_static(n: int) -> str:
        return str(n)

    @track_task
    @staticmethod
    def above_static(n: int) -> str:
        return str(n)

    @property
    @track_task
    def below_property(self) -> bytes:
        return b""

    @functools.cached_property
    @track_task
    def once(self) -> float:
        return 1.0

    @track_tool
    async def __call__(self, n: int) -> int:
        return n


class Special(Agent):
    @track_workflow(workflow_id="w")
    def plain(self, question: str, *, depth: int = 1) -> list[str]:
        return super().plain(question, depth=depth)


class Base(ABC):
    @abstractmethod
    @track_task
    def run(self, n: int) -> str: ...


@dataclass
class Box(Generic[T]):
    value: T

    @track_task
    def unpack(self) -> T:
        return self.value

    @track_tool(capture=True)
    def combine(self, *others: T, **named: T) -> list[T]:
        return [self.value, *others, *named.values()]


class Runs(Protocol):
    def plain(self, question: str, *, depth: int = 1) -> list[str]: ...


@track_task
def talks(start: str) -> Generator[str, int, bool]:
    yield start
    return True


@track_task()
async def talks_later() -> AsyncGenerator[str, int]:
    yield ""


@track_tool
def search(query: str) -> dict[str, int]:
    return {query: 1}


@track_tool(
    name="fetch",
    agent="a",
    task_id="t",
    workflow_id=lambda url, *, tries: url,
    attributes={"k": True},
    capture=Capture(max_depth=2),
    detect_failure=lambda result: result.get("error"),
    usage=lambda result: Usage(input_tokens=1),
    outcomes={ValueError: Outcome.OK},
)
async def fetch(url: str, *, tries: int) -> dict[str, str]:
    return {}


@track_workflow
async def nightly(*urls: str) -> None: ...


@contextmanager
@track_task
def session(n: int) -> Iterator[int]:
    yield n


@track_task
def identity(value: T) -> T:
    return value


@overload
def either(value: int) -> int: ...
@overload
def either(value: str) -> str: ...
@track_task
def either(value: int | str) -> int | str:
    return value


@track_task
def chooses(wait: bool) -> Awaitable[int]:
    return Agent().later()


@instrument_agent
class Whole:
    def run(self, n: int) -> int:
        return n


@instrument_agent(include=["run*"], exclude=("rest",), agent="a", capture=True)
class Chosen:
    def run(self, n: int) -> int:
        return n


async def check(agent: Agent) -> None:
    assert_type(agent.plain("why", depth=2), list[str])
    coroutine: Coroutine[Any, Any, int] = agent.later()
    assert_type(await coroutine, int)
    assert_type(agent.items(), Iterator[int])
    assert_type(agent.items_later(), AsyncIterator[int])
    assert_type(Agent.below_class(1), int)
    assert_type(Agent.above_class(1), int)
    assert_type(Agent.below_static(1), str)
    assert_type(Agent.above_static(1), str)
    assert_type(agent.below_property, bytes)
    assert_type(agent.once, float)
    assert_type(await agent(1), int)
    assert_type(Special().plain("why"), list[str])
    assert_type(talks("x"), Generator[str, int, bool])
    assert_type(talks_later(), AsyncGenerator[str, int])
    runs: Runs = agent
    runs.plain("why")

    agent.plain(1)  # type: ignore[arg-type]
    agent.plain("why", deep=2)  # type: ignore[call-arg]
    Base()  # type: ignore[abstract]

    # a task of asyncio, a partial and a pool take what is tracked as they take what is not
    assert_type(await asyncio.create_task(agent.later()), int)
    assert_type(await asyncio.gather(agent.later(), fetch("u", tries=1)), tuple[int, dict[str, str]])
    assert_type(functools.partial(search, "q")(), dict[str, int])
    with ThreadPoolExecutor() as pool:
        assert_type(pool.submit(search, "q").result(), dict[str, int])
        pool.submit(search, 1)  # type: ignore[arg-type]


async def check_tools_and_workflows() -> None:
    assert_type(search("q"), dict[str, int])
    assert_type(await fetch("u", tries=2), dict[str, str])
    assert_type(await nightly("a", "b"), None)
    assert_type(await chooses(True), int)
    with session(1) as n:
        assert_type(n, int)
    search(1)  # type: ignore[arg-type]
    await fetch("u")  # type: ignore[call-arg]
    track_tool(operation=Operation.PLAN)  # type: ignore[call-overload]


def check_type_variables() -> None:
    assert_type(Box(1).unpack(), int)
    assert_type(Box("a").combine("b", c="c"), list[str])
    Box("a").combine(2)  # type: ignore[arg-type]
    assert_type(identity(1), int)
    assert_type(identity("a"), str)
    assert_type(either(1), int)
    assert_type(either("a"), str)


async def check_blocks() -> None:
    with track_task(name="plan", agent="Planner") as task:
        assert_type(task, TaskHandle)
    async with track_tool(name="search") as task:
        assert_type(task, TaskHandle)
    with track_workflow(name="nightly") as task:
        assert_type(task, TaskHandle)
        assert_type(task.agent, str | None)
        assert_type(task.is_running, bool)

    def returns_in_a_block() -> int:
        with track_task(name="plan"):  # swallows no exception, so no return is missing after it
            return 1

    assert_type(returns_in_a_block(), int)
    with track_task:  # type: ignore[attr-defined]
        pass


def check_the_handle() -> None:
    task = current_task()
    assert_type(task, TaskHandle)
    task.record_usage(input_tokens=1, output_tokens=2, model="m", provider="p")
    task.set_attribute("team.name", "blue")
    task.fail("message", error_type="quota")
    task.record_usage(1)  # type: ignore[call-arg]
    task.set_attribute("team.names", ["blue"])  # type: ignore[arg-type]
    task.fail(error_type=ValueError)  # type: ignore[arg-type]


def check_classes() -> None:
    assert_type(Whole().run(1), int)
    assert_type(Chosen().run(1), int)
    made: type[Whole] = instrument_agent(Whole)
    assert_type(made().run(1), int)
    Whole().run("a")  # type: ignore[arg-type]
    instrument_agent("Whole")  # type: ignore[call-overload]
    instrument_agent(include="run")  # a str is an Iterable[str]: refused when it runs


def check_queues(jobs: asyncio.Queue[int], others: queue.Queue[str], distant: multiprocessing.Queue[int]) -> None:
    for source in (jobs, others, distant):
        observe_queue(source, agent="a").close()
    with observe_queue(lambda: len("jobs"), agent="a") as observed:
        assert_type(observed.agent, str)
    observe_queue(jobs)  # type: ignore[call-arg]
    observe_queue([1, 2], agent="a")  # type: ignore[arg-type]
    observe_queue(lambda: "many", agent="a")  # type: ignore[arg-type,return-value]


def check_arguments() -> None:
    track_task("name")  # type: ignore[call-overload]
    track_task(operation="plan")  # type: ignore[call-overload]
    track_task(outcomes={ValueError: "ok"})  # type: ignore[dict-item]
    track_task(capture="yes")  # type: ignore[call-overload]
    track_task(detect_failure="error")  # type: ignore[call-overload]
    track_task(usage=len)  # type: ignore[arg-type]
    configure("service")  # type: ignore[call-arg]
    configure(protocol="http")  # type: ignore[arg-type]
    configure(host_metrics="never")  # type: ignore[arg-type]
    configure(host_metrics="auto", propagate_threads=False, capture=Capture(deny=("customer id",)))
    configure(capture="yes")  # type: ignore[arg-type]
    assert_type(force_flush(timeout_s=1), bool)
    assert_type(diagnostics(), Diagnostics)
    shutdown(timeout_s=0.5)


# The monitor ---------------------------------------------------------------------------------------------------------


class Watching(PerformanceMonitor):
    async def _collect_custom_metrics(self, agent_name: str) -> None:
        self.log_metric("backlog", 3, "tickets", agent_name)


async def tell(alert: PerformanceAlert) -> None:
    assert_type(alert.level, AlertLevel)
    assert_type(alert.resolution_time, float | None)


def monitored() -> None:
    monitor = get_performance_monitor()
    assert_type(monitor, PerformanceMonitor)
    monitor.add_alert_callback(tell)
    monitor.add_alert_callback(lambda alert: alert.message.upper())
    monitor.add_alert_callback("no function")  # type: ignore[arg-type]
    monitor.register_agent_profile(
        AgentPerformanceProfile("A", thresholds={MetricType.CPU_USAGE: {AlertLevel.WARNING: 60}})
    )
    assert_type(monitor.start_task_tracking("A", "1"), TaskHandle)
    monitor.end_task_tracking("A", "1", success=False)
    assert_type(monitor.alerts, list[PerformanceAlert])
    assert_type(monitor.metrics_history["A_cpu_usage"][0], PerformanceMetric)
    assert_type(monitor.export_performance_data(), str)
    monitor.start_monitoring("5s")  # type: ignore[arg-type]
