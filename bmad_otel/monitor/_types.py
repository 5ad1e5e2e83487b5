"""The values of the monitor's API: metric types, levels, metrics, alerts and profiles.

Names, members and fields are those of the BMAD performance monitor. Units are what a person reads: percent, seconds,
bytes per second; inside everything is in base units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import total_ordering
from types import MappingProxyType
from typing import Any, Final


class MetricType(Enum):
    """What is measured of an agent or of the host, and in which unit it is shown."""

    CPU_USAGE = "cpu_usage"
    """Percent; of an agent, one core is 100 %."""
    MEMORY_USAGE = "memory_usage"
    """Percent of what the process may use; a threshold above 100 means MiB of resident memory."""
    DISK_IO = "disk_io"
    """Bytes per second."""
    NETWORK_IO = "network_io"
    """Bytes per second."""
    RESPONSE_TIME = "response_time"
    """Seconds, the 95th percentile of finished tasks."""
    THROUGHPUT = "throughput"
    """Finished tasks per second."""
    ERROR_RATE = "error_rate"
    """Percent of finished tasks."""
    SUCCESS_RATE = "success_rate"
    """Percent of finished tasks."""
    QUEUE_SIZE = "queue_size"
    """Tasks waiting."""
    ACTIVE_TASKS = "active_tasks"
    """Tasks running."""
    CUSTOM = "custom"
    """A value of the program's own, in a unit of its own."""


@total_ordering
class AlertLevel(Enum):
    """How bad it is, from what is worth knowing to what needs somebody now. Ordered; `severity_number` is OTLP's."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    EMERGENCY = "emergency"

    @property
    def severity_number(self) -> int:
        """9, 13, 17 or 21."""
        return 9 + 4 * _ORDER.index(self.value)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, AlertLevel):
            return NotImplemented
        return _ORDER.index(self.value) < _ORDER.index(other.value)


_ORDER: Final = ("info", "warning", "critical", "emergency")


@dataclass
class PerformanceMetric:
    """One value of one series."""

    metric_type: MetricType
    value: float
    unit: str
    timestamp: float
    """Seconds since the epoch; of a measured value the end of the interval it was judged in."""
    agent_name: str
    context: dict[str, Any] = field(default_factory=dict)
    """``n``: the tasks or readings it rests on; ``name`` of a custom metric."""


@dataclass
class PerformanceAlert:
    """One episode of one series being out of bounds."""

    alert_id: str
    """``{agent}_{metric}_{start in seconds}``, unique per episode and the same from firing to resolution."""
    level: AlertLevel
    message: str
    metric_type: MetricType
    current_value: float
    """In the unit of the metric type, as is ``threshold``."""
    threshold: float
    agent_name: str
    """``system`` for the host."""
    timestamp: float
    """When it began, seconds since the epoch."""
    resolved: bool = False
    resolution_time: float | None = None
    """When it was resolved, seconds since the epoch."""


@dataclass
class AgentPerformanceProfile:
    """What is normal for one agent, and when it needs more instances.

    What a profile does not say is inherited from the default profile, per metric type and level.
    """

    agent_name: str
    """In any spelling; ``system`` stands for the host."""
    baseline_metrics: dict[MetricType, float] = field(default_factory=dict)
    """Expected values, for people to read: the baselines that are judged by are learned."""
    thresholds: dict[MetricType, dict[AlertLevel, float]] = field(default_factory=dict)
    """Metric type to level to threshold, in the unit of the metric type. For throughput and success rate low is bad. A
    custom metric is named by a key ``"custom:<name>"`` in place of the metric type."""
    scaling_rules: dict[str, Any] = field(default_factory=dict)
    """``cpu_threshold`` and ``memory_threshold`` in percent, ``min_instances``, ``max_instances``."""
    monitoring_enabled: bool = True
    """Whether the agent is judged."""
    auto_scaling_enabled: bool = True
    """Whether scaling advice is given for it."""


_LEVELS: Final = (AlertLevel.WARNING, AlertLevel.CRITICAL, AlertLevel.EMERGENCY)

DEFAULT_THRESHOLDS: Final[Mapping[MetricType, Mapping[AlertLevel, float]]] = MappingProxyType(
    {
        metric_type: MappingProxyType(dict(zip(_LEVELS, values, strict=True)))
        for metric_type, values in {
            MetricType.CPU_USAGE: (70.0, 85.0, 95.0),
            MetricType.MEMORY_USAGE: (80.0, 90.0, 95.0),
            MetricType.RESPONSE_TIME: (5.0, 10.0, 30.0),
            MetricType.ERROR_RATE: (5.0, 10.0, 20.0),
            MetricType.QUEUE_SIZE: (100.0, 500.0, 1000.0),
        }.items()
    }
)
"""What an agent without a profile of its own is judged by; the engine's defaults in the units people read."""
