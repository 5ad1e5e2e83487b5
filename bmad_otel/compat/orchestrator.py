"""The helper BMAD's documentation speaks of: `get_orchestrator`, whose questions the process's monitor answers.

from bmad.agents.core.integrated_workflow_orchestrator import get_orchestrator   # after instrument_bmad()

orchestrator = get_orchestrator()
orchestrator.start_performance_monitoring(interval=5.0)
summary = orchestrator.get_system_performance_summary()
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from bmad_otel.monitor._names import canonical

if TYPE_CHECKING:
    from bmad_otel.monitor import PerformanceAlert, PerformanceMonitor

_RECENT: Final = 5
"""Alerts in `get_agent_performance_metrics`: as many as BMAD's command line prints."""


class PerformanceOrchestrator:
    """The performance part of BMAD's workflow orchestrator, over `bmad_otel.monitor.get_performance_monitor`."""

    @property
    def performance_monitor(self) -> PerformanceMonitor:
        """The process's monitor."""
        from bmad_otel.monitor import get_performance_monitor

        return get_performance_monitor()

    def start_performance_monitoring(self, interval: float = 5.0) -> None:
        """Judge all agents every ``interval`` seconds, in the background. Raises ValueError as the monitor does."""
        self.performance_monitor.start_monitoring(interval)

    def stop_performance_monitoring(self) -> None:
        """Stop what `start_performance_monitoring` started."""
        self.performance_monitor.stop_monitoring()

    def get_system_performance_summary(self) -> dict[str, Any]:
        """Keys ``cpu_usage``, ``memory_usage`` (percent), ``disk_io``, ``network_io`` (bytes), ``active_agents``,
        ``total_alerts``; what is not known yet is None."""
        return self.performance_monitor.get_system_performance_summary()

    def get_agent_performance_summary(self, agent_name: str) -> dict[str, Any]:
        """What the monitor knows of an agent (see `PerformanceMonitor.get_agent_performance_summary`)."""
        return self.performance_monitor.get_agent_performance_summary(agent_name)

    def get_performance_alerts(self, agent_name: str | None = None, level: str | None = None) -> list[dict[str, Any]]:
        """Alerts, the oldest first, of this agent under any of its names and of this level: ``info``, ``warning``,
        ``critical`` or ``emergency``, in any case. Raises ValueError for any other level."""
        from bmad_otel.monitor import AlertLevel

        wanted = None if level is None else AlertLevel(str(getattr(level, "value", level)).lower())
        agent = None if agent_name is None else canonical(agent_name)
        return [
            _described(alert)
            for alert in self.performance_monitor.alerts
            if (agent is None or canonical(alert.agent_name) == agent) and wanted in (None, alert.level)
        ]

    def get_agent_performance_metrics(self, agent_name: str) -> dict[str, Any]:
        """Keys ``success_rate`` (0 to 1, of the last minute, else of all there was), ``avg_response_time`` (seconds,
        the median of the last minute), ``total_requests``, ``failed_requests``, ``total_cost``, ``recent_alerts``.

        Empty for an agent nothing was measured of. A single value that was not is left out, so that
        ``metrics.get("avg_response_time", 0)`` works.
        """
        summary = self.get_agent_performance_summary(agent_name)
        if not summary:
            return {}
        total, failed = summary.get("tasks_total") or 0, summary.get("errors_total") or 0
        rate = _value(summary.get("current_metrics") or {}, "success_rate")
        found = {
            "success_rate": rate / 100 if rate is not None else (total - failed) / total if total else None,
            "avg_response_time": (summary.get("response_times") or {}).get("p50_s"),
            "total_requests": total or None,
            "failed_requests": failed if total else None,
            "total_cost": (summary.get("cost") or {}).get("amount"),
        }
        alerts = self.get_performance_alerts(agent_name)
        if not total and not alerts:
            return {}  # a profile and a price list alone are no performance
        metrics = {name: value for name, value in found.items() if value is not None}
        return {**metrics, "recent_alerts": alerts[-_RECENT:]}

    def export_performance_data(self, format: str = "json") -> str:  # noqa: A002 - BMAD's name
        """All the monitor knows, as text. Raises ValueError for a format there is none of."""
        return self.performance_monitor.export_performance_data(format)


class _Process:
    """The orchestrator of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.orchestrator: PerformanceOrchestrator | None = None


_process: Final = _Process()


def get_orchestrator() -> PerformanceOrchestrator:
    """The orchestrator of this process, the same at every call."""
    with _process.lock:
        if _process.orchestrator is None:
            _process.orchestrator = PerformanceOrchestrator()
        return _process.orchestrator


def _described(alert: PerformanceAlert) -> dict[str, Any]:
    return {
        "alert_id": alert.alert_id,
        "level": alert.level.value,
        "message": alert.message,
        "agent_name": alert.agent_name,
        "metric_type": alert.metric_type.value,
        "current_value": alert.current_value,
        "threshold": alert.threshold,
        "timestamp": alert.timestamp,
        "resolved": alert.resolved,
        "resolution_time": alert.resolution_time,
    }


def _value(current: dict[str, Any], name: str) -> float | None:
    found = current.get(name)
    value = found.get("value") if isinstance(found, dict) else found
    return float(value) if isinstance(value, int | float) else None
