"""Tasks started and ended by name: real spans, any order, any thread, and none kept for ever."""

from __future__ import annotations

import logging
import threading

import pytest
from opentelemetry import trace

from bmad_otel import PerformanceMonitor, track_task
from bmad_otel.monitor import _open_tasks
from bmad_otel.monitor._open_tasks import MAX_AGE_S
from bmad_otel.testing import ManualClock, Telemetry

TREE = """\
invoke_agent Orchestrator (run): ok
  invoke_agent ProductOwner (task): ok
  invoke_agent Architect (task): error task_error"""


def active(monitor: PerformanceMonitor, agent: str) -> float:
    value = monitor.get_agent_performance_summary(agent)["current_metrics"]["active_tasks"]["value"]
    assert isinstance(value, float)
    return value


def test_a_pair_is_a_span_and_overlaps_in_any_order(clock: ManualClock, bmad_telemetry: Telemetry) -> None:
    monitor = PerformanceMonitor()

    @track_task(agent="Orchestrator")
    def run() -> None:
        around = trace.get_current_span()
        first = monitor.start_task_tracking("product-owner", "workflow_123_task_456")
        assert trace.get_current_span() is around  # the pair makes nothing current
        assert (first.agent, first.is_running) == ("ProductOwner", True)
        clock.advance(1)
        monitor.start_task_tracking("Architect", "workflow_123_task_457")
        clock.advance(1)
        monitor.end_task_tracking("ProductOwner", "workflow_123_task_456")
        assert not first.is_running
        clock.advance(1)
        thread = threading.Thread(
            target=monitor.end_task_tracking, args=("ArchitectAgent", "workflow_123_task_457", False)
        )
        thread.start()
        thread.join()

    run()
    assert bmad_telemetry.tree().rstrip() == TREE
    task = bmad_telemetry.task("ProductOwner")
    assert task.attributes["bmad.task.id"] == "workflow_123_task_456"
    assert task.duration_s == 2
    assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration", agent="Architect").count == 1
    assert monitor.dropped == {}


def test_two_agents_may_use_the_same_id(monitor: PerformanceMonitor, clock: ManualClock) -> None:
    for agent in ("Architect", "TestEngineer"):
        monitor.start_task_tracking(agent, "1")
    assert (active(monitor, "Architect"), active(monitor, "TestEngineer")) == (1, 1)
    for agent in ("Architect", "TestEngineer"):
        monitor.end_task_tracking(agent, "1")
    clock.advance(5)
    monitor.collect()
    clock.advance(60)
    assert (active(monitor, "Architect"), active(monitor, "TestEngineer")) == (0, 0)
    assert monitor.dropped == {}


def test_an_unknown_id_is_counted_and_told_once(monitor: PerformanceMonitor, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "bmad_otel"):
        monitor.end_task_tracking("Architect", "never")
        monitor.end_task_tracking("Architect", "nor this")
    assert monitor.dropped == {"unknown_task": 2}
    assert sum("no such task" in record.message for record in caplog.records) <= 1


def test_the_same_id_again_begins_anew(clock: ManualClock, bmad_telemetry: Telemetry) -> None:
    monitor = PerformanceMonitor()
    monitor.start_task_tracking("Architect", "1")
    clock.advance(100)
    monitor.start_task_tracking("Architect", "1")
    clock.advance(2)
    monitor.end_task_tracking("Architect", "1")
    first, second = bmad_telemetry.tasks("Architect")
    assert (first.outcome, second.outcome, second.duration_s) == ("closed_early", "ok", 2)
    assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration").count == 1
    assert monitor.get_agent_performance_summary("Architect")["current_metrics"]["response_time"]["value"] == 2
    assert monitor.dropped == {"restarted": 1}


def test_forgotten_tasks_are_given_up(monitor: PerformanceMonitor, clock: ManualClock) -> None:
    for number in range(1000):
        monitor.start_task_tracking("Architect", f"{number}")
    clock.advance(MAX_AGE_S)
    monitor.start_task_tracking("Architect", "young")
    assert active(monitor, "Architect") == 1001
    clock.advance(1)
    monitor.collect()
    clock.advance(60)
    assert active(monitor, "Architect") == 1
    assert monitor.dropped == {"expired": 1000}
    monitor.end_task_tracking("Architect", "young")


def test_open_tasks_are_bounded(monitor: PerformanceMonitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_open_tasks, "MAX_OPEN", 10)
    handles = [monitor.start_task_tracking("Architect", f"{number}") for number in range(15)]
    assert [handle.is_running for handle in handles] == [False] * 5 + [True] * 10
    assert monitor.dropped == {"too_many_open": 5}


def test_many_threads_lose_nothing(monitor: PerformanceMonitor) -> None:
    def work(number: int) -> None:
        for task in range(200):
            monitor.start_task_tracking("Architect", f"{number}/{task}")
            monitor.log_metric("steps", task, "count", "Architect")
            monitor.end_task_tracking("Architect", f"{number}/{task}", task % 2 == 0)
            if task % 50 == 0:
                monitor.collect()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    summary = monitor.get_agent_performance_summary("Architect")
    assert (summary["tasks_total"], summary["errors_total"]) == (1600, 800)
    assert monitor.get_system_performance_summary()["dropped"] == {}
    assert monitor.dropped == {}
