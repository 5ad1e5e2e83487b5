"""The second receiver: what a collector passes on and says arrives here."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from bmad_processor.model import Signal
from bmad_processor.receive import ACCEPTED, Accepted, GrpcConfig, GrpcReceiver, HttpConfig, HttpReceiver

COLLECTOR = "bmad-otel-collector"
"""`service.name` of what a collector says itself."""


@dataclass(frozen=True)
class Said:
    """One alert event or scaling hint as a log record."""

    event_name: str
    body: str
    severity: str
    attributes: dict[str, Any]

    @property
    def event_id(self) -> str:
        return str(self.attributes["bmad.alert.event_id"])

    @property
    def reason(self) -> dict[str, Any]:
        return dict(json.loads(self.attributes["bmad.alert.reason"]))


def _values(attributes: Any) -> dict[str, Any]:
    def plain(pair: KeyValue) -> Any:
        kind = pair.value.WhichOneof("value")
        return None if kind is None else getattr(pair.value, kind)

    return {pair.key: plain(pair) for pair in attributes}


def fields(body: bytes) -> Iterator[bytes]:
    """The fields of a protobuf message, each with its tag, when all are of a kind with a length."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = body[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value, at

    at = 0
    while at < len(body):
        tag, begin = varint(at)
        assert tag & 7 == 2
        length, begin = varint(begin)
        yield body[at : begin + length]
        at = begin + length


class Backend:
    """Records every request. ``on_event`` is called before a request with alert events is answered."""

    may_wait = False

    def __init__(self) -> None:
        self._got: list[tuple[Signal, bytes]] = []
        self._lock = threading.Lock()
        self.answer: Exception | None = None
        self.on_event: Callable[[], None] | None = None

    def consume(self, signal: Signal, body: bytes) -> Accepted:
        if self.answer is not None:
            raise self.answer
        with self._lock:
            self._got.append((signal, body))
        if self.on_event is not None and signal is Signal.LOGS and COLLECTOR.encode() in body:
            self.on_event()
        return ACCEPTED

    def bodies(self, signal: Signal) -> list[bytes]:
        """The requests that have something of senders in them, without what the collector says itself."""
        with self._lock:
            got = [body for kind, body in self._got if kind is signal]
        rest = (b"".join(f for f in fields(body) if COLLECTOR.encode() not in f) for body in got)
        return [body for body in rest if body]

    def received(self, signal: Signal) -> bytes:
        """What senders sent, end to end: how many of their requests came in one is the exporter's business."""
        return b"".join(self.bodies(signal))

    def said(self, event_name: str = "") -> list[Said]:
        """What the collector itself said, in order."""
        with self._lock:
            bodies = [body for kind, body in self._got if kind is Signal.LOGS and COLLECTOR.encode() in body]
        return [
            Said(record.event_name, record.body.string_value, record.severity_text, _values(record.attributes))
            for body in bodies
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
            if record.event_name.startswith(event_name)
        ]

    def gauges(self, name: str) -> list[tuple[dict[str, Any], float]]:
        """Attributes and value of every point the collector itself reported."""
        with self._lock:
            bodies = [body for kind, body in self._got if kind is Signal.METRICS and COLLECTOR.encode() in body]
        return [
            (_values(point.attributes), point.as_double)
            for body in bodies
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.gauge.data_points
        ]


@contextmanager
def grpc_backend(backend: Backend, at: str = "127.0.0.1:0") -> Iterator[str]:
    receiver = GrpcReceiver(GrpcConfig(endpoint=at), backend)
    receiver.start()
    try:
        yield receiver.endpoint
    finally:
        receiver.stop(2)


@contextmanager
def http_backend(backend: Backend) -> Iterator[str]:
    receiver = HttpReceiver(HttpConfig(endpoint="127.0.0.1:0"), backend)
    receiver.start()
    try:
        yield f"http://{receiver.endpoint}"
    finally:
        receiver.stop(2)
