"""Agents beyond the limit share one, agents not heard of are forgotten, and settings that make no sense are refused."""

from __future__ import annotations

import pytest

from bmad_processor import engine
from bmad_processor.model import Batch, PartitionKey, Reading
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
