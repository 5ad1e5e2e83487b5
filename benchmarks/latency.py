"""How long from a failing task to its alert: span sent to a busy collector, alert record received by the backend.

    python benchmarks/latency.py [--rate 50000] [--agents 200] [--alerts 150]

One real collector process over gRPC, with baselines and alerts on, forwarding everything; a process that keeps sending
spans of many agents at ``--rate``; and, at random moments, ten failing spans of an agent nobody has heard of. Measured
is from the moment the failing spans are sent until the alert's log record arrives. The same with early judgement
switched off, which is what judging at pane ends alone costs (monitoring interval 5 s, lateness 6 s).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import psutil
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from payloads import trace_request

PROGRAM = Path(sys.executable).with_name("bmad-otel")
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
SPANS = 512
DURATIONS = 8
VICTIM = re.compile(rb"Victim\d{5}")


def template(
    seed: int, n_spans: int, n_agents: int, *, offset: int = 0, name: str = "", is_failing: bool = False
) -> bytes:
    """A request whose spans all end at the time ``EPOCH`` and began a little before; `at` moves both."""
    request = ExportTraceServiceRequest.FromString(
        trace_request(n_spans, end_ns=EPOCH, seed=seed, n_agents=n_agents, offset=offset)
    )
    for i, span in enumerate(request.resource_spans[0].scope_spans[0].spans):
        span.end_time_unix_nano = EPOCH
        span.start_time_unix_nano = EPOCH - (i % DURATIONS + 1) * 10_000_000
        span.status.code = 2 if is_failing else 0
        for attribute in list(span.attributes):
            if attribute.key == "gen_ai.agent.name" and name:
                attribute.value.string_value = name
            elif attribute.key == "error.type" and not is_failing:
                span.attributes.remove(attribute)
    return request.SerializeToString()


EPOCH = 0x1A2B3C4D5E6F7081


def at(body: bytes, now_ns: int) -> bytes:
    """``body`` with its times moved to ``now_ns``."""
    for i in range(DURATIONS + 1):
        old, new = EPOCH - i * 10_000_000, now_ns - i * 10_000_000
        body = body.replace(old.to_bytes(8, "little"), new.to_bytes(8, "little"))
    return body


def load(endpoint: str, rate: int, n_agents: int, stop: Any, sent: Any) -> None:
    """Sends ``rate`` spans a second until told to stop; counts what was acknowledged."""
    bodies = [template(seed, SPANS, n_agents) for seed in range(20)]
    with grpc.insecure_channel(endpoint, options=[("grpc.max_send_message_length", -1)]) as channel:
        export = channel.unary_unary(TRACES)
        began, n = time.monotonic(), 0
        while not stop.is_set():
            export(at(bodies[n % len(bodies)], time.time_ns()), timeout=30)
            n += 1
            sent.value = n * SPANS
            wait = began + n * SPANS / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            elif wait < -1:
                began = time.monotonic() - n * SPANS / rate  # too much asked for: no burst to catch up


class Backend(grpc.GenericRpcHandler):
    """Takes everything; notes when the first record about each victim arrived."""

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        is_logs = details.method == LOGS

        def export(body: bytes, _: grpc.ServicerContext) -> bytes:
            if is_logs:
                now = time.monotonic()
                for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                    for scope in resource.scope_logs:
                        for record in scope.log_records:
                            for found in VICTIM.findall(record.SerializeToString()):
                                self.seen.setdefault(found.decode(), now)
            return b""

        return grpc.unary_unary_rpc_method_handler(export)


def configuration(folder: Path, backend: str, early: str, n_agents: int) -> Path:
    tree = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}}},
        "processors": {
            "agent_performance": {"alerts": {"early_interval": early}, "limits": {"max_agents": n_agents + 10_000}}
        },
        "exporters": {
            "otlp_grpc": {"endpoint": backend, "tls": {"insecure": True}},
            "otlp_grpc/alerts": {"endpoint": backend, "tls": {"insecure": True}},
        },
        "extensions": {"sqlite": {"path": str(folder / "state.db")}},
        "service": {
            "extensions": ["sqlite"],
            "pipelines": {
                "traces": {"receivers": ["otlp"], "processors": ["agent_performance"], "exporters": ["otlp_grpc"]},
                "logs": {"receivers": ["otlp"], "exporters": ["otlp_grpc/alerts"]},
            },
        },
    }
    path = folder / "collector.yaml"
    path.write_text(json.dumps(tree))
    return path


def run(early: str, rate: int, n_agents: int, n_alerts: int, spread_s: float) -> None:
    backend = Backend()
    server = grpc.server(ThreadPoolExecutor(4), handlers=(backend,), options=[("grpc.max_receive_message_length", -1)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = configuration(folder, f"127.0.0.1:{port}", early, n_agents)
        log = folder / "log"
        with log.open("wb") as out:
            child = subprocess.Popen([PROGRAM, "collector", "--config", config], stdout=out, stderr=out)
        try:
            endpoint = ready(log, child)
            stop, sent = multiprocessing.Event(), multiprocessing.Value("q", 0)
            sender = multiprocessing.Process(target=load, args=(endpoint, rate, n_agents, stop, sent), daemon=True)
            sender.start()
            time.sleep(8)
            latencies, used = probe(endpoint, backend, child.pid, sent, n_alerts, spread_s)
            stop.set()
            sender.join(10)
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(30)
            server.stop(None)
    found = sorted(latencies)
    print(
        f"{'early ' + early if early != '0s' else 'pane ends only':>16}: {len(found):>4} of {n_alerts} alerts,"
        f" p50 {percentile(found, 0.5) * 1e3:>7.0f} ms, p99 {percentile(found, 0.99) * 1e3:>7.0f} ms,"
        f" max {found[-1] * 1e3:>7.0f} ms; {used}",
        flush=True,
    )


def probe(
    endpoint: str, backend: Backend, pid: int, sent: Any, n_alerts: int, spread_s: float
) -> tuple[list[float], str]:
    sent_at: dict[str, float] = {}
    failing = template(1, 10, 1, name="Victim#####", is_failing=True)
    process, began, n_before = psutil.Process(pid), time.monotonic(), sent.value
    cpu_before = sum(process.cpu_times()[:2])
    with grpc.insecure_channel(endpoint) as channel:
        export = channel.unary_unary(TRACES)
        for n in range(n_alerts):
            name = f"Victim{10_000 + n}"
            body = at(failing.replace(b"Victim#####", name.encode()), time.time_ns())
            sent_at[name] = time.monotonic()
            export(body, timeout=30)
            time.sleep(random.uniform(0, 2 * spread_s / n_alerts))
    took = time.monotonic() - began
    rate = (sent.value - n_before) / took
    cpu = (sum(process.cpu_times()[:2]) - cpu_before) / took
    deadline = time.monotonic() + 20
    while len(backend.seen) < n_alerts and time.monotonic() < deadline:
        time.sleep(0.05)
    used = f"{rate:,.0f} spans/s taken, {cpu:.0%} of a core, {process.memory_info().rss / 2**20:.0f} MiB"
    return [backend.seen[name] - at_s for name, at_s in sent_at.items() if name in backend.seen], used


def percentile(found: list[float], q: float) -> float:
    return found[min(len(found) - 1, int(q * len(found)))]


def ready(log: Path, child: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and child.poll() is None:
        found = re.search(r" ready: .*?otlp/grpc (\S+?)(,|\s)", log.read_text())
        if found:
            return found[1]
        time.sleep(0.05)
    raise SystemExit(f"the collector did not start: {log.read_text()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=50_000, help="spans a second beside the failing ones")
    parser.add_argument("--agents", type=int, default=200, help="agents these spans are of")
    parser.add_argument("--alerts", type=int, default=150)
    parser.add_argument("--spread", type=float, default=20.0, help="seconds over which the failing spans are sent")
    arguments = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for early in ("20ms", "0s"):
        run(early, arguments.rate, arguments.agents, arguments.alerts, arguments.spread)


if __name__ == "__main__":
    main()
