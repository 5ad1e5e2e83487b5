"""A monitor of one test's own, on a clock that moves when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bmad_otel import AgentPerformanceProfile, PerformanceAlert, PerformanceMonitor
from bmad_otel._durations import Durations
from bmad_otel._state import state
from bmad_otel.testing import ManualClock


@pytest.fixture(autouse=True)
def _errors_of_our_own_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMAD_OTEL_RAISE_INTERNAL", "1")
    monkeypatch.delenv("BMAD_OTEL_ENDPOINT", raising=False)


@pytest.fixture
def clock(bmad_clock: ManualClock) -> ManualClock:
    return bmad_clock


@pytest.fixture
def fresh_state() -> Iterator[None]:
    """The registers of the SDK begin empty, durations too: what began under another clock is no history."""
    with state.afresh():
        state.durations = Durations()
        yield


@pytest.fixture
def monitor(clock: ManualClock, fresh_state: None) -> PerformanceMonitor:
    return quiet_monitor()


def quiet_monitor(**config: object) -> PerformanceMonitor:
    """A monitor that is not alarmed by how busy the machine is that runs the tests."""
    monitor = PerformanceMonitor(config)
    monitor.register_agent_profile(AgentPerformanceProfile("system", monitoring_enabled=False))
    return monitor


@pytest.fixture
def passing(clock: ManualClock, monitor: PerformanceMonitor) -> Callable[[float], None]:
    """Lets time pass as the monitoring thread would see it: collected just before each interval ends."""

    def passes(seconds: float) -> None:
        for _ in range(round(seconds / 5)):
            clock.advance(4.9)
            monitor.collect()
            clock.advance(0.1)
            monitor.collect()

    return passes


class Heard(list[PerformanceAlert]):
    """A callback that keeps what it is told."""

    def __call__(self, alert: PerformanceAlert) -> None:
        self.append(alert)
