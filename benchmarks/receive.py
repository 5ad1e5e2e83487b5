"""Spans per CPU-second of the whole path over real sockets: gRPC, decode, engine, SQLite commits, forwarding.

    python benchmarks/receive.py [--rounds 12]

Server CPU is the operating system's accounting of the server process. In the same run, for comparison: a grpcio server
with raw-bytes handlers that only answers (the floor of any Python receiver) and one on generated classes that builds
attribute dicts (what a plain Python receiver does).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from concurrent import futures
from pathlib import Path

import grpc
import psutil
from payloads import trace_request

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
CONFIG = """
receivers: {otlp: {protocols: {grpc: {endpoint: "localhost:0"}}}}
processors: {agent_performance: {}}
exporters: {otlp_grpc: {endpoint: "%s", compression: none, tls: {insecure: true},
                        sending_queue: {queue_size: 10000, max_bytes: 1GiB}}}
extensions: {sqlite: {path: "%s"}}
service:
  extensions: [sqlite]
  pipelines:
    traces: {receivers: [otlp], processors: [agent_performance], exporters: [otlp_grpc]}
"""


def serve(handler: grpc.RpcMethodHandler) -> None:
    """A gRPC server that prints its port and lives until its standard input ends."""

    class Everything(grpc.GenericRpcHandler):
        def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            return handler

    options = [("grpc.max_receive_message_length", 64 * 2**20)]
    server = grpc.server(futures.ThreadPoolExecutor(1), options=options)
    server.add_generic_rpc_handlers([Everything()])
    print(server.add_insecure_port("localhost:0"), flush=True)
    server.start()
    sys.stdin.read()


def serve_floor() -> None:
    serve(grpc.unary_unary_rpc_method_handler(lambda *_: b""))


def serve_plain() -> None:
    from engine_step import plain_loop

    def handle(body: bytes, _: grpc.ServicerContext) -> bytes:
        plain_loop(body)
        return b""

    serve(grpc.unary_unary_rpc_method_handler(handle))


def serve_collector(backend: str, state: str) -> None:
    from bmad_processor.config import load_config
    from bmad_processor.run.collector import Collector

    path = Path(state).with_suffix(".yaml")
    path.write_text(CONFIG % (backend, state))
    with Collector(load_config([path])) as collector:
        print(collector.endpoints["otlp/grpc"].rpartition(":")[2], flush=True)
        sys.stdin.read()


class Nowhere:
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


def serve_path(state: str) -> None:
    """Receive, decode, step and commit, without forwarding."""
    from bmad_processor.model import Signal
    from bmad_processor.receive import GrpcConfig, GrpcReceiver
    from bmad_processor.run.announce import Announcer
    from bmad_processor.run.host import EngineHost
    from bmad_processor.run.intake import Intake
    from bmad_processor.run.pipeline import Pipeline, build_routes
    from bmad_processor.settings import EngineSettings
    from bmad_processor.store import SqliteStore

    settings, store = EngineSettings(), SqliteStore(state)
    announcer = Announcer(store, events_to=[], gauges_to=[], console=None)
    host = EngineHost(settings, store, announcer, commit_interval_ns=10**9)
    host.start()
    routes = build_routes([(Signal.TRACES, True, (Nowhere(),))])
    pipeline = Pipeline(routes, Intake(host, interval_ns=settings.interval_ns))
    receiver = GrpcReceiver(GrpcConfig(endpoint="localhost:0"), pipeline)
    receiver.start()
    print(receiver.endpoint.rpartition(":")[2], flush=True)
    sys.stdin.read()
    receiver.stop(2)
    host.stop()
    store.close()


def start(*arguments: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    """CPU time of the whole process, from its own clock in the kernel: nanoseconds instead of the 10 ms of /proc."""
    return time.clock_gettime((~process.pid << 3) | 2)  # what clock_getcpuclockid(3) gives on Linux


def send(port: int, bodies: list[bytes]) -> None:
    """Two connections, eight requests in flight on each."""

    def work(part: list[bytes]) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", 64 * 2**20)]
        with grpc.insecure_channel(f"localhost:{port}", options=options) as channel:
            call = channel.unary_unary(EXPORT)
            waiting: list[grpc.Future] = []
            for body in part:
                waiting.append(call.future(body))
                if len(waiting) >= 8:
                    waiting.pop(0).result()
            for future in waiting:
                future.result()

    with futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(work, [bodies[::2], bodies[1::2]]))


def rate(port: int, process: subprocess.Popen[str], bodies: list[bytes], n_spans: int) -> float:
    """Spans per CPU-second of the server for one round."""
    before = cpu_seconds(process)
    send(port, bodies)
    time.sleep(0.3)  # what was taken is passed on and committed
    return len(bodies) * n_spans / (cpu_seconds(process) - before)


def compare(n_spans: int, rounds: int, folder: Path, backend_port: int) -> None:
    """All servers at the same time, one round each in turn. The best round counts: noise only adds."""
    servers = {
        "answers only": start("floor"),
        "generated classes, no engine": start("plain"),
        "receive, decode, step": start("path", str(folder / f"{n_spans}-path.db")),
        "the same, and forwarding": start("collector", f"localhost:{backend_port}", str(folder / f"{n_spans}.db")),
    }
    best = dict.fromkeys(servers, 0.0)
    for round_ in range(rounds + 1):
        # new bodies in every round, ending now, so that nothing is late
        bodies = [trace_request(n_spans, end_ns=time.time_ns(), seed=i) for i in range(50_000 // n_spans)]
        for name, (process, port) in servers.items():
            reached = rate(port, process, bodies, n_spans)
            if round_:  # the first warms up
                best[name] = max(best[name], reached)
    for name, (process, _) in servers.items():
        rss = psutil.Process(process.pid).memory_info().rss / 2**20
        ratio = best[name] / best["generated classes, no engine"]
        print(f"{n_spans:>14} {name:>28} {best[name]:>12,.0f} {ratio:>6.1f}x {rss:>5.0f} MiB", flush=True)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--serve", nargs="+")
    arguments = parser.parse_args()
    if arguments.serve:
        kind, *rest = arguments.serve
        servers = {"floor": serve_floor, "plain": serve_plain, "path": serve_path, "collector": serve_collector}
        servers[kind](*rest)
        return
    print(f"{'spans/request':>14} {'server':>28} {'spans/CPU-s':>12} {'ratio':>7} {'RSS':>9}")
    with tempfile.TemporaryDirectory() as folder:
        backend, backend_port = start("floor")
        for n_spans in (100, 512):
            compare(n_spans, arguments.rounds, Path(folder), backend_port)
        backend.kill()


if __name__ == "__main__":
    main()
