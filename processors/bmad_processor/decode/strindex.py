"""Strings by index: `AnyValue.string_value_strindex` and `KeyValue.key_strindex`.

They belong to profiles, whose requests carry the table they point into. In spans, metrics and logs OTLP wants them read
as absent, without refusing anything, and a warning. Nobody sends them, so finding out must cost nothing: values are
looked for in the bytes of the whole request, by the rare byte of their tag (0.04 us a span); keys where attributes that
are not yet known are read (`Attributes`).
"""

from __future__ import annotations

import re
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bmad_processor.model import Signal

WARNING: Final = "attributes with string_value_strindex or key_strindex, which only profiles have, are read as absent"

_TAG: Final = b"\x40"
"""Field 8, a varint: how an AnyValue begins that has nothing but an index."""
_BEFORE: Final = (b"\x12\x02", b"\x12\x03", b"\x12\x04")
"""Field 2 of a KeyValue with a value of two to four bytes: an index below two million."""
_PATTERN: Final = re.compile(rb"\x12[\x02-\x04]\x40")
_MAX_LOOKS: Final = 10_000
"""Somebody may fill a request with that byte. From here on one search does it, which without many of them is slower."""

_REQUESTS: Final[dict[Signal, Any]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
_NAMES: Final = frozenset({"string_value_strindex", "key_strindex"})


def has_indexed_values(signal: Signal, body: bytes) -> bool:
    """Whether an attribute of the request has its value by index; ``body`` has been decoded before."""
    find, at = body.find, body.find(_TAG)
    for _ in range(_MAX_LOOKS):
        if at < 0:
            return False
        if body[at - 2 : at] in _BEFORE:
            break
        at = find(_TAG, at + 1)
    else:
        if _PATTERN.search(body, at) is None:
            return False
    return _has_index(_REQUESTS[signal].FromString(body))  # ids are random, and can look like one


def _has_index(message: Any) -> bool:
    for field, value in message.ListFields():
        if field.name in _NAMES:
            return True
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE and any(
            map(_has_index, value if field.is_repeated else (value,))
        ):
            return True
    return False
