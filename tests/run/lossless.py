"""Counting ids: a sender that knows what was acknowledged, a backend that knows what arrived and how it was marked."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bmad_processor.emit import REDELIVERED
from bmad_processor.model import Signal

from . import otlp
from .otlp import METHODS


class CountingBackend:
    """A gRPC server that counts spans; metrics and logs are taken and forgotten.

    ``decide`` may return a status code to refuse a request with, or take its time.
    """

    def __init__(self, endpoint: str = "127.0.0.1:0") -> None:
        self._lock = threading.Lock()
        self.arrived: Counter[bytes] = Counter()
        """Span id to how often it came."""
        self.unmarked_repeats: list[bytes] = []
        """Ids that came again in a request that was not marked."""
        self.n_calls = 0
        self.n_marked_calls = 0
        self.decide: Any = lambda: None
        self._server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
        spans = grpc.unary_unary_rpc_method_handler(self._take)
        nothing = grpc.unary_unary_rpc_method_handler(lambda body, context: b"")
        for signal, path in METHODS.items():
            service = path.split("/")[1]
            handler = spans if signal is Signal.TRACES else nothing
            self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Export": handler})])
        host = endpoint.rpartition(":")[0]
        self.endpoint = f"{host}:{self._server.add_insecure_port(endpoint)}"
        self._server.start()

    def _take(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        is_marked = (REDELIVERED, "true") in context.invocation_metadata()
        with self._lock:
            self.n_calls += 1
            self.n_marked_calls += is_marked
        refusal = self.decide()
        if refusal is not None:
            context.abort(refusal, "as told")
        ids = span_ids(body)
        with self._lock:
            for each in ids:
                self.arrived[each] += 1
                if self.arrived[each] > 1 and not is_marked:
                    self.unmarked_repeats.append(each)
        return b""

    def stop(self) -> None:
        self._server.stop(0).wait()

    def __enter__(self) -> CountingBackend:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def span_ids(body: bytes) -> list[bytes]:
    """Of every span in a request."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        span.span_id for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
    ]


class Load:
    """Threads that send for as long as it is entered, and note what was acknowledged. They never repeat themselves."""

    def __init__(self, endpoint: str, *, n_threads: int = 2, n_spans: int = 5, pause_s: float = 0.0) -> None:
        self.acknowledged: set[bytes] = set()
        self.refusals: list[str] = []
        self._n_spans = n_spans
        self._pause_s = pause_s
        self._ends = threading.Event()
        # a connection of its own: channels of one process to one address share it otherwise
        options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(endpoint, options=options)
        self._call = self._channel.unary_unary(METHODS[Signal.TRACES])
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(n_threads)]

    def _run(self) -> None:
        while not self._ends.is_set():
            body = otlp.tasks("Planner", self._n_spans)
            try:
                self._call(body, timeout=10, wait_for_ready=True)
            except grpc.RpcError as error:
                if not self._ends.is_set():  # else the end of the channel was what ended it
                    self.refusals.append(f"{error.code()}: {error.details()}")  # type: ignore[attr-defined]
                    time.sleep(0.01)
                continue
            except ValueError:  # the channel was closed
                return
            with self._lock:
                self.acknowledged.update(span_ids(body))
            time.sleep(self._pause_s)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def end(self) -> None:
        """No more is sent; what is not answered yet is given up."""
        self._ends.set()
        self._channel.close()
        for thread in self._threads:
            thread.join()

    def __exit__(self, *_: object) -> None:
        self.end()
