"""Strings by index belong to profiles: elsewhere they are no error, the sender is warned, and they pass on."""

from __future__ import annotations

import time
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from bmad_processor.decode import Decoder
from bmad_processor.model import Signal

INDEXED = {
    "value": KeyValue(key="k", value=AnyValue(string_value_strindex=3)),
    "large": KeyValue(key="k", value=AnyValue(string_value_strindex=1_000_000)),
    "key": KeyValue(key_strindex=3, value=AnyValue(string_value="x")),
    "both": KeyValue(key_strindex=3, value=AnyValue(string_value_strindex=300)),
}


def request(signal: Signal, attribute: KeyValue | None, *, is_resource: bool, at: str = "") -> bytes:
    message: Any
    match signal:
        case Signal.TRACES:
            message = ExportTraceServiceRequest()
            top = message.resource_spans.add()
            item = top.scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8, name="n@" + at)
        case Signal.METRICS:
            message = ExportMetricsServiceRequest()
            top = message.resource_metrics.add()
            metric = top.scope_metrics.add().metrics.add(name="system.cpu.utilization")
            item = metric.gauge.data_points.add(as_double=1)
        case Signal.LOGS:
            message = ExportLogsServiceRequest()
            top = message.resource_logs.add()
            item = top.scope_logs.add().log_records.add(severity_text="n@" + at)
    if attribute is not None:
        (top.resource if is_resource else item).attributes.append(attribute)
    return bytes(message.SerializeToString())


@pytest.mark.parametrize("is_resource", [True, False], ids=["resource", "item"])
@pytest.mark.parametrize("where", INDEXED)
@pytest.mark.parametrize("signal", list(Signal))
def test_the_sender_is_warned(signal: Signal, where: str, is_resource: bool) -> None:
    body = request(signal, INDEXED[where], is_resource=is_resource)
    result = Decoder(interval_ns=10**9).decode(signal, body)
    assert (result.items, result.rejected, result.forward) == (1, 0, body)
    assert "strindex" in result.message
    assert result.dropped["requests_with_indexed_strings"] == 1


@pytest.mark.parametrize("signal", list(Signal))
def test_nobody_else_is(signal: Signal) -> None:
    decoder = Decoder(interval_ns=10**9)
    decoder.decode(signal, request(signal, INDEXED["key"], is_resource=False))
    for body in (
        request(signal, None, is_resource=False, at="\x12\x02@\x12\x03@@\x12\x04@"),
        request(signal, KeyValue(key="@", value=AnyValue(int_value=3)), is_resource=True),
        request(signal, KeyValue(value=AnyValue(string_value="@")), is_resource=False),
    ):
        assert decoder.decode(signal, body).message == ""


def test_a_request_full_of_that_byte_costs_no_time() -> None:
    body = request(Signal.LOGS, None, is_resource=False, at="@" * 20_000_000)
    began = time.process_time()
    assert Decoder(interval_ns=1).decode(Signal.LOGS, body).message == ""
    assert time.process_time() - began < 1
    body = request(Signal.LOGS, INDEXED["value"], is_resource=False, at="@" * 100_000)
    assert Decoder(interval_ns=1).decode(Signal.LOGS, body).message
