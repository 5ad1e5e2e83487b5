"""Durable against memory queues, in one run: a collector that only forwards, to a backend that takes everything.

    python benchmarks/durable_queue.py

Every kind takes the same bodies in turn, sixteen requests in flight; the best round of each counts, because noise only
adds. CPU is that of the collector's process by the kernel's accounting.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from senders import send_all
from servers import ours, stopping
from small_servers import answers_only
from stream import Stream

QUEUES: dict[str, dict[str, Any]] = {
    "memory, 1 consumer": {"num_consumers": 1},
    "memory, 4 consumers": {},
    "on disk, fsync": {"storage": "sqlite"},
    "on disk, fsync: false": {"storage": "sqlite", "fsync": False},
}


SETTLE_S = 0.5
"""What was taken is passed on, and deleted."""


def compare(n_spans: int, rounds: int, backend_port: int, folder: Path) -> None:
    servers = {
        name: ours(folder, backend_port, exporter={"sending_queue": queue}, judges=False)
        for name, queue in QUEUES.items()
    }
    seconds = dict.fromkeys(servers, float("inf"))
    cpu = dict.fromkeys(servers, float("inf"))
    stream = Stream(40_000 // n_spans, n_spans)
    with stopping(*servers.values()):
        for round_ in range(rounds + 1):
            bodies = stream.renewed(time.time_ns())
            for queue, server in servers.items():
                before = server.cpu_seconds()
                took_s = send_all(server.grpc_port, bodies, connections=1, in_flight=16)
                time.sleep(SETTLE_S)
                if round_:  # the first warms up
                    seconds[queue] = min(seconds[queue], took_s)
                    cpu[queue] = min(cpu[queue], server.cpu_seconds() - before)
        for queue, server in servers.items():
            counters = server.status()["exporters"]["otlp_grpc"]
            joined = counters["sent_requests"] / counters["calls"]
            ratio = cpu["memory, 4 consumers"] / cpu[queue]
            print(
                f"{n_spans:>13} {queue:>22} {len(bodies) / seconds[queue]:>10,.0f}"
                f" {stream.n_items / seconds[queue]:>10,.0f} {stream.n_items / cpu[queue]:>12,.0f}"
                f" {ratio:>5.2f}x {joined:>7.1f} {server.rss_mib:>5.0f} MiB",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(
        f"{'spans/request':>13} {'queue':>22} {'requests/s':>10} {'spans/s':>10} {'spans/CPU-s':>12} {'ratio':>6}"
        f" {'joined':>7} {'RSS':>9}"
    )
    # beside this file and not in /tmp, which may be memory: an fsync there says nothing
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as name:
        folder = Path(name)
        backend = answers_only(folder)
        with stopping(backend):
            for n_spans in (100, 512):
                compare(n_spans, arguments.rounds, backend.grpc_port, folder)


if __name__ == "__main__":
    main()
