"""Stands in for BMAD's performance monitor: the module's names, and its habit of registering three profiles on import.

    import sys
    import bmad_otel.compat.bmad

    sys.modules["bmad.agents.core.agent.agent_performance_monitor"] = bmad_otel.compat.bmad

The classes are those of `bmad_otel.monitor`.
"""

from bmad_otel.monitor import (
    AgentPerformanceProfile,
    AlertLevel,
    MetricType,
    PerformanceAlert,
    PerformanceMetric,
    PerformanceMonitor,
    create_default_agent_profiles,
    get_performance_monitor,
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

create_default_agent_profiles()
