"""`observe_queue`: how many tasks wait, asked of real queues."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import queue
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest

from bmad_otel import observe_queue
from bmad_otel._labels import MAX_AGENTS, OVERFLOW_AGENT
from bmad_otel._queues import Queues
from bmad_otel._state import state

from .conftest import Telemetry


@pytest.fixture(autouse=True)
def no_queues() -> Iterator[None]:
    state.queues = Queues()
    yield
    state.queues = Queues()


def sizes(telemetry: Telemetry) -> dict[str, int]:
    return {p.attributes["gen_ai.agent.name"]: p.value for p in telemetry.points().get("bmad.agent.queue.size", [])}


def test_queues_and_functions_of_an_agent_are_added_up(telemetry: Telemetry) -> None:
    waiting: queue.Queue[int] = queue.Queue()
    later: asyncio.Queue[int] = asyncio.Queue()
    observe_queue(waiting, agent="Research")
    observe_queue(later, agent="Research")
    observe_queue(lambda: 40, agent="Planner")
    for i in range(3):
        waiting.put(i)
    later.put_nowait(1)
    assert sizes(telemetry) == {"Research": 4, "Planner": 40}
    waiting.get()
    assert sizes(telemetry)["Research"] == 3


def test_queues_of_multiprocessing(telemetry: Telemetry) -> None:
    work: Any = multiprocessing.get_context("spawn").Queue()
    observe_queue(work, agent="Pool")
    work.put(1)
    assert sizes(telemetry) == {"Pool": 1}
    work.close()
    work.join_thread()


def test_a_queue_the_program_has_dropped_is_gone(telemetry: Telemetry) -> None:
    waiting: queue.Queue[int] | None = queue.Queue()
    observe_queue(waiting, agent="Research")  # type: ignore[arg-type]
    assert sizes(telemetry) == {"Research": 0}
    del waiting
    gc.collect()
    assert sizes(telemetry) == {}


def test_closing_and_the_with_form(telemetry: Telemetry) -> None:
    with observe_queue(lambda: 5, agent="Research") as handle:
        assert sizes(telemetry) == {"Research": 5}
    assert sizes(telemetry) == {}
    handle.close()


@pytest.mark.parametrize("answer", [-1, -0.5, float("nan"), float("inf"), 2**63, "many", None, True, [1]])
def test_what_is_no_size_costs_that_queue_only(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    monkeypatch.delenv("BMAD_OTEL_RAISE_INTERNAL")
    observe_queue(lambda: answer, agent="Broken")  # type: ignore[arg-type,return-value]
    observe_queue(lambda: 2, agent="Sound")
    assert sizes(telemetry) == {"Sound": 2}


BROKEN = """
import queue
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from bmad_otel import observe_queue
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))

def broken(): raise ConnectionError("no broker")

async def awaited(): return 1

class OnMac:
    def qsize(self): raise NotImplementedError

first, second, third = OnMac(), OnMac(), lambda: awaited()
observe_queue(broken, agent="Broken")
observe_queue(first, agent="Mac")
observe_queue(second, agent="Mac")
observe_queue(third, agent="Later")
observe_queue(lambda: 2, agent="Sound")
for _ in range(3):
    (resource,) = reader.get_metrics_data().resource_metrics
    points = {
        p.attributes["gen_ai.agent.name"]: p.value
        for metric in resource.scope_metrics[0].metrics if metric.name == "bmad.agent.queue.size"
        for p in metric.data.data_points
    }
    assert points == {"Sound": 2}, points
"""


def test_a_queue_that_cannot_tell_costs_its_own_point_and_is_told_once(
    run_python: Callable[..., CompletedProcess[str]],
) -> None:
    result = run_python(BROKEN, BMAD_OTEL_RAISE_INTERNAL="")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("ConnectionError: no broker") == 1
    assert result.stderr.count("must be a whole number, not coroutine") == 1
    assert result.stderr.count("cannot tell its size") == 1
    assert "never awaited" not in result.stderr


def test_a_broken_queue_leaves_the_others_of_its_agent(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BMAD_OTEL_RAISE_INTERNAL")
    observe_queue(lambda: 1 // 0, agent="Research")
    observe_queue(lambda: 2, agent="Research")
    assert sizes(telemetry) == {"Research": 2}


def test_queues_are_bounded(run_python: Callable[..., CompletedProcess[str]]) -> None:
    result = run_python(
        """
        import queue
        from bmad_otel import observe_queue
        from bmad_otel._state import state
        dropped = [queue.Queue() for _ in range(500)]
        for each in dropped: observe_queue(each, agent="Dropped")
        del dropped, each
        for _ in range(1000): observe_queue(lambda: 1, agent="Many")  # the dropped ones make room
        assert state.queues.by_agent() == {"Many": 1000}, state.queues.by_agent()
        with observe_queue(lambda: 1, agent="More") as refused: pass
        observe_queue(lambda: 1, agent="More").close()
        assert state.queues.by_agent() == {"Many": 1000}
        """
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("more than 1000 queues") == 1


def test_a_queue_registered_twice_counts_once(telemetry: Telemetry) -> None:
    waiting: queue.Queue[int] = queue.Queue()
    waiting.put(1)
    first = observe_queue(waiting, agent="Research")
    observe_queue(waiting, agent="Research")
    observe_queue(waiting, agent="Planner")
    assert sizes(telemetry) == {"Research": 1, "Planner": 1}
    first.close()
    assert sizes(telemetry) == {"Research": 1, "Planner": 1}


class Slots:
    __slots__ = ("size",)

    def __init__(self, size: Any) -> None:
        self.size = size

    def qsize(self) -> Any:
        return self.size


class Index:
    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize(("size", "seen"), [(3, 3), (0, 0), (4.0, 4), (Index(), 7)])
def test_a_queue_without_weak_references_is_kept_and_any_whole_number_is_a_size(
    telemetry: Telemetry, size: Any, seen: int
) -> None:
    with observe_queue(Slots(size), agent="Slots"):
        gc.collect()
        assert sizes(telemetry) == {"Slots": seen}
    assert sizes(telemetry) == {}


@pytest.mark.parametrize("kind", [queue.SimpleQueue, queue.PriorityQueue, queue.LifoQueue, asyncio.PriorityQueue])
def test_every_kind_of_queue_is_held_weakly(telemetry: Telemetry, kind: type[Any]) -> None:
    waiting = kind()
    observe_queue(waiting, agent="Any")
    assert sizes(telemetry) == {"Any": 0}
    del waiting
    gc.collect()
    assert sizes(telemetry) == {}


def test_the_method_of_a_queue_is_a_function_and_keeps_it(telemetry: Telemetry) -> None:
    observe_queue(queue.Queue[int]().qsize, agent="Kept")
    gc.collect()
    assert sizes(telemetry) == {"Kept": 0}


def test_agents_beyond_the_bound_share_the_overflow(telemetry: Telemetry) -> None:
    for i in range(MAX_AGENTS):
        state.agents.admit(f"agent {i}")
    with observe_queue(lambda: 1, agent="one"), observe_queue(lambda: 2, agent="two"):
        assert sizes(telemetry) == {OVERFLOW_AGENT: 3}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_the_queues_of_a_forked_child_are_its_own(run_python: Callable[..., CompletedProcess[str]]) -> None:
    result = run_python(
        """
        import os, queue, sys
        from bmad_otel import observe_queue
        from bmad_otel._state import state
        waiting = queue.Queue()
        waiting.put(1)
        observe_queue(waiting, agent="Research")
        child = os.fork()
        if child == 0:
            waiting.put(2)
            assert state.queues.by_agent() == {"Research": 2}
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert state.queues.by_agent() == {"Research": 1}
        """
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("source", "agent", "error", "words"),
    [
        (5, "A", TypeError, "source must have qsize"),
        (asyncio.Queue, "A", TypeError, "source must have qsize"),
        (queue.Queue, "A", TypeError, "source must have qsize"),
        (lambda waiting: 1, "A", TypeError, "source must be a function without arguments"),
        (lambda: 1, 5, TypeError, "agent must be a str"),
        (lambda: 1, " ", ValueError, "agent must not be empty"),
    ],
)
def test_wrong_arguments(source: Any, agent: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        observe_queue(source, agent=agent)


def test_a_source_that_must_be_awaited_is_refused() -> None:
    async def size() -> int:
        return 1

    class Remote:
        async def qsize(self) -> int:
            return 1

    for source in (size, Remote()):
        with pytest.raises(TypeError, match="without being awaited"):
            observe_queue(source, agent="A")  # type: ignore[arg-type]
