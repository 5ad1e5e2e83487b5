"""One pair of in-memory providers for the whole run, as an application that has its own OpenTelemetry would set them.

The global providers can be set once per process; what needs another set-up runs in a process of its own (`run_python`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bmad_otel._labels import AgentNames
from bmad_otel._running import RunningTasks
from bmad_otel._state import state
from bmad_otel._steps import CpuMeter


@dataclass
class Telemetry:
    """What the tracked functions of one test have reported."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader

    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def span(self) -> ReadableSpan:
        (span,) = self.spans()
        return span

    def outcome(self) -> Any:
        return attributes(self.span())["bmad.task.outcome"]

    def points(self) -> dict[str, list[Any]]:
        """Data points by metric name; histograms since the last call, the others as they stand."""
        data = self.reader.get_metrics_data()
        found: dict[str, list[Any]] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found.setdefault(metric.name, []).extend(metric.data.data_points)
        return found

    def value(self, metric: str, **wanted: str) -> Any:
        """The value of the one point whose agent is ``agent``."""
        (point,) = [p for p in self.points()[metric] if p.attributes["gen_ai.agent.name"] == wanted["agent"]]
        return point.value


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    assert span.attributes is not None
    return span.attributes


def set_up_providers() -> Telemetry:
    """Global providers that keep what they get in memory; OpenTelemetry takes them once in a process."""
    exporter = InMemorySpanExporter()
    tracer_provider = TracerProvider(shutdown_on_exit=False)
    tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(tracer_provider)
    # delta, so that a histogram holds what was recorded since the test looked last
    reader = InMemoryMetricReader(preferred_temporality={Histogram: AggregationTemporality.DELTA})
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader], shutdown_on_exit=False))
    return Telemetry(exporter, reader)


@pytest.fixture
def telemetry(_providers: Telemetry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Telemetry]:
    monkeypatch.setenv("BMAD_OTEL_RAISE_INTERNAL", "1")
    _providers.points()
    _providers.exporter.clear()
    state.agents = AgentNames()
    state.running = RunningTasks()
    state.cpu = CpuMeter()
    yield _providers
    assert trace.get_current_span() is trace.INVALID_SPAN, "a context leaked out of the test"
    assert not state.running.tasks, "a task never ended"


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program in a process of its own, without any OTEL_ variable but those given.

    Its temporary directory is its own, too: there the processes of a host agree on who reports the host.
    """

    def run(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
        environment.update(
            {"BMAD_OTEL_RAISE_INTERNAL": "1", "PYTHONWARNINGS": "error", "TMPDIR": str(tmp_path), **variables}
        )
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return run
