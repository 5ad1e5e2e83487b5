"""What a program pays before its first task: imports, and what `configure` does, in fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys

from sdk.receiver import Receiver
from sdk.table import show, verdict

_LIMIT = 1.25
_TIMEOUT_S = 60

_IMPORTS = """
import opentelemetry.sdk.trace, opentelemetry.sdk.trace.export
import opentelemetry.sdk.metrics, opentelemetry.sdk.metrics.export
import opentelemetry.exporter.otlp.proto.grpc.trace_exporter
import opentelemetry.exporter.otlp.proto.grpc.metric_exporter
"""
_BY_HAND = """
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
tracer_provider = TracerProvider()
tracer_provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(tracer_provider)
metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
"""
_SDK_IMPORTS, _SDK_READY = "OpenTelemetry SDK + OTLP/gRPC exporters, imported", "the same, providers set up by hand"
_OURS, _OURS_READY = "`import bmad_otel`", "`import bmad_otel; bmad_otel.configure()`"
_PROGRAMS = {
    _SDK_IMPORTS: _IMPORTS,
    _SDK_READY: _BY_HAND,
    _OURS: "import bmad_otel",
    _OURS_READY: "import bmad_otel; bmad_otel.configure()",
    "the same, `host_metrics=False`": "import bmad_otel; bmad_otel.configure(host_metrics=False)",
}
_FRAME = """
import os, sys, time
before_s, before = time.process_time(), len(sys.modules)
%s
print(time.process_time() - before_s, len(sys.modules) - before, flush=True)
os._exit(0)
"""


def report(receiver: Receiver, *, rounds: int) -> None:
    cpu_s = {title: float("inf") for title in _PROGRAMS}
    modules: dict[str, int] = {}
    errors: dict[str, str] = {}
    for _ in range(rounds):
        for title, program in _PROGRAMS.items():
            try:
                taken_s, modules[title] = _run(program, receiver.endpoint)
            except (subprocess.SubprocessError, ValueError) as error:
                errors[title] = " ".join(str(error).split())[-200:]
                continue
            cpu_s[title] = min(cpu_s[title], taken_s)
    rows = []
    for title in _PROGRAMS:
        if title not in modules:
            rows.append([title, f"error: {errors[title]}", "", "", ""])
            continue
        beside_imports, beside_ready = cpu_s[title] / cpu_s[_SDK_IMPORTS], cpu_s[title] / cpu_s[_SDK_READY]
        rows.append([title, f"{cpu_s[title]:.3f}", str(modules[title]), f"{beside_imports:.2f}", f"{beside_ready:.2f}"])
    imported, ready = cpu_s[_OURS] / cpu_s[_SDK_IMPORTS], cpu_s[_OURS_READY] / cpu_s[_SDK_READY]
    show(
        "Import", ["program", "CPU s", "modules", "x imports", "x set up by hand"], rows,
        f"Best of {rounds} fresh processes each, in turn, without the interpreter's own start.",
        f"Import beside import: {imported:.2f} x, at most {_LIMIT} x: {verdict(imported, _LIMIT)}.",
        f"Ready to work beside ready to work: {ready:.2f} x, at most {_LIMIT} x: {verdict(ready, _LIMIT)}.",
    )  # fmt: skip


def _run(program: str, endpoint: str) -> tuple[float, int]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "BMAD_", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-c", _FRAME % program], env={**kept, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
        capture_output=True, text=True, timeout=_TIMEOUT_S,
    )  # fmt: skip
    if done.returncode:
        raise ValueError(done.stderr)
    taken_s, modules = done.stdout.split()
    return float(taken_s), int(modules)
