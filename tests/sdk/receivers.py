"""Small real OTLP receivers that keep what they get: gRPC by generic handlers, HTTP by the standard library."""

from __future__ import annotations

import http.server
import threading
from concurrent import futures
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_MESSAGES: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}


class Received:
    """Requests by signal, with the headers of each, in order of arrival."""

    def __init__(self) -> None:
        self.requests: dict[str, list[Any]] = {signal: [] for signal in _MESSAGES}
        self.headers: list[dict[str, str]] = []
        self.endpoint = ""

    def add(self, signal: str, body: bytes, headers: dict[str, str]) -> None:
        self.requests[signal].append(_MESSAGES[signal].FromString(body))
        self.headers.append(headers)

    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests["traces"]
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def metrics(self) -> dict[str, Any]:
        """The newest state of each metric."""
        return {
            metric.name: metric
            for request in self.requests["metrics"]
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def resources(self, signal: str) -> list[dict[str, Any]]:
        found = []
        for request in self.requests[signal]:
            for part in request.resource_spans if signal == "traces" else request.resource_metrics:
                found.append(
                    {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in part.resource.attributes}
                )
        return found


class GrpcReceiver(Received):
    def __enter__(self) -> GrpcReceiver:
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers((self._Handler(self),))
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()

    class _Handler(grpc.GenericRpcHandler):
        def __init__(self, received: Received) -> None:
            self._received = received

        def service(self, details: Any) -> Any:
            service = details.method.split(".")[-1]
            signal = {"TraceService/Export": "traces", "LogsService/Export": "logs"}.get(service, "metrics")
            headers = {key: value for key, value in details.invocation_metadata if isinstance(value, str)}

            def export(body: bytes, _context: Any) -> bytes:
                self._received.add(signal, body, headers)
                return b""

            return grpc.unary_unary_rpc_method_handler(export)


class HttpReceiver(Received):
    def __enter__(self) -> HttpReceiver:
        received = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.add(self.path.removeprefix("/v1/"), body, {k.lower(): v for k, v in self.headers.items()})
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
