"""Agents beyond the limit share one, agents not heard of are forgotten, and settings that make no sense are refused."""

from __future__ import annotations

import pytest

from bmad_processor import engine
from bmad_processor.metric_types import CPU_USAGE
from bmad_processor.model import (
    AlertEvent,
    AlertEventKind,
    Batch,
    PartitionKey,
    Reading,
    Source,
    TaskSample,
    Total,
)
from bmad_processor.settings import SECOND, EngineSettings
from bmad_processor.state import EngineState
from bmad_processor.window import OVERFLOW

T0 = 1_800_000_000 * SECOND


def reading(key: PartitionKey, now_ns: int) -> Reading:
    return Reading(key, "a", "queue_size", "", now_ns, 1.0)


def test_further_agents_share_one_per_kind() -> None:
    state, settings = EngineState(), EngineSettings(max_agents=2)
    keys = [PartitionKey("agent", namespace, name) for namespace in ("", "shop") for name in ("A", "B", "C")]
    keys.append(PartitionKey("host", "", "h1"))
    for _ in range(2):
        engine.step(state, Batch(T0, tuple(reading(key, T0) for key in keys)), settings)
    assert set(state.partitions) == {"agent//A", "agent//B", f"agent//{OVERFLOW}", f"host//{OVERFLOW}"}
    assert state.counters == {"agents_folded": 10}


def test_an_agent_not_heard_of_is_forgotten_and_may_come_back() -> None:
    state, settings = EngineState(), EngineSettings(forget_after_ns=3600 * SECOND)
    key = PartitionKey("agent", "", "A")
    engine.step(state, Batch(T0, (reading(key, T0),)), settings)
    removed: set[str] = set()
    for minute in range(1, 63):
        step = engine.step(state, Batch(T0 + minute * 60 * SECOND), settings)
        assert not removed or not step.removed
        removed |= step.removed
    assert removed == {"agent//A"}
    assert (state.partitions, state.due) == ({}, {})
    now_ns = T0 + 7200 * SECOND
    engine.step(state, Batch(now_ns, (reading(key, now_ns),)), settings)
    assert set(state.partitions) == {"agent//A"}


def test_a_silent_agent_costs_nothing_until_it_is_forgotten() -> None:
    """Judged until its window is empty and its alert is over; then once to forget its instances and once to go."""
    settings = EngineSettings(forget_after_ns=24 * 3600 * SECOND)
    state, key = EngineState(), PartitionKey("agent", "", "A")
    failing = TaskSample(key, "a", Source.SPAN, T0, 0, 9, 9, 9 * SECOND, SECOND, SECOND, {0: 9})
    engine.step(state, Batch(T0, (failing,)), settings)
    judged: list[int] = []
    said: list[AlertEvent] = []
    n = 0
    while "agent//A" in state.partitions:
        n += 1
        step = engine.step(state, Batch(T0 + n * 5 * SECOND), settings)
        said += step.outputs.events
        if step.changed:
            judged.append(n * 5)
    assert [event.kind for event in said] == [AlertEventKind.FIRED, AlertEventKind.RESOLVED]
    n_alive = (settings.no_data_after_ns + settings.cooldown_ns) // settings.interval_ns
    assert len(judged) <= n_alive + 5
    assert n * 5 * SECOND - settings.forget_after_ns < 60 * SECOND
    assert (state.due, state.early) == ({}, {})


def test_agents_that_rest_are_not_judged() -> None:
    state, settings = EngineState(), EngineSettings()
    keys = [PartitionKey("agent", "", f"A{n}") for n in range(50)]
    engine.step(state, Batch(T0, tuple(reading(key, T0) for key in keys)), settings)
    for n in range(1, 150):
        engine.step(state, Batch(T0 + n * 5 * SECOND), settings)
    step = engine.step(state, Batch(T0 + 1000 * SECOND), settings)
    assert (step.changed, step.wake_at_ns) != (set(), None)
    assert step.wake_at_ns is not None
    assert step.wake_at_ns > T0 + settings.forget_after_ns
    assert len(state.partitions) == len(keys)


def test_streams_that_fell_silent_make_room() -> None:
    state, settings = EngineState(), EngineSettings(max_streams=3)
    key = PartitionKey("agent", "", "A")

    def total(stream: str, now_ns: int) -> Total:
        return Total(key, "a", CPU_USAGE, stream, T0, now_ns, 1.0)

    engine.step(state, Batch(T0, tuple(total(name, T0) for name in "abc")), settings)
    later_ns = T0 + 60 * SECOND
    engine.step(state, Batch(later_ns, (total("d", later_ns), total("c", later_ns))), settings)
    assert state.counters == {"streams_dropped": 1}
    for minute in range(2, 12):
        now_ns = T0 + minute * 60 * SECOND
        engine.step(state, Batch(now_ns, (total("c", now_ns),)), settings)
    engine.step(state, Batch(now_ns, (total("d", now_ns), total("e", now_ns), total("f", now_ns))), settings)
    assert {stream for _, _, stream in state.partitions[str(key)].streams} == {"c", "d", "e"}
    assert state.counters == {"streams_dropped": 2, "streams_expired": 2}


@pytest.mark.parametrize(
    "changes",
    [
        {"interval_ns": 0},
        {"interval_ns": -5},
        {"window_ns": 0},
        {"window_ns": 7 * SECOND},
        {"smoothing": 0.0},
        {"smoothing": 1.1},
    ],
    ids=str,
)
def test_settings_that_make_no_sense(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"window_ns|smoothing"):
        EngineSettings(**changes)  # type: ignore[arg-type]
