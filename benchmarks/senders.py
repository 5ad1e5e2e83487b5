"""How requests reach a server: over gRPC, many in flight on each connection, or over HTTP, one after the other."""

from __future__ import annotations

import http.client
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"

_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]


@contextmanager
def grpc_export(port: int) -> Iterator[grpc.UnaryUnaryMultiCallable]:
    """A connection of its own; the call takes and gives bytes and raises `grpc.RpcError`."""
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS) as channel:
        yield channel.unary_unary(TRACES)


@contextmanager
def http_export(port: int) -> Iterator[Callable[[bytes], None]]:
    """One connection. The call raises RuntimeError when the answer is not 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def export(body: bytes) -> None:
        connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"answered {answer.status}")

    try:
        yield export
    finally:
        connection.close()


def send_all(port: int, bodies: list[bytes], *, connections: int = 2, in_flight: int = 8) -> float:
    """Seconds until all are acknowledged, ``in_flight`` on their way on each connection."""
    began_s = time.perf_counter()

    def work(part: list[bytes]) -> None:
        with grpc_export(port) as export:
            waiting: deque[grpc.Future] = deque()
            for body in part:
                waiting.append(export.future(body))
                if len(waiting) >= in_flight:
                    waiting.popleft().result()
            for future in waiting:
                future.result()

    with futures.ThreadPoolExecutor(connections) as pool:
        list(pool.map(work, [bodies[i::connections] for i in range(connections)]))
    return time.perf_counter() - began_s
