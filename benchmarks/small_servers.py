"""Python servers of a few lines, each a process of its own: backends, and what ours is compared with.

What runs in the process is below `serve`; it ends when its standard input does, or when it is terminated.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import grpc
from senders import TRACES
from servers import Server, free_port, started

MOST_BYTES = 256 * 2**20


def answers_only(folder: Path) -> Server:
    """grpcio with a raw-bytes handler that drops what it gets: the floor of any Python receiver."""
    return _started("floor", folder)


def generated_classes(folder: Path) -> Server:
    """Parses, builds a dict of each span's attributes and judges nothing: what a plain Python receiver does."""
    return _started("plain", folder)


def without_forwarding(folder: Path) -> Server:
    """Ours, with an exporter that takes everything and sends nothing: receive, decode, step and commit."""
    return _started("path", folder)


class Backend:
    """Counts the spans it is sent, in a file that everybody can read."""

    def __init__(self, folder: Path) -> None:
        self.server = _started("backend", folder)
        self._path = folder / f"{self.server.grpc_port}.count"

    @property
    def port(self) -> int:
        return self.server.grpc_port

    def count(self) -> int:
        """Spans received so far."""
        return int.from_bytes(self._path.read_bytes(), "little") if self._path.exists() else 0

    def wait_for(self, n_spans: int, timeout_s: float) -> int:
        """Waits until so many have come in all; what has come by then."""
        deadline = time.monotonic() + timeout_s
        while (n := self.count()) < n_spans and time.monotonic() < deadline:
            time.sleep(0.02)
        return n


def _started(kind: str, folder: Path) -> Server:
    port = free_port()
    return started([sys.executable, __file__, kind, str(port), str(folder)], folder, port)


def listening(handle: Callable[[str, bytes], bytes], port: int = 0, *, threads: int = 1) -> tuple[grpc.Server, int]:
    """A running server that gives ``handle`` the method and the body of every call; and its port."""

    class Everything(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            return grpc.unary_unary_rpc_method_handler(lambda body, _: handle(details.method, body))

    options = [("grpc.max_receive_message_length", MOST_BYTES), ("grpc.so_reuseport", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(threads), options=options)
    server.add_generic_rpc_handlers([Everything()])
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, bound


def serve(kind: str, port: int, folder: Path) -> None:
    """Runs one of them, until standard input ends."""
    if kind == "path":
        with _path(port, folder):
            sys.stdin.read()
        return
    handle = {"floor": _drop, "plain": _plain, "backend": _counting(folder / f"{port}.count")}[kind]
    server, _ = listening(handle, port)
    sys.stdin.read()
    server.stop(None)


def _drop(_: str, __: bytes) -> bytes:
    return b""


def _plain(_: str, body: bytes) -> bytes:
    from engine_step import plain_loop

    plain_loop(body)
    return b""


def _counting(file: Path) -> Callable[[str, bytes], bytes]:
    from bmad_processor.decode import wire

    n = 0
    file.write_bytes(bytes(8))
    out = os.open(file, os.O_WRONLY)

    def handle(method: str, body: bytes) -> bytes:
        nonlocal n
        if method != TRACES:  # what the collector itself has to say comes here as well
            return b""
        for resource_spans in wire.TraceRequest.FromString(body).resource_spans:
            n += sum([len(scope.spans) for scope in resource_spans.scope_spans])
        os.pwrite(out, n.to_bytes(8, "little"), 0)
        return b""

    return handle


class _Nowhere:
    """An exporter that takes everything and sends nothing."""

    name = "nowhere"

    def start(self) -> None: ...

    def has_room(self, _: int) -> bool:
        return True

    def offer(self, _: object) -> bool:
        return True

    def stop(self, _: float) -> None: ...

    def counters(self) -> dict[str, int]:
        return {}


@contextmanager
def _path(port: int, folder: Path) -> Iterator[None]:
    from bmad_processor.model import Signal
    from bmad_processor.receive import GrpcConfig, GrpcReceiver
    from bmad_processor.run.announce import Announcer
    from bmad_processor.run.host import EngineHost
    from bmad_processor.run.intake import Intake
    from bmad_processor.run.pipeline import Pipeline, build_routes
    from bmad_processor.settings import EngineSettings
    from bmad_processor.store import SqliteStore

    settings, store = EngineSettings(), SqliteStore(str(folder / f"{port}.db"))
    announcer = Announcer(store, events_to=[], gauges_to=[], console=None)
    host = EngineHost(settings, store, announcer, commit_interval_ns=10**9)
    host.start()
    routes = build_routes([(Signal.TRACES, True, (_Nowhere(),))])
    pipeline = Pipeline(routes, Intake(host, interval_ns=settings.interval_ns))
    receiver = GrpcReceiver(GrpcConfig(endpoint=f"127.0.0.1:{port}"), pipeline)
    receiver.start()
    try:
        yield
    finally:
        receiver.stop(2)
        host.stop()
        store.close()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
