"""Requests: what the SDK has collected as bytes of OTLP, in sizes that receivers take, from the process we are in."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.trace import ReadableSpan

from bmad_otel import semconv
from bmad_otel._delivery.answers import Taken
from bmad_otel._settings import SignalName

T = TypeVar("T")

MAX_REQUEST_BYTES: Final = 3 << 20
"""Size above which a batch is split. Receivers of gRPC refuse more than 4 MiB unless told otherwise."""

_ANSWERS: Final[dict[SignalName, tuple[Any, str]]] = {
    "traces": (ExportTraceServiceResponse, "rejected_spans"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records"),
}


class Identity:
    """What the resource of our providers says of the process, made true again in a forked child.

    A resource is fixed when a provider is made, and the only public way to another one is another provider, which
    OpenTelemetry sets once. So it is put right where it leaves: in the encoded request. `service.instance.id` is new in
    every child, also if the program gave one: two processes under one id would be one broken series to every backend.
    `process.pid` changes if it was the parent's.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._instance_id: str | None = None

    def after_fork_in_child(self) -> None:
        self._instance_id = str(uuid.uuid4())

    def put_right(self, resource: Any) -> None:
        """Change an OTLP resource in place, if this is a child."""
        if self._instance_id is None:
            return
        for pair in resource.attributes:
            if pair.key == semconv.SERVICE_INSTANCE_ID:
                pair.value.string_value = self._instance_id
            elif pair.key == semconv.PROCESS_PID and pair.value.int_value == self._pid:
                pair.value.int_value = os.getpid()


def span_bytes(spans: Sequence[ReadableSpan], identity: Identity | None) -> bytes:
    """An ExportTraceServiceRequest."""
    return _finished(encode_spans(spans), "resource_spans", identity)


def log_bytes(records: Sequence[ReadableLogRecord], identity: Identity | None) -> bytes:
    """An ExportLogsServiceRequest."""
    return _finished(encode_logs(records), "resource_logs", identity)


def metric_bytes(data: MetricsData, identity: Identity | None) -> bytes:
    """An ExportMetricsServiceRequest."""
    return _finished(encode_metrics(data), "resource_metrics", identity)


def _finished(request: Any, parts: str, identity: Identity | None) -> bytes:
    if identity is not None:
        for part in getattr(request, parts):
            identity.put_right(part.resource)
    body: bytes = request.SerializeToString()
    return body


def in_requests(
    items: Sequence[T], encode: Callable[[Sequence[T]], bytes], refuse: Callable[[T, Exception], None]
) -> Iterator[tuple[bytes, int]]:
    """Requests of ``items`` with the number of items in each: halved while they are too large or do not encode.

    So an item that cannot be encoded, which ``refuse`` gets, does not take the others with it.
    """
    if not items:
        return
    try:
        body = encode(items)
    except Exception as error:  # noqa: BLE001 - encoders raise what they like at what they do not know
        if len(items) == 1:
            refuse(items[0], error)
            return
    else:
        if len(body) <= MAX_REQUEST_BYTES or len(items) == 1:
            yield body, len(items)
            return
    middle = len(items) // 2
    yield from in_requests(items[:middle], encode, refuse)
    yield from in_requests(items[middle:], encode, refuse)


def taken(signal: SignalName, answer: bytes) -> Taken:
    """What a receiver's successful answer says of the items it did not take."""
    message, field = _ANSWERS[signal]
    try:
        partial = message.FromString(answer).partial_success
    except Exception:  # noqa: BLE001 - something else than OTLP; it said yes all the same
        return Taken()
    return Taken(rejected=max(0, getattr(partial, field)), message=partial.error_message)
