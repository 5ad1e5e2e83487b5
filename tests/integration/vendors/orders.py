"""OpenTelemetry's instrumentation of threads and ours, put in place and taken away in every order.

Prints for each step of each order which are in place, and the parents of what ran in a pool, a thread and a timer,
below a span and below none.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from opentelemetry import context, trace
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bmad_otel import _threads, track_task

STEPS: dict[str, Callable[[], None]] = {
    "ours on": _threads.install,
    "ours off": _threads.uninstall,
    "theirs on": ThreadingInstrumentor().instrument,
    "theirs off": ThreadingInstrumentor().uninstrument,
}


@track_task(agent="Child")
def child() -> None: ...


def parents(exporter: InMemorySpanExporter) -> list[str | None]:
    exporter.clear()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(child).result()
    for thread in (threading.Thread(target=child), threading.Timer(0.001, child)):
        thread.start()
        thread.join()
    current = trace.get_current_span().get_span_context()
    said = {current.span_id: "parent", 0: None}
    return [said.get(span.parent.span_id if span.parent else 0, "wrong") for span in exporter.get_finished_spans()]


def main() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    tracer = provider.get_tracer("orders")
    told = []
    for order in itertools.permutations(STEPS):
        if order.index("ours on") > order.index("ours off") or order.index("theirs on") > order.index("theirs off"):
            continue
        on = set()
        for step in order:
            STEPS[step]()
            on ^= {step.split()[0]}
            below_none = parents(exporter)
            token = context.attach(trace.set_span_in_context(tracer.start_span("parent")))
            told.append({"order": order, "step": step, "on": sorted(on), "span": parents(exporter), "none": below_none})
            context.detach(token)
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
