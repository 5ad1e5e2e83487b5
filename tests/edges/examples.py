"""The four example payloads of the OTLP specification, and what they mean, built by hand."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_TIME = "1544712660000000000"
_TIME_NS = 1544712660000000000


def _text(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


_RESOURCE = {"attributes": [_text("service.name", "my.service")]}
_SCOPE = {
    "name": "my.library",
    "version": "1.0.0",
    "attributes": [_text("my.scope.attribute", "some scope attribute")],
}

TRACE: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": _RESOURCE,
            "scopeSpans": [
                {
                    "scope": _SCOPE,
                    "spans": [
                        {
                            "traceId": "5B8EFFF798038103D269B633813FC60C",
                            "spanId": "EEE19B7EC3C1B174",
                            "parentSpanId": "EEE19B7EC3C1B173",
                            "name": "I'm a server span",
                            "startTimeUnixNano": _TIME,
                            "endTimeUnixNano": "1544712661000000000",
                            "kind": 2,
                            "attributes": [_text("my.span.attr", "some value")],
                        }
                    ],
                }
            ],
        }
    ]
}

_POINT = {
    "asDouble": 5,
    "startTimeUnixNano": _TIME,
    "timeUnixNano": _TIME,
    "attributes": [_text("my.counter.attr", "some value")],
}
METRICS: dict[str, Any] = {
    "resourceMetrics": [
        {
            "resource": _RESOURCE,
            "scopeMetrics": [
                {
                    "scope": _SCOPE,
                    "metrics": [
                        {
                            "name": "my.counter",
                            "unit": "1",
                            "description": "I am a Counter",
                            "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": [_POINT]},
                        },
                        {
                            "name": "my.gauge",
                            "unit": "1",
                            "description": "I am a Gauge",
                            "gauge": {"dataPoints": [{"asDouble": 10, "timeUnixNano": _TIME}]},
                        },
                        {
                            "name": "my.histogram",
                            "unit": "1",
                            "description": "I am a Histogram",
                            "histogram": {
                                "aggregationTemporality": 1,
                                "dataPoints": [
                                    {
                                        "startTimeUnixNano": _TIME,
                                        "timeUnixNano": _TIME,
                                        "count": 2,
                                        "sum": 2,
                                        "bucketCounts": [1, 1],
                                        "explicitBounds": [1],
                                        "min": 0,
                                        "max": 2,
                                    }
                                ],
                            },
                        },
                        {
                            "name": "my.exponential.histogram",
                            "exponentialHistogram": {
                                "aggregationTemporality": 1,
                                "dataPoints": [
                                    {
                                        "count": 3,
                                        "sum": 10,
                                        "scale": 0,
                                        "zeroCount": 1,
                                        "positive": {"offset": 1, "bucketCounts": [0, 2]},
                                        "min": 0,
                                        "max": 5,
                                        "zeroThreshold": 0,
                                    }
                                ],
                            },
                        },
                    ],
                }
            ],
        }
    ]
}

LOGS: dict[str, Any] = {
    "resourceLogs": [
        {
            "resource": _RESOURCE,
            "scopeLogs": [
                {
                    "scope": _SCOPE,
                    "logRecords": [
                        {
                            "timeUnixNano": _TIME,
                            "observedTimeUnixNano": _TIME,
                            "severityNumber": 10,
                            "severityText": "Information",
                            "traceId": "5B8EFFF798038103D269B633813FC60C",
                            "spanId": "EEE19B7EC3C1B174",
                            "body": {"stringValue": "Example log record"},
                            "attributes": [
                                _text("string.attribute", "some string"),
                                {"key": "boolean.attribute", "value": {"boolValue": True}},
                                {"key": "int.attribute", "value": {"intValue": "10"}},
                                {"key": "double.attribute", "value": {"doubleValue": 637.704}},
                                {
                                    "key": "array.attribute",
                                    "value": {
                                        "arrayValue": {"values": [{"stringValue": "many"}, {"stringValue": "values"}]}
                                    },
                                },
                                {
                                    "key": "map.attribute",
                                    "value": {"kvlistValue": {"values": [_text("some.map.key", "some value")]}},
                                },
                            ],
                        }
                    ],
                }
            ],
        }
    ]
}

EVENTS: dict[str, Any] = {
    "resourceLogs": [
        {
            "resource": _RESOURCE,
            "scopeLogs": [
                {
                    "scope": _SCOPE,
                    "logRecords": [
                        {
                            "timeUnixNano": _TIME,
                            "observedTimeUnixNano": _TIME,
                            "severityNumber": 9,
                            "eventName": "browser.page_view",
                            "body": {
                                "kvlistValue": {
                                    "values": [
                                        {"key": "type", "value": {"intValue": "0"}},
                                        _text("url", "https://www.example.com/page"),
                                    ]
                                }
                            },
                            "attributes": [_text("event.attribute", "some value")],
                        }
                    ],
                }
            ],
        }
    ]
}


def _fill(scoped: Any) -> Any:
    scoped.resource.attributes.add(key="service.name").value.string_value = "my.service"
    return scoped


def _fill_scope(scoped: Any) -> Any:
    scoped.scope.name, scoped.scope.version = "my.library", "1.0.0"
    scoped.scope.attributes.add(key="my.scope.attribute").value.string_value = "some scope attribute"
    return scoped


def _trace_message() -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    span = _fill_scope(_fill(message.resource_spans.add()).scope_spans.add()).spans.add(
        trace_id=bytes.fromhex("5b8efff798038103d269b633813fc60c"),
        span_id=bytes.fromhex("eee19b7ec3c1b174"),
        parent_span_id=bytes.fromhex("eee19b7ec3c1b173"),
        name="I'm a server span",
        start_time_unix_nano=_TIME_NS,
        end_time_unix_nano=1544712661000000000,
        kind=2,
    )
    span.attributes.add(key="my.span.attr").value.string_value = "some value"
    return message


def _metrics_message() -> ExportMetricsServiceRequest:
    message = ExportMetricsServiceRequest()
    metrics = _fill_scope(_fill(message.resource_metrics.add()).scope_metrics.add()).metrics
    counter = metrics.add(name="my.counter", unit="1", description="I am a Counter")
    counter.sum.aggregation_temporality, counter.sum.is_monotonic = 1, True
    point = counter.sum.data_points.add(as_double=5, start_time_unix_nano=_TIME_NS, time_unix_nano=_TIME_NS)
    point.attributes.add(key="my.counter.attr").value.string_value = "some value"
    gauge = metrics.add(name="my.gauge", unit="1", description="I am a Gauge")
    gauge.gauge.data_points.add(as_double=10, time_unix_nano=_TIME_NS)
    histogram = metrics.add(name="my.histogram", unit="1", description="I am a Histogram").histogram
    histogram.aggregation_temporality = 1
    histogram.data_points.add(
        start_time_unix_nano=_TIME_NS, time_unix_nano=_TIME_NS, count=2, sum=2, bucket_counts=[1, 1],
        explicit_bounds=[1], min=0, max=2,
    )  # fmt: skip
    exponential = metrics.add(name="my.exponential.histogram").exponential_histogram
    exponential.aggregation_temporality = 1
    exponential.data_points.add(
        count=3, sum=10, zero_count=1, positive={"offset": 1, "bucket_counts": [0, 2]}, min=0, max=5
    )
    return message


def _logs_message() -> ExportLogsServiceRequest:
    message = ExportLogsServiceRequest()
    record = _fill_scope(_fill(message.resource_logs.add()).scope_logs.add()).log_records.add(
        time_unix_nano=_TIME_NS,
        observed_time_unix_nano=_TIME_NS,
        severity_number=10,
        severity_text="Information",
        trace_id=bytes.fromhex("5b8efff798038103d269b633813fc60c"),
        span_id=bytes.fromhex("eee19b7ec3c1b174"),
        body={"string_value": "Example log record"},
    )
    record.attributes.add(key="string.attribute").value.string_value = "some string"
    record.attributes.add(key="boolean.attribute").value.bool_value = True
    record.attributes.add(key="int.attribute").value.int_value = 10
    record.attributes.add(key="double.attribute").value.double_value = 637.704
    array = record.attributes.add(key="array.attribute").value.array_value
    array.values.add(string_value="many")
    array.values.add(string_value="values")
    values = record.attributes.add(key="map.attribute").value.kvlist_value.values
    values.add(key="some.map.key").value.string_value = "some value"
    return message


def _events_message() -> ExportLogsServiceRequest:
    message = ExportLogsServiceRequest()
    record = _fill_scope(_fill(message.resource_logs.add()).scope_logs.add()).log_records.add(
        time_unix_nano=_TIME_NS, observed_time_unix_nano=_TIME_NS, severity_number=9, event_name="browser.page_view"
    )
    values = record.body.kvlist_value.values
    values.add(key="type").value.int_value = 0
    values.add(key="url").value.string_value = "https://www.example.com/page"
    record.attributes.add(key="event.attribute").value.string_value = "some value"
    return message


TRACE_MESSAGE = _trace_message()
METRICS_MESSAGE = _metrics_message()
LOGS_MESSAGE = _logs_message()
EVENTS_MESSAGE = _events_message()
