"""What an application would write itself with OpenTelemetry's public API to tell what a tracked call tells."""

from __future__ import annotations

import os
import time

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider

from sdk.discard import Discard, bare_span_of, nothing, plain
from sdk.loops import Loop, SetUp, calling

AGENT = "Benchmark"
TASK = "work"


def by_hand(tracer: trace.Tracer, meter: metrics.Meter) -> Loop:
    """A span with the attributes of ours, its duration, tasks running now, tasks so far. Attribute dicts are made once.

    The counter stands for the agent's CPU time; reading the thread's clock for it is left out, in favour of this form.
    """
    duration = meter.create_histogram("gen_ai.invoke_agent.duration", unit="s")
    active = meter.create_up_down_counter("bmad.agent.task.active")
    done = meter.create_counter("tasks")
    agent = {"gen_ai.agent.name": AGENT}
    on_span = {"gen_ai.operation.name": "invoke_agent", **agent, "bmad.task.name": TASK}
    on_duration = {outcome: {**on_span, "bmad.task.outcome": outcome} for outcome in ("ok", "error")}

    def call() -> None:
        active.add(1, agent)
        outcome = "ok"
        start_s = time.perf_counter()
        with tracer.start_as_current_span("invoke_agent Benchmark", attributes=on_span) as span:
            try:
                nothing()
            except BaseException as error:
                outcome = "error"
                span.set_attribute("error.type", type(error).__qualname__)
                raise
            finally:
                span.set_attribute("bmad.task.outcome", outcome)
                duration.record(time.perf_counter() - start_s, on_duration[outcome])
                active.add(-1, agent)
                done.add(1, agent)

    return calling(call)


def set_up() -> SetUp:
    discard = Discard()
    spans = TracerProvider(shutdown_on_exit=False)
    spans.add_span_processor(discard)
    exporter = OTLPMetricExporter(endpoint=os.environ["BENCHMARK_ENDPOINT"])
    meters = MeterProvider([PeriodicExportingMetricReader(exporter)], shutdown_on_exit=False)
    return SetUp(
        {
            "plain": plain,
            "bare": lambda: bare_span_of(spans),
            "by hand": lambda: by_hand(spans.get_tracer("benchmark"), meters.get_meter("benchmark")),
        },
        collect=meters.force_flush,
        spans=discard.spans,
        last_span=discard.last_span,
    )
