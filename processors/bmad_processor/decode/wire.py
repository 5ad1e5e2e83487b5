"""OTLP messages cut down to the fields the engine needs, as protobuf classes of our own.

Why not opentelemetry-proto's classes: parsing into them and reading attribute objects costs about 7 us a span. Here a
span stays one ``bytes`` value, attributes stay ``bytes``, and strings are declared ``bytes`` so that no text is made of
what nobody reads. Field numbers and types are those of opentelemetry-proto 1.11; unknown fields are kept by the
protobuf runtime, so a message that is parsed here and serialized again loses nothing.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_F = descriptor_pb2.FieldDescriptorProto
_BYTES, _FIXED64, _SFIXED64 = _F.TYPE_BYTES, _F.TYPE_FIXED64, _F.TYPE_SFIXED64
_DOUBLE, _INT64, _BOOL, _UINT32 = _F.TYPE_DOUBLE, _F.TYPE_INT64, _F.TYPE_BOOL, _F.TYPE_UINT32
_SINT32, _INT32, _UINT64 = _F.TYPE_SINT32, _F.TYPE_INT32, _F.TYPE_UINT64

_PACKAGE: Final = "bmad_processor.wire"

# name, number, type (a message name or a protobuf scalar type), "" | "repeated" | "optional" | "oneof"
_Field = tuple[str, int, "int | str", str]

_MESSAGES: Final[dict[str, list[_Field]]] = {
    "KeyValue": [("key", 1, _BYTES, ""), ("value", 2, "AnyValue", ""), ("key_strindex", 3, _INT32, "")],
    "AnyValue": [
        ("string_value", 1, _BYTES, "oneof"), ("bool_value", 2, _BOOL, "oneof"),
        ("int_value", 3, _INT64, "oneof"), ("double_value", 4, _DOUBLE, "oneof"),
    ],
    "Resource": [("attributes", 1, _BYTES, "repeated")],
    # traces
    "TraceRequest": [("resource_spans", 1, "ResourceSpans", "repeated")],
    "ResourceSpans": [("resource", 1, _BYTES, ""), ("scope_spans", 2, "ScopeSpans", "repeated")],
    "ScopeSpans": [("spans", 2, _BYTES, "repeated")],
    "Span": [
        # ids are optional so that a second one, without content, is seen as well
        ("trace_id", 1, _BYTES, "optional"), ("span_id", 2, _BYTES, "optional"),
        ("parent_span_id", 4, _BYTES, "optional"), ("start_time_unix_nano", 7, _FIXED64, ""),
        ("end_time_unix_nano", 8, _FIXED64, ""), ("attributes", 9, _BYTES, "repeated"), ("status", 15, "Status", ""),
    ],
    "Status": [("code", 3, _INT32, "")],
    # metrics
    "MetricsRequest": [("resource_metrics", 1, "ResourceMetrics", "repeated")],
    "ResourceMetrics": [("resource", 1, _BYTES, ""), ("scope_metrics", 2, "ScopeMetrics", "repeated")],
    "ScopeMetrics": [("metrics", 2, "Metric", "repeated")],
    "Metric": [
        ("name", 1, _BYTES, ""), ("unit", 3, _BYTES, ""), ("gauge", 5, "Gauge", "oneof"), ("sum", 7, "Sum", "oneof"),
        ("histogram", 9, "Histogram", "oneof"), ("exponential_histogram", 10, "ExponentialHistogram", "oneof"),
        ("summary", 11, "Summary", "oneof"),
    ],
    "Gauge": [("data_points", 1, "NumberDataPoint", "repeated")],
    "Sum": [
        ("data_points", 1, "NumberDataPoint", "repeated"), ("aggregation_temporality", 2, _INT32, ""),
        ("is_monotonic", 3, _BOOL, ""),
    ],
    "Histogram": [("data_points", 1, "HistogramDataPoint", "repeated"), ("aggregation_temporality", 2, _INT32, "")],
    "ExponentialHistogram": [
        ("data_points", 1, "ExponentialHistogramDataPoint", "repeated"), ("aggregation_temporality", 2, _INT32, ""),
    ],
    "Summary": [("data_points", 1, "SummaryDataPoint", "repeated")],
    "SummaryDataPoint": [],
    "NumberDataPoint": [
        ("start_time_unix_nano", 2, _FIXED64, ""), ("time_unix_nano", 3, _FIXED64, ""),
        ("as_double", 4, _DOUBLE, "oneof"), ("exemplars", 5, "Exemplar", "repeated"),
        ("as_int", 6, _SFIXED64, "oneof"), ("attributes", 7, _BYTES, "repeated"), ("flags", 8, _UINT32, ""),
    ],
    "HistogramDataPoint": [
        ("start_time_unix_nano", 2, _FIXED64, ""), ("time_unix_nano", 3, _FIXED64, ""), ("count", 4, _FIXED64, ""),
        ("sum", 5, _DOUBLE, "optional"), ("bucket_counts", 6, _FIXED64, "repeated"),
        ("explicit_bounds", 7, _DOUBLE, "repeated"), ("exemplars", 8, "Exemplar", "repeated"),
        ("attributes", 9, _BYTES, "repeated"), ("flags", 10, _UINT32, ""),
        ("min", 11, _DOUBLE, "optional"), ("max", 12, _DOUBLE, "optional"),
    ],
    "ExponentialHistogramDataPoint": [
        ("attributes", 1, _BYTES, "repeated"), ("start_time_unix_nano", 2, _FIXED64, ""),
        ("time_unix_nano", 3, _FIXED64, ""), ("count", 4, _FIXED64, ""), ("sum", 5, _DOUBLE, "optional"),
        ("scale", 6, _SINT32, ""), ("zero_count", 7, _FIXED64, ""), ("positive", 8, "Buckets", ""),
        ("flags", 10, _UINT32, ""), ("exemplars", 11, "Exemplar", "repeated"), ("min", 12, _DOUBLE, "optional"),
        ("max", 13, _DOUBLE, "optional"),
    ],
    "Exemplar": [("span_id", 4, _BYTES, ""), ("trace_id", 5, _BYTES, "")],
    "Buckets": [("offset", 1, _SINT32, ""), ("bucket_counts", 2, _UINT64, "repeated")],
    # logs: counted, and their ids looked at
    "LogsRequest": [("resource_logs", 1, "ResourceLogs", "repeated")],
    "ResourceLogs": [("resource", 1, _BYTES, ""), ("scope_logs", 2, "ScopeLogs", "repeated")],
    "ScopeLogs": [("log_records", 2, "LogRecord", "repeated")],
    "LogRecord": [
        ("attributes", 6, _BYTES, "repeated"), ("trace_id", 9, _BYTES, ""), ("span_id", 10, _BYTES, ""),
    ],
}  # fmt: skip


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="bmad_processor/wire.proto", package=_PACKAGE, syntax="proto3")
    for message_name, fields in _MESSAGES.items():
        message = file.message_type.add(name=message_name)
        synthetic = []
        for name, number, kind, label in fields:
            entry = message.field.add(name=name, number=number)
            entry.label = _F.LABEL_REPEATED if label == "repeated" else _F.LABEL_OPTIONAL
            if isinstance(kind, str):
                entry.type, entry.type_name = _F.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                entry.type = kind  # type: ignore[assignment]  # the enum's stub wants its own wrapper type
            if label == "oneof":
                if not message.oneof_decl:
                    message.oneof_decl.add(name="value")
                entry.oneof_index = 0
            elif label == "optional":
                entry.proto3_optional = True
                synthetic.append(entry)
        for entry in synthetic:  # protobuf wants the synthetic oneofs of optional fields after the real ones
            entry.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{entry.name}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_CLASSES: Final = _build()

KeyValue: Final = _CLASSES["KeyValue"]
Resource: Final = _CLASSES["Resource"]
Span: Final = _CLASSES["Span"]
TraceRequest: Final = _CLASSES["TraceRequest"]
MetricsRequest: Final = _CLASSES["MetricsRequest"]
LogsRequest: Final = _CLASSES["LogsRequest"]

STATUS_ERROR: Final = 2
"""`Status.StatusCode.STATUS_CODE_ERROR`."""
DELTA: Final = 1
CUMULATIVE: Final = 2
"""`AggregationTemporality`."""
NO_RECORDED_VALUE: Final = 1
"""`DataPointFlags`, bit 0."""
