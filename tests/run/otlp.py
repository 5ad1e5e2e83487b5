"""OTLP as raw bytes: bodies of requests, and senders that put them on the wire unchanged."""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from bmad_processor.model import Signal

SECOND = 1_000_000_000

METHODS = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}

UNKNOWN_FIELD = b"\xfa\x3f\x05later"
"""Field 1023 with five bytes: what a future version of OTLP might add."""


def attributes(values: Mapping[str, str | bytes | int | float]) -> list[KeyValue]:
    def value(of: str | bytes | int | float) -> AnyValue:
        match of:
            case str():
                return AnyValue(string_value=of)
            case bytes():
                return AnyValue(bytes_value=of)
            case int():
                return AnyValue(int_value=of)
            case float():
                return AnyValue(double_value=of)

    return [KeyValue(key=key, value=value(of)) for key, of in values.items()]


def resource(instance: str = "one") -> Resource:
    return Resource(attributes=attributes({"service.name": "bytes", "service.instance.id": instance}))


def task_span(agent: str, *, end_ns: int, duration_s: float = 0.1, is_error: bool = False) -> Span:
    """A finished task of ``agent`` as any GenAI instrumentation reports it."""
    return Span(
        trace_id=random.randbytes(16),
        span_id=random.randbytes(8),
        name=f"invoke_agent {agent}"[:100],
        start_time_unix_nano=max(0, end_ns - round(duration_s * SECOND)),
        end_time_unix_nano=end_ns,
        attributes=attributes({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent}),
        status=Status(code=Status.STATUS_CODE_ERROR if is_error else Status.STATUS_CODE_UNSET),
    )


def traces(spans: Iterable[Span], *, instance: str = "one") -> bytes:
    scopes = [ScopeSpans(spans=spans)]
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource(instance), scope_spans=scopes)]
    ).SerializeToString()


def tasks(agent: str, n: int, *, end_ns: int | None = None, is_error: bool = False, instance: str = "one") -> bytes:
    """``n`` finished tasks, by default of now."""
    at = time.time_ns() if end_ns is None else end_ns
    return traces((task_span(agent, end_ns=at, is_error=is_error) for _ in range(n)), instance=instance)


def metrics(*all_metrics: Metric, instance: str = "one") -> bytes:
    scopes = [ScopeMetrics(metrics=all_metrics)]
    return ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=resource(instance), scope_metrics=scopes)]
    ).SerializeToString()


def gauge(name: str, agent: str, values: Iterable[float], *, time_ns: int | None = None) -> Metric:
    at = time.time_ns() if time_ns is None else time_ns
    named = attributes({"gen_ai.agent.name": agent})
    return Metric(
        name=name,
        gauge=Gauge(data_points=[NumberDataPoint(time_unix_nano=at, as_double=v, attributes=named) for v in values]),
    )


def task_totals(agent: str, *, ok: tuple[int, int], errors: tuple[int, int], time_ns: int) -> Metric:
    """Task durations as an SDK reports them by default, as running totals; ``ok`` and ``errors``: since when, count."""
    points = []
    for (start_ns, n), outcome in ((ok, {}), (errors, {"error.type": "ValueError"})):
        if n:
            points.append(
                HistogramDataPoint(
                    start_time_unix_nano=start_ns,
                    time_unix_nano=time_ns,
                    count=n,
                    sum=0.1 * n,
                    explicit_bounds=[0.05, 0.2, 1.0],
                    bucket_counts=[0, n, 0, 0],
                    attributes=attributes(
                        {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent, **outcome}
                    ),
                )
            )
    return Metric(
        name="gen_ai.invoke_agent.duration",
        unit="s",
        histogram=Histogram(
            data_points=points, aggregation_temporality=AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        ),
    )


def logs(n: int = 1) -> bytes:
    records = [LogRecord(time_unix_nano=time.time_ns(), body=AnyValue(string_value="hello")) for _ in range(n)]
    return ExportLogsServiceRequest(
        resource_logs=[ResourceLogs(resource=resource(), scope_logs=[ScopeLogs(log_records=records)])]
    ).SerializeToString()


class GrpcClient:
    """One connection that sends bytes as they are; ``export`` raises grpc.RpcError for a refusal."""

    def __init__(self, endpoint: str) -> None:
        self._channel = grpc.insecure_channel(
            endpoint,
            options=(
                ("grpc.max_send_message_length", -1),
                ("grpc.enable_retries", 0),
                ("grpc.use_local_subchannel_pool", 1),  # channels to one address would share a connection otherwise
            ),
        )
        self._calls = {signal: self._channel.unary_unary(method) for signal, method in METHODS.items()}

    def export(self, signal: Signal, body: bytes, *, is_gzip: bool = False) -> bytes:
        compression = grpc.Compression.Gzip if is_gzip else None
        answer = self._calls[signal](body, timeout=30, compression=compression, wait_for_ready=True)
        assert isinstance(answer, bytes)
        return answer

    def refusal(self, signal: Signal, body: bytes) -> Any:
        """The error with which ``body`` is refused; fails when it is taken."""
        try:
            self.export(signal, body)
        except grpc.RpcError as error:
            return error
        raise AssertionError("was not refused")

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> GrpcClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def post(
    endpoint: str,
    signal: Signal,
    body: bytes | Iterable[bytes],
    *,
    content_type: str = "application/x-protobuf",
    encoding: str = "",
) -> tuple[int, dict[str, str], bytes]:
    """One OTLP/HTTP request; an iterable body is sent in chunks, without a length. Status, headers, body."""
    headers = {"Content-Type": content_type} | ({"Content-Encoding": encoding} if encoding else {})
    connection = http.client.HTTPConnection(endpoint, timeout=30)
    try:
        connection.request("POST", f"/v1/{signal}", body, headers, encode_chunked=not isinstance(body, bytes))
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    finally:
        connection.close()
