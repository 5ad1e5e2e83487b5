"""What the processor itself has to say, as OTLP: alert events and scaling hints as logs, gauges as metrics. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs, SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from bmad_otel import semconv
from bmad_processor.model import AlertEvent, AlertEventKind, Level, PartitionKey, ScalingHint
from bmad_processor.state_json import dump_reason

SERVICE_NAME: Final = "bmad-otel-collector"
"""`service.name` of what the processor emits."""

_SEVERITY: Final[Mapping[Level, tuple[SeverityNumber.ValueType, str]]] = {
    Level.INFO: (SeverityNumber.SEVERITY_NUMBER_INFO, "INFO"),
    Level.WARNING: (SeverityNumber.SEVERITY_NUMBER_WARN, "WARN"),
    Level.CRITICAL: (SeverityNumber.SEVERITY_NUMBER_ERROR, "ERROR"),
    Level.EMERGENCY: (SeverityNumber.SEVERITY_NUMBER_FATAL, "FATAL"),
}

_EVENT_NAMES: Final = {
    AlertEventKind.FIRED: semconv.EVENT_ALERT_FIRED,
    AlertEventKind.ESCALATED: semconv.EVENT_ALERT_ESCALATED,
    AlertEventKind.RESOLVED: semconv.EVENT_ALERT_RESOLVED,
}

_Value = str | int | float | Sequence[str] | None


@dataclass(frozen=True, slots=True)
class GaugeRow:
    """One point of one gauge of `semconv.PROCESSOR_METRICS`."""

    metric: semconv.Metric
    value: float
    attributes: Mapping[str, str]


def _any_value(value: str | int | float | Sequence[str]) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=item) for item in value]))


def _attributes(values: Mapping[str, _Value]) -> list[KeyValue]:
    """None is left out."""
    return [KeyValue(key=key, value=_any_value(value)) for key, value in values.items() if value is not None]


def partition_attributes(key: PartitionKey) -> dict[str, str]:
    """`gen_ai.agent.name` or `host.name`, and the namespace when there is one."""
    name = semconv.HOST_NAME if key.kind == "host" else semconv.GEN_AI_AGENT_NAME
    attributes = {name: key.name}
    if key.namespace:
        attributes[semconv.SERVICE_NAMESPACE] = key.namespace
    return attributes


def _resource() -> Resource:
    return Resource(attributes=_attributes({semconv.SERVICE_NAME: SERVICE_NAME}))


def _scope() -> InstrumentationScope:
    return InstrumentationScope(name=semconv.PROCESSOR_SCOPE_NAME)


def _trace_id(text: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        return b""
    return data if len(data) == 16 else b""


def _event_record(event: AlertEvent) -> LogRecord:
    alert = event.alert
    is_resolved = event.kind is AlertEventKind.RESOLVED
    number, text = _SEVERITY[Level.INFO if is_resolved else alert.level]
    trace_ids = [exemplar.trace_id for exemplar in alert.reason.exemplars if exemplar.trace_id]
    return LogRecord(
        time_unix_nano=event.time_ns,
        observed_time_unix_nano=event.time_ns,
        severity_number=number,
        severity_text=text,
        event_name=_EVENT_NAMES[event.kind],
        body=AnyValue(string_value=alert.message),
        trace_id=_trace_id(trace_ids[0]) if trace_ids else b"",
        attributes=_attributes(
            {
                **partition_attributes(alert.key),
                semconv.METRIC_TYPE: alert.metric_type,
                semconv.ALERT_ID: alert.alert_id,
                semconv.ALERT_EVENT_ID: event.event_id,
                semconv.ALERT_FINGERPRINT: alert.fingerprint,
                semconv.ALERT_LEVEL: alert.level.label,
                semconv.ALERT_VALUE: float(alert.value),
                semconv.ALERT_THRESHOLD: float(alert.threshold),
                semconv.ALERT_BASELINE: None if alert.reason.baseline is None else float(alert.reason.baseline),
                semconv.ALERT_REASON: json.dumps(dump_reason(alert.reason), separators=(",", ":")),
                semconv.ALERT_EXEMPLAR_TRACE_IDS: trace_ids or None,
            }
        ),
    )


def describe_hint(hint: ScalingHint) -> str:
    """The advice in one sentence."""
    return f"{hint.key.name} needs {hint.desired} instances, has {hint.current}: {hint.reason}"


def _hint_record(hint: ScalingHint) -> LogRecord:
    number, text = _SEVERITY[Level.INFO]
    return LogRecord(
        time_unix_nano=hint.time_ns,
        observed_time_unix_nano=hint.time_ns,
        severity_number=number,
        severity_text=text,
        event_name=semconv.EVENT_SCALING_CHANGED,
        body=AnyValue(string_value=describe_hint(hint)),
        attributes=_attributes(
            {
                **partition_attributes(hint.key),
                semconv.SCALING_ACTION: hint.action.value,
                semconv.SCALING_CURRENT: hint.current,
                semconv.SCALING_DESIRED: hint.desired,
                semconv.SCALING_REASON: hint.reason,
            }
        ),
    )


def encode_events(events: Sequence[AlertEvent], hints: Sequence[ScalingHint]) -> bytes:
    """ExportLogsServiceRequest with one record for each event and each hint; empty bytes for nothing to say."""
    records = [_event_record(event) for event in events] + [_hint_record(hint) for hint in hints]
    if not records:
        return b""
    logs = ResourceLogs(resource=_resource(), scope_logs=[ScopeLogs(scope=_scope(), log_records=records)])
    return ExportLogsServiceRequest(resource_logs=[logs]).SerializeToString()


def encode_gauges(rows: Iterable[GaugeRow], time_ns: int) -> bytes:
    """ExportMetricsServiceRequest with one gauge for each metric in ``rows``; empty bytes for no rows."""
    points: dict[semconv.Metric, list[NumberDataPoint]] = {}
    for row in rows:
        point = NumberDataPoint(
            time_unix_nano=time_ns, as_double=float(row.value), attributes=_attributes(row.attributes)
        )
        points.setdefault(row.metric, []).append(point)
    if not points:
        return b""
    metrics = [
        Metric(name=m.name, description=m.description, unit=m.unit, gauge=Gauge(data_points=its))
        for m, its in points.items()
    ]
    resource = ResourceMetrics(resource=_resource(), scope_metrics=[ScopeMetrics(scope=_scope(), metrics=metrics)])
    return ExportMetricsServiceRequest(resource_metrics=[resource]).SerializeToString()
