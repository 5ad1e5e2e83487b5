"""The monitor BMAD's service locator makes: operations that somebody else has timed, and warnings about them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import psutil

from bmad_otel import _guard
from bmad_otel.compat._forks import follow

if TYPE_CHECKING:
    from bmad_otel.compat.metrics_collector import MetricsCollector

MAX_AGENTS: Final = 1000
MAX_RECORDS: Final = 1000  # operations kept of each agent: what BMAD keeps
MAX_ALERTS: Final = 100  # likewise

_DEFAULT_THRESHOLDS: Final = {"response_time": 5.0, "memory_usage": 512.0, "cpu_usage": 80.0, "error_rate": 0.05}
"""Seconds, MB, percent, ratio: BMAD's own."""

_PROFILE_KEYS: Final = {
    "response_time": "response_time_threshold",
    "memory_usage": "memory_threshold",
    "cpu_usage": "cpu_threshold",
}


class PerformanceMonitor:
    """Operations by agent with their mean, least and longest duration, and an alert for each that is over its limit.

    What is recorded here is what the program says, so it goes to instruments of its own (``bmad_agent_<operation>
    _duration``, see `MetricsCollector`) and never into the measured durations of agents' tasks.

    An agent's alert of one type stands until a record is within the limit again: it is then ``resolved``, and only the
    next one over the limit is a new alert.
    """

    def __init__(self) -> None:
        from bmad_otel.compat.metrics_collector import MetricsCollector

        self.metrics_collector: MetricsCollector = MetricsCollector()
        self.agent_profiles: dict[str, dict[str, Any]] = {}
        self.alert_thresholds = dict(_DEFAULT_THRESHOLDS)
        self.performance_alerts: deque[dict[str, Any]] = deque(maxlen=MAX_ALERTS)
        self.performance_history: dict[str, deque[dict[str, Any]]] = {}
        self.dropped = 0
        """Records of agents beyond `MAX_AGENTS`, and records without a number for a duration."""
        self._standing: dict[tuple[str, str], dict[str, Any]] = {}
        self._lock = threading.RLock()
        self._cpu_times = _cpu_times()
        follow(self)

    def after_fork_in_child(self) -> None:
        """Called by itself in a forked child, which goes on with the records of its parent."""
        self._lock = threading.RLock()

    def register_agent_profile(self, agent_name: str, profile: Mapping[str, Any]) -> None:
        """Set an agent's limits: ``response_time_threshold`` in seconds, ``memory_threshold`` in MB, ``cpu_threshold``
        in percent."""
        with self._lock:
            self.agent_profiles[str(agent_name)] = dict(profile)

    def record_agent_performance(
        self,
        agent_name: str,
        operation: str,
        duration: float,
        success: bool = True,
        memory_usage: float | None = None,
        cpu_usage: float | None = None,
    ) -> None:
        """Record one operation: ``duration`` in seconds, ``memory_usage`` in MB, ``cpu_usage`` in percent."""
        try:
            record: dict[str, Any] = {
                "timestamp": time.time(),
                "agent": str(agent_name),
                "operation": str(operation),
                "duration": float(duration),
                "success": bool(success),
                "memory_usage": None if memory_usage is None else float(memory_usage),
                "cpu_usage": None if cpu_usage is None else float(cpu_usage),
            }
            with self._lock:
                if agent_name not in self.performance_history and len(self.performance_history) >= MAX_AGENTS:
                    self.dropped += 1
                    return
                self.performance_history.setdefault(record["agent"], deque(maxlen=MAX_RECORDS)).append(record)
                self._judge(record)
            self._report(record)
        except (TypeError, ValueError):
            self.dropped += 1
        except Exception as error:  # noqa: BLE001 - the program goes on whatever it handed over
            _guard.contain("recording an operation", error)

    def get_agent_performance_summary(self, agent_name: str) -> dict[str, Any]:
        """Keys ``agent``, ``total_operations``, ``success_rate`` (0 to 1), ``avg_duration``, ``min_duration``,
        ``max_duration`` (seconds, over the operations kept) and ``recent_alerts``; or ``agent`` and ``no_data``."""
        with self._lock:
            records = list(self.performance_history.get(agent_name, ()))
            alerts = [dict(alert) for alert in self.performance_alerts if alert["agent"] == agent_name]
        if not records:
            return {"agent": agent_name, "no_data": True}
        durations = [record["duration"] for record in records]
        return {
            "agent": agent_name,
            "total_operations": len(records),
            "success_rate": sum(record["success"] for record in records) / len(records),
            "avg_duration": sum(durations) / len(durations),
            "min_duration": min(durations),
            "max_duration": max(durations),
            "recent_alerts": alerts[-5:],
        }

    def get_system_performance_summary(self) -> dict[str, Any]:
        """The host, each agent known, and the alerts. ``cpu_usage`` is the mean since somebody asked last, None if that
        was a moment ago; ``memory_available`` in GiB."""
        memory = psutil.virtual_memory()
        with self._lock:
            agents = sorted({*self.agent_profiles, *self.performance_history})
            alerts = [dict(alert) for alert in self.performance_alerts]
            cpu_usage = self._cpu_usage()
        return {
            "system": {
                "cpu_usage": cpu_usage,
                "memory_usage": memory.percent,
                "memory_available": memory.available / 1024**3,
                "timestamp": time.time(),
            },
            "agents": {agent: self.get_agent_performance_summary(agent) for agent in agents},
            "recent_alerts": alerts[-10:],
            "total_alerts": len(alerts),
        }

    def _judge(self, record: dict[str, Any]) -> None:
        agent, operation = record["agent"], record["operation"]
        texts: dict[str, tuple[str, Callable[[float], str]]] = {
            "response_time": ("duration", lambda value: f"Agent {agent} operation {operation} took {value:.2f}s"),
            "memory_usage": ("memory_usage", lambda value: f"Agent {agent} using {value:.1f}MB memory"),
            "cpu_usage": ("cpu_usage", lambda value: f"Agent {agent} using {value:.1f}% CPU"),
        }
        for kind, (member, text) in texts.items():
            value = record[member]
            if value is None:
                continue
            limit = float(self.agent_profiles.get(agent, {}).get(_PROFILE_KEYS[kind], self.alert_thresholds[kind]))
            standing = self._standing.get((agent, kind))
            if value <= limit:
                if standing is not None:
                    standing["resolved"] = True
                    del self._standing[agent, kind]
            elif standing is None:
                alert = {
                    "type": kind,
                    "severity": "warning",
                    "message": text(value),
                    "timestamp": record["timestamp"],
                    "agent": agent,
                    "resolved": False,
                }
                self._standing[agent, kind] = alert
                self.performance_alerts.append(alert)

    def _report(self, record: dict[str, Any]) -> None:
        collector, labels = self.metrics_collector, {"agent": record["agent"]}
        collector.record_histogram(
            f"agent_{record['operation']}_duration", record["duration"], {**labels, "success": str(record["success"])}
        )
        for member in ("memory_usage", "cpu_usage"):
            if record[member] is not None:
                collector.record_metric(f"agent_{member}", record[member], labels)

    def _cpu_usage(self) -> float | None:
        before, self._cpu_times = self._cpu_times, _cpu_times()
        busy_s, all_s = (now - earlier for now, earlier in zip(self._cpu_times, before, strict=True))
        return None if all_s <= 0 else min(100.0, max(0.0, 100.0 * busy_s / all_s))


def _cpu_times() -> tuple[float, float]:
    """CPU time of the host that was used, and all there was, in seconds."""
    times = psutil.cpu_times()._asdict()
    # Linux counts guests in user time as well
    total_s = sum(value for name, value in times.items() if not name.startswith("guest"))
    return total_s - times["idle"] - times.get("iowait", 0.0), total_s
