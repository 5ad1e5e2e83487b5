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
"""

from bmad_otel._classes import instrument_agent
from bmad_otel._configure import configure, diagnostics, force_flush, shutdown
from bmad_otel._content import Capture
from bmad_otel._diagnostics import Diagnostics
from bmad_otel._handle import TaskHandle, Usage, current_task
from bmad_otel._queues import observe_queue
from bmad_otel._track import track_task, track_tool, track_workflow
from bmad_otel._version import __version__
from bmad_otel.semconv import Operation, Outcome

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
    "__version__",
]
