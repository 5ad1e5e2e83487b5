"""Durable against memory queues, in one run: a collector that only forwards, to a backend that takes everything.

    python benchmarks/durable_queue.py

Every kind takes the same bodies in turn, sixteen requests in flight; the best round of each counts, because noise only
adds. CPU is that of the collector's process by the kernel's accounting.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import psutil
from payloads import trace_request

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

QUEUES: dict[str, dict[str, Any]] = {
    "memory, 1 consumer": {"num_consumers": 1},
    "memory, 4 consumers": {},
    "on disk, fsync": {"storage": "sqlite"},
    "on disk, fsync: false": {"storage": "sqlite", "fsync": False},
}


def serve_backend() -> None:
    handler = grpc.unary_unary_rpc_method_handler(lambda _body, _context: b"")
    server = grpc.server(futures.ThreadPoolExecutor(1), options=[("grpc.max_receive_message_length", 64 * 2**20)])
    for service in ("trace.v1.TraceService", "metrics.v1.MetricsService", "logs.v1.LogsService"):
        name = f"opentelemetry.proto.collector.{service}"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"Export": handler}),))
    print(server.add_insecure_port("localhost:0"), flush=True)
    server.start()
    sys.stdin.read()


def serve_collector(backend: str, folder: str, queue: str) -> None:
    from bmad_processor.config import load_config
    from bmad_processor.run.collector import Collector

    exporter = {"endpoint": backend, "compression": "none", "tls": {"insecure": True}, "sending_queue": QUEUES[queue]}
    path = Path(folder) / "collector.yaml"
    tree = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "localhost:0"}}}},
        "exporters": {"otlp_grpc": exporter},
        "extensions": {"sqlite": {"path": f"{folder}/state.db"}},
        "service": {
            "extensions": ["sqlite"],
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlp_grpc"]}},
        },
    }
    path.write_text(json.dumps(tree))
    with Collector(load_config([path])) as collector:
        print(collector.endpoints["otlp/grpc"].rpartition(":")[2], flush=True)
        sys.stdin.read()
        counters = collector.status()["exporters"]["otlp_grpc"]
        print(json.dumps({name: counters[name] for name in ("calls", "sent_requests")}), flush=True)


def start(*arguments: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    return time.clock_gettime((~process.pid << 3) | 2)  # what clock_getcpuclockid(3) gives on Linux


def send(port: int, bodies: list[bytes]) -> float:
    """Seconds until all are acknowledged, sixteen in flight."""
    began_s = time.perf_counter()
    with grpc.insecure_channel(f"localhost:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.unary_unary(EXPORT)
        waiting: list[Any] = []
        for body in bodies:
            waiting.append(call.future(body))
            if len(waiting) >= 16:
                waiting.pop(0).result()
        for future in waiting:
            future.result()
    return time.perf_counter() - began_s


def compare(n_spans: int, rounds: int, backend_port: int, folder: Path) -> None:
    servers = {}
    for number, queue in enumerate(QUEUES):
        place = folder / f"{n_spans}-{number}"
        place.mkdir()
        servers[queue] = start("collector", f"localhost:{backend_port}", str(place), queue)
    seconds = dict.fromkeys(servers, float("inf"))
    cpu = dict.fromkeys(servers, float("inf"))
    n = 40_000 // n_spans
    for round_ in range(rounds + 1):
        bodies = [trace_request(n_spans, end_ns=time.time_ns(), seed=i) for i in range(n)]
        for queue, (process, port) in servers.items():
            before = cpu_seconds(process)
            took_s = send(port, bodies)
            time.sleep(0.5)  # what was taken is passed on, and deleted
            if round_:  # the first warms up
                seconds[queue] = min(seconds[queue], took_s)
                cpu[queue] = min(cpu[queue], cpu_seconds(process) - before)
    for queue, (process, _) in servers.items():
        rss = psutil.Process(process.pid).memory_info().rss / 2**20
        answer, _ = process.communicate(timeout=30)
        counters = json.loads(answer)
        joined = counters["sent_requests"] / counters["calls"]
        per_cpu = n * n_spans / cpu[queue]
        ratio = per_cpu / (n * n_spans / cpu["memory, 4 consumers"])
        print(
            f"{n_spans:>13} {queue:>22} {n / seconds[queue]:>10,.0f} {n * n_spans / seconds[queue]:>10,.0f}"
            f" {per_cpu:>12,.0f} {ratio:>5.2f}x {joined:>7.1f} {rss:>5.0f} MiB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", nargs="+")
    arguments = parser.parse_args()
    if arguments.serve:
        kind, *rest = arguments.serve
        (serve_backend if kind == "backend" else serve_collector)(*rest)
        return
    print(
        f"{'spans/request':>13} {'queue':>22} {'requests/s':>10} {'spans/s':>10} {'spans/CPU-s':>12} {'ratio':>6}"
        f" {'joined':>7} {'RSS':>9}"
    )
    # beside this file and not in /tmp, which may be memory: an fsync there says nothing
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as folder:
        backend, backend_port = start("backend")
        for n_spans in (100, 512):
            compare(n_spans, arguments.rounds, backend_port, Path(folder))
        backend.kill()


if __name__ == "__main__":
    main()
