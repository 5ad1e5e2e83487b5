"""Requests whose items have names of their own, so that they are found again in what a backend receives."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SIGNALS: Final = ("traces", "metrics", "logs")
METHODS: Final = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
SIGNAL_OF_METHOD: Final = {method: signal for signal, method in METHODS.items()}
REQUESTS: Final[dict[str, Any]] = {
    "traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest, "logs": ExportLogsServiceRequest,
}  # fmt: skip
RESPONSES: Final[dict[str, Any]] = {
    "traces": ExportTraceServiceResponse, "metrics": ExportMetricsServiceResponse, "logs": ExportLogsServiceResponse,
}  # fmt: skip
REJECTED: Final = {"traces": "rejected_spans", "metrics": "rejected_data_points", "logs": "rejected_log_records"}
TIME_NS: Final = 1_800_000_000_000_000_000
PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
UNKNOWN_FIELD: Final = b"\xfa\x3f\x05later"
"""Field 1023 with five bytes: what a later version of OTLP might add."""


def unique(what: str) -> str:
    """A name nobody else has."""
    return f"{what}-{secrets.token_hex(6)}"


def attribute(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def span(name: str, **fields: Any) -> Span:
    given = {
        "trace_id": secrets.token_bytes(16), "span_id": secrets.token_bytes(8), "name": name, "kind": 1,
        "start_time_unix_nano": TIME_NS, "end_time_unix_nano": TIME_NS + 1000,
    }  # fmt: skip
    return Span(**(given | fields))


def metric(name: str, **fields: Any) -> Metric:
    return Metric(name=name, gauge=Gauge(data_points=[NumberDataPoint(time_unix_nano=TIME_NS, as_int=1, **fields)]))


def log_record(name: str, **fields: Any) -> LogRecord:
    return LogRecord(time_unix_nano=TIME_NS, severity_number=9, body=AnyValue(string_value=name), **fields)  # type: ignore[arg-type]


def request(signal: str, items: Iterable[Any], *, resource: Sequence[KeyValue] = ()) -> Any:
    """One request, one resource, one scope with ``items``."""
    message = REQUESTS[signal]()
    held: Any = {"traces": "resource_spans", "metrics": "resource_metrics", "logs": "resource_logs"}[signal]
    envelope = getattr(message, held).add()
    envelope.resource.CopyFrom(Resource(attributes=resource))
    scope = getattr(envelope, held.replace("resource", "scope")).add()
    field = {"traces": "spans", "metrics": "metrics", "logs": "log_records"}[signal]
    getattr(scope, field).extend(items)
    return message


def named(signal: str, *names: str) -> Any:
    """A request with an item of each name."""
    build = {"traces": span, "metrics": metric, "logs": log_record}[signal]
    return request(signal, [build(name) for name in names])


def body(signal: str, *names: str) -> bytes:
    """The same in protobuf bytes."""
    return bytes(named(signal, *names).SerializeToString())


def names_in(signal: str, message: Any) -> list[str]:
    """Names of all items of a request."""
    match signal:
        case "traces":
            return [s.name for r in message.resource_spans for scope in r.scope_spans for s in scope.spans]
        case "metrics":
            return [m.name for r in message.resource_metrics for scope in r.scope_metrics for m in scope.metrics]
        case _:
            return [
                record.body.string_value
                for r in message.resource_logs
                for s in r.scope_logs
                for record in s.log_records
            ]


def is_full(response: Any) -> bool:
    """Whether an Export*ServiceResponse says that everything was taken and nothing else: {0, ""} is equal to unset."""
    return not response.partial_success.ListFields()


def tree(message: Any) -> dict[str, Any]:
    """OTLP/JSON of a request as Python values: ids in hex, enums as integers, 64-bit integers as strings."""
    return _with_hex_ids(MessageToDict(message, use_integers_for_enums=True))  # type: ignore[no-any-return]


def to_json(message: Any) -> bytes:
    return json.dumps(tree(message)).encode()


def _with_hex_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: base64.b64decode(item).hex() if key in ("traceId", "spanId", "parentSpanId") else _with_hex_ids(item)
            for key, item in value.items()
        }
    return [_with_hex_ids(item) for item in value] if isinstance(value, list) else value
