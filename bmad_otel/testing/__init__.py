"""For the tests of your own agents: what their tracked functions report, without a backend.

With pytest nothing is to be set up; ask for a fixture:

    def test_a_plan_searches_once(bmad_telemetry):
        Planner().plan("a trip")
        plan = bmad_telemetry.task("Planner", "plan")
        assert plan.outcome == "ok"
        assert [child.task for child in plan.children] == ["search"]

`bmad_telemetry` is a `Telemetry`; `bmad_clock` is a `ManualClock` that makes every duration what the test says. Without
pytest, `capture` is the same as a context manager. `bmad_otel` itself never imports this package, and importing it
imports neither pytest nor the OpenTelemetry SDK.
"""

from __future__ import annotations

from bmad_otel.testing._capture import capture
from bmad_otel.testing._manual_clock import ManualClock
from bmad_otel.testing._metrics import HistogramValue, MetricPoint
from bmad_otel.testing._records import EventRecord, LogEntry, SpanRecord
from bmad_otel.testing._telemetry import Telemetry

__all__ = [
    "capture",
    "Telemetry",
    "SpanRecord",
    "EventRecord",
    "LogEntry",
    "MetricPoint",
    "HistogramValue",
    "ManualClock",
]
