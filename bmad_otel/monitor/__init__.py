"""The performance monitor: what agents do, what is normal for them, when it is not, and how many are needed.

    from bmad_otel import get_performance_monitor

    monitor = get_performance_monitor()
    monitor.start_monitoring()
    monitor.add_alert_callback(lambda alert: print(alert.message))

The API is that of the BMAD performance monitor. `PerformanceMonitor` is the API itself, `_types` has its values;
`_open_tasks` and `_sayings` take what agents report, `_callbacks`, `_loop` and `_hooks` are the threads. A *host*
(`_host`) answers every question: `_embedded` feeds an engine in this process with what `_observe` reads, `_remote` asks
a collector.
"""

from bmad_otel.monitor._monitor import PerformanceMonitor
from bmad_otel.monitor._singleton import create_default_agent_profiles, get_performance_monitor
from bmad_otel.monitor._types import (
    AgentPerformanceProfile,
    AlertLevel,
    MetricType,
    PerformanceAlert,
    PerformanceMetric,
)

__all__ = [
    "AgentPerformanceProfile",
    "AlertLevel",
    "MetricType",
    "PerformanceAlert",
    "PerformanceMetric",
    "PerformanceMonitor",
    "create_default_agent_profiles",
    "get_performance_monitor",
]
