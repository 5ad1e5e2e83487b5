"""What the processor says, decoded by the official classes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from bmad_otel import semconv
from bmad_processor.emit import GaugeRow, encode_events, encode_gauges, partition_attributes
from bmad_processor.model import AlertEventKind, Level, PartitionKey
from bmad_processor.state_json import load_reason

from .samples import START_NS, TRACE_IDS, a_hint, an_event


def plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    return getattr(value, kind)


def attributes(pairs: Any) -> dict[str, Any]:
    keys = [pair.key for pair in pairs]
    assert len(keys) == len(set(keys))
    return {pair.key: plain(pair.value) for pair in pairs}


def records(data: bytes) -> list[Any]:
    (resource,) = ExportLogsServiceRequest.FromString(data).resource_logs
    assert attributes(resource.resource.attributes) == {"service.name": "bmad-otel-collector"}
    (scope,) = resource.scope_logs
    assert scope.scope.name == semconv.PROCESSOR_SCOPE_NAME
    return list(scope.log_records)


def test_a_fired_alert() -> None:
    event = an_event(namespace="shop")
    (record,) = records(encode_events([event], []))
    assert record.event_name == "bmad.alert.fired"
    assert record.time_unix_nano == record.observed_time_unix_nano == START_NS
    assert (record.severity_number, record.severity_text) == (13, "WARN")
    assert record.body.string_value == event.alert.message
    assert record.trace_id.hex() == TRACE_IDS[0]
    got = attributes(record.attributes)
    assert load_reason(json.loads(got.pop(semconv.ALERT_REASON))) == event.alert.reason
    assert got == {
        "gen_ai.agent.name": "dev",
        "service.namespace": "shop",
        "bmad.metric.type": "response_time",
        "bmad.alert.id": event.alert.alert_id,
        "bmad.alert.event_id": "event-1",
        "bmad.alert.fingerprint": "fp",
        "bmad.alert.level": "warning",
        "bmad.alert.value": 6.2,
        "bmad.alert.threshold": 5.0,
        "bmad.alert.baseline": 1.24,
        "bmad.alert.exemplar_trace_ids": list(TRACE_IDS),
    }


@pytest.mark.parametrize(
    ("level", "number", "text"),
    [
        (Level.INFO, 9, "INFO"),
        (Level.WARNING, 13, "WARN"),
        (Level.CRITICAL, 17, "ERROR"),
        (Level.EMERGENCY, 21, "FATAL"),
    ],
)
def test_severity_is_the_level_until_resolved(level: Level, number: int, text: str) -> None:
    events = [an_event(kind, level=level) for kind in AlertEventKind]
    got = {r.event_name: (r.severity_number, r.severity_text) for r in records(encode_events(events, []))}
    assert got == {
        "bmad.alert.fired": (number, text),
        "bmad.alert.escalated": (number, text),
        "bmad.alert.resolved": (9, "INFO"),
    }


@pytest.mark.parametrize("trace_ids", [(), ("",), ("nothex",), ("abcd",)])
def test_without_baseline_or_usable_exemplars(trace_ids: tuple[str, ...]) -> None:
    (record,) = records(encode_events([an_event(baseline=None, trace_ids=trace_ids)], []))
    got = attributes(record.attributes)
    assert record.trace_id == b""
    assert semconv.ALERT_BASELINE not in got
    assert got.get(semconv.ALERT_EXEMPLAR_TRACE_IDS, []) == [t for t in trace_ids if t]


def test_a_hint() -> None:
    _, record = records(encode_events([an_event()], [a_hint()]))
    assert record.event_name == "bmad.scaling.changed"
    assert record.severity_number == 9
    assert "needs 4 instances" in record.body.string_value
    assert attributes(record.attributes) == {
        "gen_ai.agent.name": "dev",
        "service.namespace": "shop",
        "bmad.scaling.action": "scale_up",
        "bmad.scaling.current_instances": 2,
        "bmad.scaling.desired_instances": 4,
        "bmad.scaling.reason": "cpu_usage 1.5 of 0.75",
    }


def test_hosts_have_a_host_name() -> None:
    assert partition_attributes(PartitionKey("host", "", "web-1")) == {"host.name": "web-1"}
    (record,) = records(encode_events([an_event(partition="host", agent="web-1")], []))
    assert attributes(record.attributes)["host.name"] == "web-1"


def test_nothing_to_say_is_no_bytes() -> None:
    assert encode_events([], []) == b""
    assert encode_gauges([], 1) == b""


def test_gauges() -> None:
    agents = [{"gen_ai.agent.name": name, "bmad.metric.type": "cpu_usage"} for name in ("a", "b")]
    rows = [GaugeRow(metric, float(i), agent) for i, metric in enumerate(semconv.PROCESSOR_METRICS) for agent in agents]
    (resource,) = ExportMetricsServiceRequest.FromString(encode_gauges(iter(rows), 77)).resource_metrics
    (scope,) = resource.scope_metrics
    assert [m.name for m in scope.metrics] == [m.name for m in semconv.PROCESSOR_METRICS]
    for i, (got, expected) in enumerate(zip(scope.metrics, semconv.PROCESSOR_METRICS, strict=True)):
        assert (got.unit, got.description) == (expected.unit, expected.description)
        assert [(p.as_double, p.time_unix_nano) for p in got.gauge.data_points] == [(float(i), 77)] * 2
        assert [attributes(p.attributes) for p in got.gauge.data_points] == agents
