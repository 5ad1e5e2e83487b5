"""OTLP protobuf to OTLP/JSON text: hex ids, integer enums, 64-bit integers as strings, lowerCamelCase keys."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bmad_processor.model import Signal

_REQUESTS: Final[dict[Signal, type[Message]]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}

_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_LONG: Final = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})
_FLOAT: Final = frozenset({FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT})


def _same(value: Any) -> Any:
    return value


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _converter(field: FieldDescriptor) -> Callable[[Any], Any]:
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        return _object
    if field.cpp_type in _LONG:
        return str
    if field.cpp_type in _FLOAT:
        return _double
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes.hex if field.name in _IDS else _base64
    return _same


@cache  # one entry per message type of opentelemetry.proto
def _plan(descriptor: Descriptor) -> dict[int, tuple[str, bool, Callable[[Any], Any]]]:
    """Field number to JSON key, whether repeated, and converter."""
    return {f.number: (f.json_name, f.is_repeated, _converter(f)) for f in descriptor.fields}


def _object(message: Message) -> dict[str, Any]:
    plan = _plan(message.DESCRIPTOR)
    result: dict[str, Any] = {}
    for field, value in message.ListFields():
        key, is_repeated, convert = plan[field.number]
        result[key] = [convert(item) for item in value] if is_repeated else convert(value)
    return result


def decode(signal: Signal, body: bytes) -> Message:
    """The request as a message of `opentelemetry.proto`. Raises google.protobuf.message.DecodeError."""
    message = _REQUESTS[signal]()
    message.ParseFromString(body)
    return message


def to_json(signal: Signal, body: bytes) -> str:
    """One request as one line of OTLP/JSON. Fields unknown to `opentelemetry.proto` have no JSON form and are left out.

    Raises google.protobuf.message.DecodeError.
    """
    return json.dumps(_object(decode(signal, body)), separators=(",", ":"), ensure_ascii=False)
