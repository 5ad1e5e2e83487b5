"""How long from a failing task to its alert: span sent to a busy collector, alert record received by the backend.

    python benchmarks/latency.py [--rate 50000] [--agents 200] [--alerts 150]

One real collector process over gRPC, with baselines and alerts on, forwarding everything; a process that keeps sending
spans of many agents at ``--rate``; and, at random moments, ten failing spans of an agent nobody has heard of. Measured
is from the moment the failing spans are sent until the alert's log record arrives. The same with early judgement
switched off, which is what judging at pane ends alone costs (monitoring interval 5 s, lateness 6 s).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from senders import LOGS, grpc_export
from servers import Server, ours, stopping
from small_servers import listening
from stream import at, template

SPANS = 512
WARM_UP_S = 8
VICTIM = re.compile(rb"Victim\d{5}")


def load(port: int, rate: int, n_agents: int, stop: Any, sent: Any) -> None:
    """Sends ``rate`` spans a second until told to stop; counts what was acknowledged."""
    bodies = [template(seed, SPANS, n_agents) for seed in range(20)]
    with grpc_export(port) as export:
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


class Seen:
    """When the first record about each victim arrived; takes everything."""

    def __init__(self) -> None:
        self.at_s: dict[str, float] = {}

    def take(self, method: str, body: bytes) -> bytes:
        if method == LOGS:
            now = time.monotonic()
            for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
                for scope in resource.scope_logs:
                    for record in scope.log_records:
                        for found in VICTIM.findall(record.SerializeToString()):
                            self.at_s.setdefault(found.decode(), now)
        return b""


def run(early: str, rate: int, n_agents: int, n_alerts: int, spread_s: float) -> None:
    seen = Seen()
    backend, port = listening(seen.take, threads=4)
    performance = {"alerts": {"early_interval": early}, "limits": {"max_agents": n_agents + 10_000}}
    try:
        with tempfile.TemporaryDirectory() as folder:
            server = ours(Path(folder), port, exporter={"compression": "gzip"}, performance=performance, tells=True)
            with stopping(server):
                stop, sent = multiprocessing.Event(), multiprocessing.Value("q", 0)
                arguments = (server.grpc_port, rate, n_agents, stop, sent)
                sender = multiprocessing.Process(target=load, args=arguments, daemon=True)
                sender.start()
                time.sleep(WARM_UP_S)
                latencies, used = probe(server, seen, sent, n_alerts, spread_s)
                stop.set()
                sender.join(10)
    finally:
        backend.stop(None)
    found = sorted(latencies)
    print(
        f"{'early ' + early if early != '0s' else 'pane ends only':>16}: {len(found):>4} of {n_alerts} alerts,"
        f" p50 {percentile(found, 0.5) * 1e3:>7.0f} ms, p99 {percentile(found, 0.99) * 1e3:>7.0f} ms,"
        f" max {found[-1] * 1e3:>7.0f} ms; {used}",
        flush=True,
    )


def probe(server: Server, seen: Seen, sent: Any, n_alerts: int, spread_s: float) -> tuple[list[float], str]:
    sent_at: dict[str, float] = {}
    failing = template(1, 10, 1, name="Victim#####", is_failing=True)
    began, n_before, cpu_before = time.monotonic(), sent.value, server.cpu_seconds()
    with grpc_export(server.grpc_port) as export:
        for n in range(n_alerts):
            name = f"Victim{10_000 + n}"
            body = at(failing.replace(b"Victim#####", name.encode()), time.time_ns())
            sent_at[name] = time.monotonic()
            export(body, timeout=30)
            time.sleep(random.uniform(0, 2 * spread_s / n_alerts))
    took = time.monotonic() - began
    rate = (sent.value - n_before) / took
    cpu = (server.cpu_seconds() - cpu_before) / took
    deadline = time.monotonic() + 20
    while len(seen.at_s) < n_alerts and time.monotonic() < deadline:
        time.sleep(0.05)
    used = f"{rate:,.0f} spans/s taken, {cpu:.0%} of a core, {server.rss_mib:.0f} MiB"
    return [seen.at_s[name] - at_s for name, at_s in sent_at.items() if name in seen.at_s], used


def percentile(found: list[float], q: float) -> float:
    return found[min(len(found) - 1, int(q * len(found)))]


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
