"""What is measured, learned and judged."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from bmad_otel import AgentPerformanceProfile, AlertLevel, MetricType, PerformanceMonitor, track_task
from bmad_otel.testing import ManualClock
from tests.monitor.conftest import quiet_monitor

Passing = Callable[[float], None]


def run(monitor: PerformanceMonitor, clock: ManualClock, agent: str, seconds: float, *, success: bool = True) -> None:
    monitor.start_task_tracking(agent, "t")
    clock.advance(seconds)
    monitor.end_task_tracking(agent, "t", success)


def test_an_agent_has_a_cpu_usage_of_its_own_and_its_threshold_is_alive(
    monitor: PerformanceMonitor, clock: ManualClock, passing: Passing
) -> None:
    monitor.register_agent_profile(
        AgentPerformanceProfile("BackendDeveloper", thresholds={MetricType.CPU_USAGE: {AlertLevel.WARNING: 0.5}})
    )

    @track_task(agent="BackendDeveloper")
    def compile_it() -> None:
        end = time.thread_time() + 0.5
        while time.thread_time() < end:
            pass

    for _ in range(3):
        compile_it()
        run(monitor, clock, "FrontendDeveloper", 1)
        passing(5)
    cpu = monitor.get_agent_performance_summary("BackendDeveloper")["current_metrics"]["cpu_usage"]
    assert 1 < cpu["value"] < 50
    assert cpu["unit"] == "%"
    assert [(alert.agent_name, alert.metric_type) for alert in monitor.alerts] == [
        ("BackendDeveloper", MetricType.CPU_USAGE)
    ]


def test_throughput_is_recorded(monitor: PerformanceMonitor, clock: ManualClock, passing: Passing) -> None:
    for _ in range(12):
        run(monitor, clock, "Architect", 1)
        passing(5)
    rate = monitor.get_agent_performance_summary("Architect")["current_metrics"]["throughput"]
    assert (rate["value"], rate["unit"]) == (pytest.approx(1 / 6, rel=0.2), "tasks/second")


def test_an_idle_agent_has_no_queue_and_an_overloaded_one_has_its_real_one(
    monitor: PerformanceMonitor, clock: ManualClock, passing: Passing
) -> None:
    """The simulated one was 10 when idle and 0 when overloaded."""
    run(monitor, clock, "Architect", 1)
    passing(5)
    metrics = monitor.get_agent_performance_summary("Architect")["current_metrics"]
    assert "queue_size" not in metrics
    assert metrics["active_tasks"]["value"] == 0
    for number in range(20):
        monitor.start_task_tracking("Architect", f"t{number}")
    passing(5)
    metrics = monitor.get_agent_performance_summary("Architect")["current_metrics"]
    assert "queue_size" not in metrics
    assert metrics["active_tasks"]["value"] > 0


def test_no_sample_is_judged_or_learned_twice(
    monitor: PerformanceMonitor, clock: ManualClock, passing: Passing
) -> None:
    for _ in range(12):
        run(monitor, clock, "Architect", 2)
        passing(5)
    passing(10)
    before = monitor.get_agent_performance_summary("Architect")["baseline_metrics"]["response_time"]
    points = len(monitor.metrics_history["Architect_response_time"])
    passing(300)
    after = monitor.get_agent_performance_summary("Architect")["baseline_metrics"]
    assert after["response_time"] == before
    assert len(monitor.metrics_history["Architect_response_time"]) == points == 12


def test_a_condition_has_one_alert_of_its_highest_level_however_long_it_lasts(
    monitor: PerformanceMonitor, clock: ManualClock, passing: Passing
) -> None:
    """31 s exceed warning, critical and emergency of the default thresholds."""
    for _ in range(10):
        run(monitor, clock, "Anybody", 31)
        passing(30)
    (alert,) = monitor.alerts
    assert (alert.level, alert.metric_type) == (AlertLevel.EMERGENCY, MetricType.RESPONSE_TIME)
    assert not alert.resolved


def test_alert_ids_are_unique(monitor: PerformanceMonitor, clock: ManualClock, passing: Passing) -> None:
    """Several agents and metrics in the same second, and several episodes of one."""
    for _ in range(3):
        for agent in ("Architect", "ProductOwner", "TestEngineer"):
            for _ in range(6):
                monitor.start_task_tracking(agent, "t")
            clock.advance(5)
        for agent in ("Architect", "ProductOwner", "TestEngineer"):
            for number in range(6):
                monitor.start_task_tracking(agent, f"t{number}")
            clock.advance(40)
            for number in range(6):
                monitor.end_task_tracking(agent, f"t{number}", success=False)
        passing(700)
    ids = [alert.alert_id for alert in monitor.alerts]
    assert len(ids) >= 12
    assert len(set(ids)) == len(ids)


def test_alerts_are_bounded(clock: ManualClock, fresh_state: None) -> None:
    monitor = quiet_monitor(max_alerts=5)
    for number in range(12):
        run(monitor, clock, f"Agent{number}", 31)
    for _ in range(8):
        clock.advance(5)
        monitor.collect()
    assert len(monitor.alerts) == 5


def test_a_threshold_of_any_metric_is_judged(monitor: PerformanceMonitor, clock: ManualClock, passing: Passing) -> None:
    """Throughput and running tasks had no direction and could never alert."""
    levels = {MetricType.THROUGHPUT: {AlertLevel.WARNING: 10.0}, MetricType.ACTIVE_TASKS: {AlertLevel.WARNING: 2.0}}
    monitor.register_agent_profile(AgentPerformanceProfile("Architect", thresholds=levels))
    run(monitor, clock, "Architect", 1)
    for number in range(5):
        monitor.start_task_tracking("Architect", f"t{number}")
    passing(60)
    found = {alert.metric_type: alert for alert in monitor.alerts}
    assert found.keys() == {MetricType.THROUGHPUT, MetricType.ACTIVE_TASKS}
    # thresholds of other metrics stay those of the defaults below
    assert monitor.get_agent_performance_summary("Architect")["thresholds"]["response_time"]["emergency"] == 30


def test_nothing_measured_is_nothing_shown(monitor: PerformanceMonitor) -> None:
    """No constants, no numbers made of the agent's name."""
    monitor.register_agent_profile(AgentPerformanceProfile("Architect"))
    summary = monitor.get_agent_performance_summary("Architect")
    assert (summary["current_metrics"], summary["baseline_metrics"], summary["recommendations"]) == ({}, {}, [])
    assert monitor.get_agent_performance_summary("Nobody") == {}
    assert monitor.alerts == []


def test_an_agent_that_is_not_to_be_watched_is_measured_and_not_judged(
    monitor: PerformanceMonitor, clock: ManualClock, passing: Passing
) -> None:
    monitor.register_agent_profile(AgentPerformanceProfile("Architect", monitoring_enabled=False))
    run(monitor, clock, "Architect", 31)
    passing(15)
    summary = monitor.get_agent_performance_summary("Architect")
    assert summary["monitoring_enabled"] is False
    assert summary["current_metrics"]["response_time"]["value"] == pytest.approx(31, rel=0.02)
    assert monitor.alerts == []


def test_scaling_rules_are_followed(monitor: PerformanceMonitor, clock: ManualClock, passing: Passing) -> None:
    rules = {"cpu_threshold": None, "memory_threshold": 0.01, "max_instances": 2}
    monitor.register_agent_profile(AgentPerformanceProfile("Architect", scaling_rules=rules))
    run(monitor, clock, "Architect", 1)
    passing(30)
    advice = monitor.get_agent_performance_summary("Architect")["scaling"]
    assert (advice["action"], advice["current"], advice["desired"], advice["max"]) == ("scale_up", 1, 2, 2)
    assert advice["reason"].startswith("memory_usage ")


def test_an_agent_that_is_not_to_be_scaled_gets_no_hint(
    monitor: PerformanceMonitor, clock: ManualClock, passing: Passing
) -> None:
    rules = {"memory_threshold": 0.01}
    monitor.register_agent_profile(
        AgentPerformanceProfile("Architect", scaling_rules=rules, auto_scaling_enabled=False)
    )
    run(monitor, clock, "Architect", 1)
    passing(30)
    summary = monitor.get_agent_performance_summary("Architect")
    assert (summary["auto_scaling_enabled"], summary["scaling"]["desired"]) == (False, None)
