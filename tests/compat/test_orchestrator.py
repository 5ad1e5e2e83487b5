"""`get_orchestrator`: what BMAD's documentation and command line ask."""

from __future__ import annotations

import json

import pytest

from bmad_otel import monitor as monitors
from bmad_otel import track_task
from bmad_otel.compat.orchestrator import PerformanceOrchestrator, get_orchestrator
from bmad_otel.monitor import AgentPerformanceProfile, AlertLevel, MetricType, PerformanceMonitor
from bmad_otel.testing import ManualClock, Telemetry


@pytest.fixture
def monitor(bmad_telemetry: Telemetry, bmad_clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> PerformanceMonitor:
    monkeypatch.delenv("BMAD_OTEL_ENDPOINT", raising=False)
    made = PerformanceMonitor()
    made.register_agent_profile(AgentPerformanceProfile("system", monitoring_enabled=False))
    thresholds = {MetricType.RESPONSE_TIME: {AlertLevel.WARNING: 3.0, AlertLevel.CRITICAL: 8.0}}
    made.register_agent_profile(AgentPerformanceProfile("ProductOwner", thresholds=thresholds))
    monkeypatch.setattr(monitors, "get_performance_monitor", lambda: made)
    return made


def run(clock: ManualClock, agent: str, seconds: float, *, fails: bool = False) -> None:
    with track_task(name="work", agent=agent) as task:
        clock.advance(seconds)
        if fails:
            task.fail("no")


def test_the_questions_of_the_documentation_are_answered(monitor: PerformanceMonitor, bmad_clock: ManualClock) -> None:
    orchestrator = PerformanceOrchestrator()
    run(bmad_clock, "ProductOwner", 9)
    run(bmad_clock, "Architect", 1)
    run(bmad_clock, "ProductOwner", 1, fails=True)
    bmad_clock.advance(5)
    monitor.collect()
    bmad_clock.advance(5)
    monitor.collect()
    assert set(orchestrator.get_system_performance_summary()) >= {
        "cpu_usage", "memory_usage", "disk_io", "network_io", "active_agents", "total_alerts",
    }  # fmt: skip
    assert orchestrator.get_agent_performance_summary("product-owner")["monitoring_enabled"] is True
    alerts = orchestrator.get_performance_alerts()
    assert alerts
    slow = orchestrator.get_performance_alerts("product-owner", "CRITICAL")
    assert [alert["metric_type"] for alert in slow if alert["metric_type"] == "response_time"] == ["response_time"]
    assert {alert["agent_name"] for alert in slow} == {"ProductOwner"}
    assert set(slow[0]) >= {"alert_id", "level", "message", "current_value", "threshold", "timestamp", "resolved"}
    assert orchestrator.get_performance_alerts("Architect", level="critical") == []
    with pytest.raises(ValueError, match="dreadful"):
        orchestrator.get_performance_alerts(level="dreadful")
    metrics = orchestrator.get_agent_performance_metrics("product-owner")
    assert (metrics["total_requests"], metrics["failed_requests"], metrics["success_rate"]) == (2, 1, 0.5)
    assert 1.0 <= metrics["avg_response_time"] <= 9.5
    assert metrics["recent_alerts"][0]["agent_name"] == "ProductOwner"
    assert orchestrator.get_agent_performance_metrics("Nobody") == {}
    monitor.register_agent_profile(AgentPerformanceProfile("RnD"))
    assert orchestrator.get_agent_performance_metrics("RnD") == {}
    assert json.loads(orchestrator.export_performance_data())["agent_summaries"]


def test_monitoring_is_started_and_stopped(monitor: PerformanceMonitor) -> None:
    orchestrator = PerformanceOrchestrator()
    orchestrator.start_performance_monitoring(interval=1.0)
    assert monitor.monitoring_active
    orchestrator.stop_performance_monitoring()
    assert not monitor.monitoring_active
    with pytest.raises(ValueError, match="interval"):
        orchestrator.start_performance_monitoring(interval=0)


def test_there_is_one_orchestrator() -> None:
    assert get_orchestrator() is get_orchestrator()
