"""Threads, forks, exits and collectors of the program's own: the monitor starts, stops and ends in bounds."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from bmad_otel import (
    AgentPerformanceProfile,
    AlertLevel,
    MetricType,
    PerformanceAlert,
    PerformanceMonitor,
)
from bmad_otel._state import state
from bmad_otel.monitor._callbacks import Callbacks
from bmad_otel.monitor._hooks import Hooks
from tests.monitor.conftest import Heard


def eventually(is_so: Callable[[], Any], *, timeout_s: float = 20.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := is_so()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def alert(number: int = 0) -> PerformanceAlert:
    return PerformanceAlert(f"{number}", AlertLevel.INFO, "", MetricType.CUSTOM, 1, 0, "A", 0)


@pytest.fixture
def live(fresh_state: None) -> Any:
    monitor = PerformanceMonitor({"monitoring_interval": 1, "evaluation_window": 2})
    yield monitor
    monitor.stop_monitoring()


def test_monitoring_is_one_thread_however_often_it_is_started(live: PerformanceMonitor) -> None:
    live.start_monitoring(1)
    (thread,) = threads("bmad-monitor")
    live.start_monitoring(1.0)
    assert threads("bmad-monitor") == [thread]
    live.start_monitoring(2)
    (other,) = threads("bmad-monitor")
    assert other is not thread
    assert live.monitoring_active
    live.stop_monitoring()
    live.stop_monitoring()
    assert not live.monitoring_active
    assert threads("bmad-monitor") == []
    live.start_monitoring()
    assert live.monitoring_active


def test_the_thread_measures_judges_and_tells(live: PerformanceMonitor) -> None:
    heard = Heard()
    live.add_alert_callback(heard)
    limits = {MetricType.ACTIVE_TASKS: {AlertLevel.WARNING: 0.5}}
    live.register_agent_profile(AgentPerformanceProfile("Architect", thresholds=limits))
    live.start_monitoring(1)
    live.start_task_tracking("Architect", "1")
    eventually(lambda: [a for a in heard if a.agent_name == "Architect"])
    live.end_task_tracking("Architect", "1")
    eventually(lambda: [a for a in heard if a.agent_name == "Architect" and a.resolved])
    assert live.metrics_history["system_memory_usage"]
    summary = live.get_system_performance_summary()
    assert None not in {summary[name] for name in ("cpu_usage", "memory_usage", "disk_io", "network_io")}


class Custom(PerformanceMonitor):
    """As the documentation of the original has it."""

    def __init__(self) -> None:
        super().__init__({"monitoring_interval": 1})
        self.asked: list[str] = []

    async def _collect_custom_metrics(self, agent_name: str) -> None:
        await asyncio.sleep(0)
        self.asked.append(agent_name)
        self._record_metric(agent_name, MetricType.CUSTOM, 42, "units")


class PlainCustom(PerformanceMonitor):
    def _collect_custom_metrics(self, agent_name: str) -> None:  # type: ignore[override]
        if agent_name == "Broken":
            raise LookupError(agent_name)
        self.log_metric("depth", 3, "count", agent_name)


@pytest.mark.parametrize(("kind", "series"), [(Custom, "custom:custom"), (PlainCustom, "custom:depth")])
def test_collectors_of_the_program_are_called_for_each_agent(
    kind: type[PerformanceMonitor], series: str, fresh_state: None
) -> None:
    monitor = kind()
    monitor.register_agent_profile(AgentPerformanceProfile("product-owner"))
    monitor.start_task_tracking("Broken", "1")
    monitor.start_monitoring(1)
    try:
        value = eventually(lambda: monitor.get_agent_performance_summary("ProductOwner")["current_metrics"].get(series))
        assert value["value"] in (42, 3)
        assert set(monitor.dropped) <= {"collector_errors"}
    finally:
        monitor.stop_monitoring()
        monitor.end_task_tracking("Broken", "1")


def test_a_collector_that_hangs_holds_up_nothing(fresh_state: None) -> None:
    release = threading.Event()

    def hangs(agent: str) -> None:
        release.wait(30)

    hooks = Hooks(hangs)
    hooks.run(["A"])
    hooks.run(["A"])
    hooks.run(["A"])
    assert hooks.dropped == {"collector_rounds": 2}
    release.set()
    assert hooks.wait(10)

    async def sleeps(agent: str) -> None:
        await asyncio.sleep(30)

    slow = Hooks(sleeps, timeout_s=0.01)
    slow.run(["A", "B"])
    assert slow.wait(10)
    assert slow.dropped == {"collector_timeouts": 2}


def test_a_callback_that_hangs_is_left_to_itself() -> None:
    release = threading.Event()
    heard = Heard()
    hung = Heard()

    def hangs(found: PerformanceAlert) -> None:
        release.wait(30)
        hung(found)

    callbacks = Callbacks(timeout_s=0.05)
    callbacks.callbacks += [hangs, heard]
    callbacks.tell(alert(1))
    eventually(lambda: (callbacks.watch(), len(heard) == 1)[1])
    callbacks.tell(alert(2))  # only to the one that returns
    eventually(lambda: len(heard) == 2)
    assert callbacks.wait(10)
    release.set()
    eventually(lambda: len(hung) == 1)
    eventually(lambda: not callbacks._stuck)
    callbacks.tell(alert(3))
    eventually(lambda: len(hung) == 2)
    assert [found.alert_id for found in heard[:2]] == ["1", "2"]
    assert callbacks.dropped == {"callback_timeouts": 1, "callback_alerts": 1}


def test_alerts_that_wait_are_bounded() -> None:
    release = threading.Event()
    heard = Heard()

    def waits(found: PerformanceAlert) -> None:
        release.wait(30)
        heard(found)

    callbacks = Callbacks()
    callbacks.callbacks.append(waits)
    for number in range(1500):
        callbacks.tell(alert(number))
    release.set()
    assert callbacks.wait(20)
    assert len(heard) + callbacks.dropped["callback_alerts"] == 1500
    assert heard[-1].alert_id == "1499"


def test_stopping_from_a_callback_does_not_wait_for_itself(live: PerformanceMonitor) -> None:
    stopped = threading.Event()

    def stop(found: PerformanceAlert) -> None:
        live.stop_monitoring()
        stopped.set()

    live.add_alert_callback(stop)
    limits = {MetricType.ACTIVE_TASKS: {AlertLevel.WARNING: 0.5}}
    live.register_agent_profile(AgentPerformanceProfile("Architect", thresholds=limits))
    live.start_task_tracking("Architect", "1")
    live.start_monitoring(1)
    assert stopped.wait(20)
    live.end_task_tracking("Architect", "1")


def test_there_is_one_monitor_however_many_threads_ask() -> None:
    program = """
import threading
from bmad_otel import get_performance_monitor
found = []
barrier = threading.Barrier(8)
def ask():
    barrier.wait()
    found.append(get_performance_monitor())
threads = [threading.Thread(target=ask) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert len({id(monitor) for monitor in found}) == 1
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


FORK = """
import os, time
from bmad_otel import AgentPerformanceProfile, get_performance_monitor, track_task

monitor = get_performance_monitor()
monitor.register_agent_profile(AgentPerformanceProfile("Architect"))
monitor.start_monitoring(1)


@track_task(agent="Architect")
def draw():
    pass


draw()
monitor.start_task_tracking("Architect", "of the parent")
assert monitor.get_agent_performance_summary("Architect")["tasks_total"] == 1
child = os.fork()
if child == 0:
    code = 1
    try:
        assert get_performance_monitor() is monitor
        assert monitor.monitoring_active
        draw()
        draw()
        monitor.end_task_tracking("Architect", "of the parent")
        assert monitor.dropped == {"unknown_task": 1}, monitor.dropped
        summary = monitor.get_agent_performance_summary("Architect")
        assert (summary["tasks_total"], summary["has_profile"]) == (2, True), summary
        code = 0
    finally:
        os._exit(code)
assert os.waitpid(child, 0)[1] == 0
monitor.end_task_tracking("Architect", "of the parent")
assert monitor.get_agent_performance_summary("Architect")["tasks_total"] == 2
assert monitor.dropped == {}
"""


def test_a_forked_child_begins_with_nothing_but_profiles() -> None:
    # Python 3.12 and newer warn of forks beside threads, which is what is tried here
    subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", FORK], check=True, timeout=60
    )


def test_a_program_that_monitors_ends_at_once() -> None:
    program = """
from bmad_otel import get_performance_monitor
monitor = get_performance_monitor()
monitor.start_monitoring(60)
monitor.start_task_tracking("Architect", "never ends")
"""
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)
    assert time.monotonic() - began_s < 20


def test_a_monitor_nobody_keeps_leaves_nothing_behind(fresh_state: None) -> None:
    import gc

    gc.collect()
    before = len(state.durations._sources)
    monitors = [PerformanceMonitor() for _ in range(5)]
    assert len(state.durations._sources) == before + 5
    monitors.clear()
    gc.collect()
    assert len(state.durations._sources) == before
