"""Every metric type can alert, on the side that is bad by the table or by the profile."""

from __future__ import annotations

import pytest

from bmad_processor import engine, sketch
from bmad_processor.metric_types import METRIC_TYPES, Direction
from bmad_processor.model import AlertEvent, Batch, Level, PartitionKey, Reading, Sample, Source, TaskSample
from bmad_processor.settings import SECOND, EngineSettings, Profile, Profiles
from bmad_processor.state import EngineState

KEY = PartitionKey("agent", "", "Architect")
T0 = 1_800_000_000 * SECOND
OF_TASKS = ("response_time", "throughput", "error_rate", "success_rate")


def judged(name: str, threshold: float, direction: Direction | None, *, value: float = 10.0) -> list[AlertEvent]:
    """What is said of a value of 10; of tasks it is 10 tasks of 10 s within 5 s, half of them failed."""
    directions = {} if direction is None else {name: direction}
    profile = Profile("*", {name: {Level.WARNING: threshold}}, directions=directions)
    settings = EngineSettings(profiles=Profiles(profile), window_ns=5 * SECOND)
    sample: Sample = Reading(KEY, "a", name, "", T0, value)
    if name in OF_TASKS:
        ten_s = 10 * SECOND
        buckets = {sketch.index_of(ten_s): 10}
        sample = TaskSample(KEY, "a", Source.SPAN, T0, 0, 10, 5, 10 * ten_s, ten_s, ten_s, buckets)
    state = EngineState()
    events = engine.step(state, Batch(T0, (sample,)), settings).outputs.events
    return events + engine.step(state, Batch(T0 + 12 * SECOND), settings).outputs.events


VALUES = {"throughput": 2.0, "error_rate": 0.5, "success_rate": 0.5}


@pytest.mark.parametrize("is_overridden", [False, True], ids=["by the table", "by the profile"])
@pytest.mark.parametrize("name", [*METRIC_TYPES, "custom:points"])
def test_every_metric_type_alerts(name: str, is_overridden: bool) -> None:
    value = VALUES.get(name, 10.0)
    high, low = Direction.HIGH_IS_BAD, Direction.LOW_IS_BAD
    by_table = METRIC_TYPES[name].direction if name in METRIC_TYPES else high
    bad = by_table if not is_overridden else (low if by_table is high else high)
    given = bad if is_overridden else None
    beyond, within = (value * 0.5, value * 2) if bad is high else (value * 2, value * 0.5)
    (event,) = judged(name, beyond, given)
    assert (event.kind, event.alert.metric_type, event.alert.level) == ("fired", name, Level.WARNING)
    assert f" {'>' if bad is high else '<'} " in event.alert.reason.rule
    assert judged(name, within, given) == []


def test_throughput_that_falls_is_bad() -> None:
    (event,) = judged("throughput", 3.0, None)
    assert event.alert.message == "Throughput is 2.0 tasks/second (threshold: 3.0 tasks/second)"


def test_reported_values_never_alert() -> None:
    assert judged("reported:cpu_usage", 0.1, None) == []
