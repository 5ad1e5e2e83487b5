"""What the existing BMAD dashboard asks for at ``/api/performance``, from measured values.

Its shape, taken from the dashboard's own types: percent for ``cpu``, ``memory`` and ``errorRate``, milliseconds for
``responseTime`` (here the 95th percentile), tasks per second for ``throughput``, ISO 8601 times. A value nobody
measured is null; nothing is made up in its place. It knows four types of alert; ``/api/v1/alerts`` has all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from bmad_processor.measure import measure, panes_in_window
from bmad_processor.metric_types import CPU_USAGE, ERROR_RATE, MEMORY_USAGE, RESPONSE_TIME, THROUGHPUT
from bmad_processor.model import Level
from bmad_processor.settings import EngineSettings
from bmad_processor.state import Partition
from bmad_processor.store import Snapshot
from bmad_processor.summary import display

from .export import agent_labels

MAX_ALERTS: Final = 100

_ALERT_TYPES: Final = {
    CPU_USAGE: "high_cpu", MEMORY_USAGE: "high_memory", RESPONSE_TIME: "slow_response", ERROR_RATE: "high_error_rate",
}  # fmt: skip
_SEVERITIES: Final = {
    Level.INFO.label: "low", Level.WARNING.label: "medium", Level.CRITICAL.label: "high",
    Level.EMERGENCY.label: "critical",
}  # fmt: skip


def dashboard(store: Snapshot, now_ns: int) -> dict[str, list[dict[str, Any]]]:
    """``metrics``, one row per agent, and ``alerts``, firing ones first."""
    settings = store.settings()
    agents = [p for p in store.partitions() if p.key.kind == "agent"]
    labels = agent_labels(p.key for p in agents)
    by_key = {str(key): label for key, label in labels.items()}
    return {
        "metrics": [_metrics(p, labels[p.key], settings, now_ns) for p in agents],
        "alerts": _alerts(store.alerts(), by_key),
    }


def _metrics(partition: Partition, label: str, settings: EngineSettings, now_ns: int) -> dict[str, Any]:
    panes = panes_in_window(partition.panes, settings, now_ns)
    measured = measure(partition, panes, settings, end_ns=now_ns)

    def value(name: str) -> float | None:
        return display(name, measured[name].value) if name in measured else None

    response_s = value(RESPONSE_TIME)
    return {
        "agentId": label,
        "agentName": partition.key.name,
        "cpu": value(CPU_USAGE),
        "memory": value(MEMORY_USAGE),
        "responseTime": None if response_s is None else round(response_s * 1000, 3),
        "throughput": value(THROUGHPUT),
        "errorRate": value(ERROR_RATE),
        "timestamp": _iso(partition.last_seen_ns / 1e9),
    }


def _alerts(alerts: Sequence[dict[str, Any]], labels: dict[str, str]) -> list[dict[str, Any]]:
    known = [alert for alert in alerts if alert["metric_type"] in _ALERT_TYPES and alert["host"] is None]
    return [
        {
            "id": alert["alert_id"],
            "agentId": labels.get(alert["partition_key"], alert["agent_name"]),
            "type": _ALERT_TYPES[alert["metric_type"]],
            "severity": _SEVERITIES[alert["level"]],
            "message": alert["message"],
            "timestamp": _iso(alert["timestamp"]),
            "resolved": alert["resolved"],
        }
        for alert in known[:MAX_ALERTS]
    ]


def _iso(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
