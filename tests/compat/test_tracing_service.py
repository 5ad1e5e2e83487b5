"""TracingService: spans by id."""

from __future__ import annotations

import pytest

from bmad_otel.compat.tracing import TracingConfig
from bmad_otel.compat.tracing_service import TracingService, get_tracing_service, initialize_tracing_service
from bmad_otel.testing import Telemetry


def test_spans_are_begun_and_ended_by_their_id(bmad_telemetry: Telemetry) -> None:
    service = TracingService("research")
    span_id = service.start_span("search", {"query": "q"})
    assert span_id
    assert len(span_id) == 16
    service.record_event("found", {"hits": 3}, span_id)
    service.add_attribute("cached", False, span_id)
    service.end_span(span_id, {"error": True, "error_type": "OSError", "error_message": "gone"})
    service.end_span(span_id)
    (span,) = bmad_telemetry.spans
    assert (span.name, span.status) == ("search", "error")
    assert span.attributes["error.type"] == "OSError"
    assert span.attributes["query"] == "q"
    assert [event.name for event in span.events] == ["found"]


def test_operations_nest_and_fail(bmad_telemetry: Telemetry) -> None:
    service = TracingService("research", TracingConfig(service_name="other"))

    def work() -> None:
        with service.trace_operation("outer", {"a": 1}) as outer:
            assert outer.span_id
            assert service.get_trace_id()
            with service.trace_operation("inner"):
                service.record_event("here")
            raise LookupError("nothing")

    with pytest.raises(LookupError):
        work()
    inner, outer_span = bmad_telemetry.spans
    assert inner in outer_span.children
    assert outer_span.attributes["error.type"] == "LookupError"
    assert [event.name for event in inner.events] == ["here"]
    assert service.get_trace_id() is None


def test_a_service_without_a_tracer_does_nothing(bmad_telemetry: Telemetry) -> None:
    service = TracingService("off")
    assert service.is_enabled()
    service.tracer = None
    assert not service.is_enabled()
    assert service.start_span("x") is None
    service.end_span("x")
    service.record_event("x")
    service.add_attribute("x", 1)
    with service.trace_operation("x") as operation:
        assert operation.span_id is None
    assert bmad_telemetry.spans == []


def test_the_service_of_the_process() -> None:
    first = initialize_tracing_service("one")
    assert get_tracing_service("two") is first
    assert initialize_tracing_service("three") is not first
