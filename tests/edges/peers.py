"""Real peers for the edges: a consumer that records, and backends that answer as they are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from bmad_processor.errors import Malformed
from bmad_processor.model import Signal
from bmad_processor.receive import ACCEPTED, Accepted, AsgiServer

REQUESTS: dict[Signal, Any] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
PATHS = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
UNKNOWN_FIELD = b"\xfa\x3f\x05later"
"""Field 1023 with five bytes: what a future version of OTLP might add."""


def spans_body(n: int = 1, name: str = "task") -> bytes:
    spans = [Span(trace_id=bytes(range(16)), span_id=i.to_bytes(8, "big"), name=name) for i in range(1, n + 1)]
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])]
    ).SerializeToString()


class Recorder:
    """A Consumer that decodes (so that garbage is Malformed), records, and answers what it was told."""

    may_wait = False

    def __init__(self) -> None:
        self.may_wait = False
        self.got: list[tuple[Signal, bytes]] = []
        self.answer: Accepted | Exception = ACCEPTED
        self.delay_s = 0.0
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()

    def consume(self, signal: Signal, body: bytes) -> Accepted:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            time.sleep(self.delay_s)
            if isinstance(self.answer, Exception):
                raise self.answer
            try:
                REQUESTS[signal].FromString(body)
            except DecodeError as error:
                raise Malformed(f"cannot decode: {error}") from error
            with self._lock:
                self.got.append((signal, body))
            return self.answer
        finally:
            with self._lock:
                self._now -= 1

    @property
    def messages(self) -> list[Any]:
        return [REQUESTS[signal].FromString(body) for signal, body in self.got]


GrpcAnswer = Callable[[bytes, grpc.ServicerContext], bytes]


@contextmanager
def grpc_backend(answer: GrpcAnswer, credentials: grpc.ServerCredentials | None = None) -> Iterator[str]:
    """A plain grpcio server whose Export methods answer with ``answer``; yields host:port."""

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            if handler_call_details.method in PATHS.values():
                return grpc.unary_unary_rpc_method_handler(answer)
            return None

    pool = ThreadPoolExecutor(2)
    server = grpc.server(pool, handlers=(Handler(),))
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait(5)
        pool.shutdown()


HttpAnswer = Callable[[dict[str, Any], bytes], tuple[int, dict[str, str], bytes]]


@contextmanager
def http_backend(answer: HttpAnswer) -> Iterator[str]:
    """An HTTP server that answers with ``answer(scope, body)``; yields its base URL."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        status, headers, content = answer(scope, body)
        raw = [(k.encode(), v.encode()) for k, v in headers.items()]
        raw.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    server = AsgiServer(app, "127.0.0.1:0")
    server.start()
    try:
        yield f"http://{server.endpoint}"
    finally:
        server.stop(2)


def eventually(is_true: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.005)
