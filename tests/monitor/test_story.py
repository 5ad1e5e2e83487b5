"""What a user sees: tasks, alerts, callbacks, summaries, history, on virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bmad_otel import (
    AgentPerformanceProfile,
    AlertLevel,
    MetricType,
    PerformanceAlert,
    PerformanceMonitor,
    track_task,
)
from bmad_otel.monitor._singleton import seed_profiles
from bmad_otel.testing import ManualClock
from tests.monitor.conftest import Heard

Passing = Callable[[float], None]


def run(monitor: PerformanceMonitor, clock: ManualClock, agent: str, seconds: float, *, success: bool = True) -> None:
    monitor.start_task_tracking(agent, "t")
    clock.advance(seconds)
    monitor.end_task_tracking(agent, "t", success)


@pytest.fixture
def seeded(monitor: PerformanceMonitor) -> PerformanceMonitor:
    for profile in seed_profiles():
        monitor.register_agent_profile(profile)
    return monitor


def test_one_slow_task_is_one_alert_and_one_resolve(
    seeded: PerformanceMonitor, clock: ManualClock, passing: Passing
) -> None:
    heard = Heard()
    seeded.add_alert_callback(heard)
    run(seeded, clock, "ProductOwner", 9)
    passing(600)
    assert seeded.wait_for_callbacks()
    fired, resolved = heard
    assert (fired.level, fired.metric_type, fired.agent_name, fired.current_value, fired.threshold, fired.resolved) == (
        AlertLevel.CRITICAL, MetricType.RESPONSE_TIME, "ProductOwner", 9.0, 8.0, False,
    )  # fmt: skip
    assert fired.message == "Response time is 9.00s (threshold: 8.00s)"
    assert resolved.resolved
    assert resolved.alert_id == fired.alert_id
    assert resolved.resolution_time is not None
    assert resolved.resolution_time > resolved.timestamp == fired.timestamp
    assert seeded.alerts == [resolved]
    assert seeded.dropped == {}


def test_cooldown_keeps_a_series_silent_and_a_worse_level_breaks_it(
    seeded: PerformanceMonitor, clock: ManualClock, passing: Passing
) -> None:
    """A slow task a minute, with good ones in between that resolve the alert each time."""
    heard = Heard()
    seeded.add_alert_callback(heard)
    for _ in range(3):
        run(seeded, clock, "ProductOwner", 9)
        passing(5)
        for _ in range(40):
            run(seeded, clock, "ProductOwner", 0.1)
        passing(65)
    assert seeded.wait_for_callbacks()
    assert [(alert.level, alert.resolved) for alert in heard] == [
        (AlertLevel.CRITICAL, False), (AlertLevel.CRITICAL, True),
    ]  # fmt: skip
    run(seeded, clock, "ProductOwner", 31)  # an emergency by the default thresholds below the profile
    passing(5)
    assert seeded.wait_for_callbacks()
    assert heard[-1].level is AlertLevel.EMERGENCY


def test_tracked_functions_and_tracked_tasks_are_the_same_to_it(
    seeded: PerformanceMonitor, clock: ManualClock, passing: Passing
) -> None:
    class ProductOwnerAgent:
        agent_name = "product-owner"

        @track_task
        def write(self) -> None:
            clock.advance(2)

    ProductOwnerAgent().write()
    run(seeded, clock, "ProductOwner", 4)
    summary = seeded.get_agent_performance_summary("product_owner")
    assert summary["agent_name"] == "ProductOwner"
    assert summary["tasks_total"] == 2
    assert summary["current_metrics"]["response_time"] | {"as_of": 0} == {
        "value": pytest.approx(4, rel=0.02), "unit": "seconds", "n": 2, "level": None, "score": None, "as_of": 0,
        "is_stale": False,
    }  # fmt: skip
    assert summary["recommendations"] == ["Consider optimizing tasks to reduce response time"]


def test_failed_tasks_make_an_error_rate_that_decays(
    seeded: PerformanceMonitor, clock: ManualClock, passing: Passing
) -> None:
    for number in range(10):
        run(seeded, clock, "Architect", 0.1, success=number % 2 == 0)
    metrics = seeded.get_agent_performance_summary("Architect")["current_metrics"]
    assert (metrics["error_rate"]["value"], metrics["success_rate"]["value"]) == (50.0, 50.0)
    passing(65)
    for _ in range(10):
        run(seeded, clock, "Architect", 0.1)
    metrics = seeded.get_agent_performance_summary("Architect")["current_metrics"]
    assert (metrics["error_rate"]["value"], metrics["throughput"]["unit"]) == (0.0, "tasks/second")


def test_what_happened_while_nobody_looked_is_there_when_somebody_does(
    seeded: PerformanceMonitor, clock: ManualClock
) -> None:
    run(seeded, clock, "TestEngineer", 3)
    clock.advance(24 * 3600)
    summary = seeded.get_agent_performance_summary("TestEngineer")
    assert summary["tasks_total"] == 1
    assert summary["current_metrics"]["response_time"]["value"] == pytest.approx(3)
    run(seeded, clock, "TestEngineer", 5)
    clock.advance(3600)
    assert seeded.get_agent_performance_summary("TestEngineer")["tasks_total"] == 2


def test_summaries_have_the_keys_of_the_original(seeded: PerformanceMonitor, clock: ManualClock) -> None:
    run(seeded, clock, "Architect", 1)
    summary = seeded.get_agent_performance_summary("Architect")
    assert {"agent_name", "monitoring_enabled", "auto_scaling_enabled", "baseline_metrics", "current_metrics", "alerts",
            "recommendations"} <= summary.keys()  # fmt: skip
    system = seeded.get_system_performance_summary()
    assert {"cpu_usage", "memory_usage", "disk_io", "network_io", "active_agents", "total_alerts"} <= system.keys()
    assert system["active_agents"] == 1
    assert 0 < system["memory_usage"] < 100
    # an agent with a profile that has done nothing yet: the same keys, nothing in them
    idle = seeded.get_agent_performance_summary("TestEngineer")
    assert idle.keys() == summary.keys()
    assert (idle["current_metrics"], idle["monitoring_enabled"], idle["is_active"]) == ({}, True, False)
    assert idle["thresholds"]["response_time"] == {"warning": 10, "critical": 20, "emergency": 30}
    assert seeded.get_agent_performance_summary("Nobody") == {}


def test_history_is_kept_per_series_and_bounded(
    seeded: PerformanceMonitor, clock: ManualClock, passing: Passing
) -> None:
    run(seeded, clock, "Architect", 1)
    passing(10)
    history = seeded.metrics_history
    (metric,) = history["Architect_response_time"]
    assert (metric.metric_type, metric.value, metric.unit, metric.agent_name) == (
        MetricType.RESPONSE_TIME, 1.0, "seconds", "Architect",
    )  # fmt: skip
    assert metric.timestamp == pytest.approx(clock.unix_ns() / 1e9, abs=20)
    assert "Architect_response_time" in history
    assert "Architect_nothing" not in history
    assert "system_memory_usage" in set(history)
    assert len(history) == len(set(history))


def test_registering_a_profile_again_keeps_what_was_learned(
    seeded: PerformanceMonitor, clock: ManualClock, passing: Passing
) -> None:
    for _ in range(12):
        run(seeded, clock, "Architect", 1)
        passing(5)
    before = seeded.get_agent_performance_summary("Architect")
    assert before["baseline_metrics"]["response_time"] == pytest.approx(1, rel=0.02)
    points = len(seeded.metrics_history["Architect_response_time"])
    seeded.register_agent_profile(
        AgentPerformanceProfile("architect", thresholds={MetricType.RESPONSE_TIME: {AlertLevel.WARNING: 0.5}})
    )
    passing(5)
    after = seeded.get_agent_performance_summary("Architect")
    assert after["baseline_metrics"].keys() == before["baseline_metrics"].keys()
    assert after["tasks_total"] == before["tasks_total"]
    assert len(seeded.metrics_history["Architect_response_time"]) >= points
    (alert,) = seeded.alerts
    assert (alert.level, alert.threshold) == (AlertLevel.WARNING, 0.5)


def test_the_export_is_one_json_document(seeded: PerformanceMonitor, clock: ManualClock, passing: Passing) -> None:
    run(seeded, clock, "ProductOwner", 9)
    passing(60)
    document = json.loads(seeded.export_performance_data())
    assert {"timestamp", "system_summary", "agent_summaries", "recent_alerts"} <= document.keys()
    assert document["agent_summaries"]["ProductOwner"]["tasks_total"] == 1
    (alert,) = document["recent_alerts"]
    assert (alert["metric_type"], alert["current_value"], alert["threshold"]) == ("response_time", 9.0, 8.0)
    assert document["history"]["ProductOwner"]["response_time"]["unit"] == "seconds"
    assert 'bmad_agent_tasks_total{agent="ProductOwner",namespace=""} 1.0' in seeded.export_performance_data(
        "prometheus"
    )
    assert seeded.export_performance_data("csv").startswith("timestamp,agent,namespace,host,metric,value,unit,n")
    with pytest.raises(ValueError, match="format must be one of 'json'"):
        seeded.export_performance_data("xml")


def test_a_callback_that_fails_or_hangs_holds_up_no_other(
    seeded: PerformanceMonitor, clock: ManualClock, passing: Passing, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()

    def fails(alert: PerformanceAlert) -> None:
        raise RuntimeError("no network")

    async def waits(alert: PerformanceAlert) -> None:
        heard.append(alert)

    for callback in (fails, heard, waits):
        seeded.add_alert_callback(callback)
    run(seeded, clock, "ProductOwner", 9)
    passing(10)
    assert seeded.wait_for_callbacks()
    assert len(heard) == 2
    assert seeded.dropped == {"callback_errors": 1}
    assert "no network" in caplog.text
    seeded.remove_alert_callback(heard)
    seeded.remove_alert_callback(heard)
    assert seeded.alert_callbacks == [fails, waits]
    with pytest.raises(TypeError, match="must be callable"):
        seeded.add_alert_callback("slack")  # type: ignore[arg-type]
