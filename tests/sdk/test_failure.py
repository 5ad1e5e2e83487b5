"""Exceptions as span events and as log records, in a program of its own for each choice."""

from __future__ import annotations

import json
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import pytest

PROGRAM = """
    import json
    from opentelemetry import trace
    from opentelemetry._logs import set_logger_provider
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from bmad_otel import track_task

    spans, logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
    provider = TracerProvider(); provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    records = LoggerProvider(); records.add_log_record_processor(SimpleLogRecordProcessor(logs))
    set_logger_provider(records)

    @track_task(agent="Research")
    def read():
        raise ValueError("no paper")

    try:
        read()
    except ValueError:
        pass
    (span,) = spans.get_finished_spans()
    print(json.dumps({
        "events": [event.name for event in span.events],
        "status": span.status.description,
        "span": [span.context.trace_id, span.context.span_id],
        "logs": [
            {
                "name": data.log_record.event_name, "severity": data.log_record.severity_number.value,
                "attributes": dict(data.log_record.attributes),
                "span": [data.log_record.trace_id, data.log_record.span_id],
                "scope": data.instrumentation_scope.name,
            }
            for data in logs.get_finished_logs()
        ],
    }))
"""


@pytest.mark.parametrize(
    ("opt_in", "events", "logs"),
    [("", 1, 0), ("logs", 0, 1), ("logs/dup", 1, 1), ("other, logs", 0, 1), ("nonsense", 1, 0)],
)
def test_the_variable_says_where_an_exception_is_told(
    run_python: Callable[..., CompletedProcess[str]], opt_in: str, events: int, logs: int
) -> None:
    result = run_python(PROGRAM, OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN=opt_in)
    assert result.returncode == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    assert told["events"] == ["exception"] * events
    assert told["status"] == "no paper"
    assert len(told["logs"]) == logs
    for record in told["logs"]:
        assert record["name"] == "gen_ai.invoke_agent.exception"
        assert record["severity"] == 13
        assert record["span"] == told["span"]
        assert record["scope"] == "bmad_otel"
        assert record["attributes"]["exception.type"] == "ValueError"
        assert record["attributes"]["exception.message"] == "no paper"
        assert (
            "raise ValueError" in record["attributes"]["exception.stacktrace"]
            or "read" in (record["attributes"]["exception.stacktrace"])
        )
