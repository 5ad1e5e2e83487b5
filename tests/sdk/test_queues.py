"""`observe_queue`: how many tasks wait, asked of real queues."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import queue
from collections.abc import Iterator
from typing import Any

import pytest

from bmad_otel import observe_queue
from bmad_otel._queues import MAX_QUEUES, Queues
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


@pytest.mark.parametrize("answer", [-1, float("nan"), "many", None, True])
def test_what_is_no_size_costs_that_queue_only(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    monkeypatch.delenv("BMAD_OTEL_RAISE_INTERNAL")
    observe_queue(lambda: answer, agent="Broken")  # type: ignore[arg-type,return-value]
    observe_queue(lambda: 2, agent="Sound")
    assert sizes(telemetry) == {"Sound": 2}


def test_a_queue_that_raises_is_told_once(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("BMAD_OTEL_RAISE_INTERNAL")

    def broken() -> int:
        raise ConnectionError("no broker")

    observe_queue(broken, agent="Broken")
    for _ in range(3):
        assert sizes(telemetry) == {}
    assert len(caplog.records) <= 1


def test_queues_are_bounded(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    kept = [observe_queue(lambda: 1, agent="Many") for _ in range(MAX_QUEUES + 5)]
    assert sizes(telemetry) == {"Many": MAX_QUEUES}
    assert len(kept) == MAX_QUEUES + 5


@pytest.mark.parametrize(
    ("source", "agent", "error", "words"),
    [
        (5, "A", TypeError, "source must have qsize"),
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

    with pytest.raises(TypeError, match="without being awaited"):
        observe_queue(size, agent="A")  # type: ignore[arg-type]
