"""Standard OpenTelemetry spans and metrics for the tasks of Python agents.

    from bmad_otel import configure, track_task

    class Research:
        @track_task
        async def summarise(self, paper): ...

    configure(service_name="library")

Every call of `summarise` becomes a span ``invoke_agent Research`` and a point of the histogram
``gen_ai.invoke_agent.duration``; what runs now, for how long, and the CPU time it takes are metrics too. The names are
in `bmad_otel.semconv`. `track_task` alone needs no `configure`: it reports to whatever OpenTelemetry providers the
program has, and costs next to nothing when there are none. Nothing happens on import.

The performance monitor (`get_performance_monitor`) is loaded when one of its names is first used; see
`bmad_otel.monitor`.
"""

from typing import TYPE_CHECKING, Any

from bmad_otel._classes import instrument_agent
from bmad_otel._configure import configure, diagnostics, force_flush, shutdown
from bmad_otel._content import Capture
from bmad_otel._diagnostics import Diagnostics
from bmad_otel._handle import TaskHandle, Usage, current_task
from bmad_otel._queues import observe_queue
from bmad_otel._track import track_task, track_tool, track_workflow
from bmad_otel._version import __version__
from bmad_otel.semconv import Operation, Outcome

if TYPE_CHECKING:
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
    "configure",
    "shutdown",
    "force_flush",
    "diagnostics",
    "Diagnostics",
    "track_task",
    "track_tool",
    "track_workflow",
    "instrument_agent",
    "current_task",
    "TaskHandle",
    "Usage",
    "Capture",
    "observe_queue",
    "Operation",
    "Outcome",
    "get_performance_monitor",
    "create_default_agent_profiles",
    "PerformanceMonitor",
    "AgentPerformanceProfile",
    "PerformanceMetric",
    "PerformanceAlert",
    "MetricType",
    "AlertLevel",
    "__version__",
]

_OF_MONITOR = frozenset(
    {
        "AgentPerformanceProfile",
        "AlertLevel",
        "MetricType",
        "PerformanceAlert",
        "PerformanceMetric",
        "PerformanceMonitor",
        "create_default_agent_profiles",
        "get_performance_monitor",
    }
)


def __getattr__(name: str) -> Any:
    # the monitor needs the SDK of OpenTelemetry, which a program that only tracks its agents does not import
    if name in _OF_MONITOR:
        from bmad_otel import monitor

        return getattr(monitor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
