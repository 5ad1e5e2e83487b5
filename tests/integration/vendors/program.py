"""An application that uses a vendor's SDK: `program.py VENDOR alone|beside|configured [ENDPOINT]`.

``alone``: without bmad-otel. ``beside``: with its decorators. ``configured``: and with `bmad_otel.configure`. It prints
the spans the vendor has seen, and the time.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from scenario import Decorator, play


def set_up_logfire(exporter: InMemorySpanExporter) -> Decorator:
    import logfire

    logfire.configure(
        send_to_logfire=False,
        console=False,
        service_name="library",
        additional_span_processors=[SimpleSpanProcessor(exporter)],
    )
    return lambda name: logfire.instrument(name, extract_args=True, allow_generator=True)


def set_up_traceloop(exporter: InMemorySpanExporter) -> Decorator:
    from traceloop.sdk import Traceloop
    from traceloop.sdk.decorators import task, workflow

    Traceloop.init(app_name="library", exporter=exporter, disable_batch=True)
    return lambda name: (workflow if name.startswith("around") else task)(name=name)


def span_of(span: ReadableSpan) -> dict[str, Any]:
    assert span.instrumentation_scope is not None
    return {
        "scope": span.instrumentation_scope.name,
        "name": span.name,
        "id": span.context.span_id,
        "trace": span.context.trace_id,
        "parent": span.parent.span_id if span.parent else None,
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code.name,
        "events": [event.name for event in span.events],
        "resource": span.resource.attributes["service.name"],
    }


def main(vendor: str, mode: str, endpoint: str | None = None) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    exporter = InMemorySpanExporter()
    theirs = {"logfire": set_up_logfire, "traceloop": set_up_traceloop}[vendor](exporter)
    ours: Decorator
    if mode == "alone":

        def ours(_name: str) -> Callable[[Any], Any]:
            return lambda function: function

    else:
        import bmad_otel

        def ours(name: str) -> Callable[[Any], Any]:
            return bmad_otel.track_task(agent=name)

        if mode == "configured":
            bmad_otel.configure(endpoint=endpoint, protocol="http/protobuf" if endpoint else None, host_metrics=False)
    play(theirs, ours)
    spans = [span_of(span) for span in exporter.get_finished_spans()]
    sys.stdout.write(json.dumps({"spans": spans, "end_s": time.time()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
