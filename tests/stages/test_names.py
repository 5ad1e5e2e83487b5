"""Custom and reported values: a series per name within a bound, and what is said when the bound is reached."""

from __future__ import annotations

from dataclasses import replace

from bmad_processor import engine
from bmad_processor.model import Batch, Level, PartitionKey, Reading
from bmad_processor.settings import SECOND, EngineSettings, Profile, Profiles
from bmad_processor.state import EngineState, Partition

KEY = PartitionKey("agent", "", "Architect")
T0 = 1_800_000_000 * SECOND
SETTINGS = EngineSettings(window_ns=10 * SECOND, forget_after_ns=600 * SECOND, no_data_after_ns=30 * SECOND)


class Engine:
    """An engine of one agent at a virtual time."""

    def __init__(self, settings: EngineSettings = SETTINGS) -> None:
        self.settings = settings
        self.state = EngineState()
        self.history: dict[str, int] = {}

    def send(self, seconds: float, *names: str, value: float = 1.0, unit: str = "") -> None:
        now_ns = T0 + round(seconds * SECOND)
        samples = tuple(Reading(KEY, "a", name, "mean:", now_ns, value, unit) for name in names)
        for point in engine.step(self.state, Batch(now_ns, samples), self.settings).outputs.history:
            self.history[point.metric_type] = self.history.get(point.metric_type, 0) + 1

    @property
    def partition(self) -> Partition:
        return self.state.partitions[str(KEY)]


def test_a_thousand_names_are_a_hundred_series_and_two_common_ones() -> None:
    """What the BMAD monitor kept for a thousand calls of one method were a thousand series."""
    ran = Engine()
    for at in range(1000):
        ran.send(at / 100, f"custom:call-{at}", f"reported:call-{at}")
    ran.send(30)
    assert len(ran.partition.names) == 102
    assert ran.state.counters == {"names_folded": 2000 - 100}
    assert len(ran.history) == 102
    assert {"custom:call-0", "reported:call-49", "custom:overflow", "reported:overflow"} <= ran.history.keys()
    assert ran.partition.baselines.keys() == {name for name in ran.partition.names if name.startswith("custom:")}


def test_a_name_that_is_long_silent_makes_room() -> None:
    ran = Engine(replace(SETTINGS, max_names=2))
    ran.send(0, "custom:old", "custom:steady")
    for at in range(0, 700, 5):
        ran.send(at, "custom:steady")
    ran.send(701, "custom:new")
    assert ran.partition.names.keys() == {"custom:steady", "custom:new"}
    assert "custom:old" not in ran.partition.baselines
    assert "custom:old" not in ran.partition.latest
    ran.send(702, "custom:newer")
    assert ran.state.counters == {"names_folded": 1}


def test_a_firing_name_keeps_its_place() -> None:
    thresholds = {"custom:old": {Level.WARNING: 0.5}}
    settings = replace(
        SETTINGS, max_names=1, no_data_after_ns=9000 * SECOND, profiles=Profiles(Profile("*", thresholds))
    )
    ran = Engine(settings)
    ran.send(0, "custom:old")
    for at in range(20, 700, 20):
        ran.send(at, "cpu_usage")
    assert ran.partition.conditions["custom:old"].status == "firing"
    ran.send(701, "custom:new")
    assert ran.partition.names.keys() == {"custom:old", "custom:overflow"}


def test_the_last_unit_counts_and_none_takes_nothing_away() -> None:
    ran = Engine()
    ran.send(0, "custom:x", unit="s")
    assert ran.partition.unit_of("custom:x") == "s"
    ran.send(1, "custom:x", unit="ms")
    ran.send(2, "custom:x")
    assert ran.partition.unit_of("custom:x") == "ms"
    assert ran.partition.unit_of("cpu_usage") == ran.partition.unit_of("custom:never") == ""


def test_readings_of_one_instance_are_averaged() -> None:
    ran = Engine()
    ran.send(1, "custom:x", value=10)
    ran.send(2, "custom:x", value=20)
    ran.send(20)
    assert ran.partition.latest["custom:x"].value == 15
