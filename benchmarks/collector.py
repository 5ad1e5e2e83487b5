"""Spans per CPU-second of this collector beside `rotel` and the stock Collector, fed the same stream in one run.

    python benchmarks/collector.py [--rounds 8] [--spans 100 512] [--collector PATH]
    python benchmarks/collector.py --sustain 60

Ours decodes, learns baselines, judges, commits to SQLite and forwards; the others forward. All forward over gRPC,
without compression, to the same kind of backend, which counts what it gets: a round is over when everything has arrived
there. Beside them, without forwarding: ours, and two receivers in Python, one on generated classes that builds
attribute dicts (what a plain receiver does), one on raw bytes that only answers (the floor of any). CPU is the
operating system's accounting of each server's process. All are up together and take the stream one after the other,
round by round; of each the best round counts, since noise only adds.

``--sustain`` sends 10,000 spans a second for so many seconds instead, over gRPC and over HTTP, to one after the other:
share of one core, resident memory, spans sent and received.

`rotel` comes with ``pip install -e '.[bench]'``; the stock Collector's binary is where `make conformance` puts it, or
is given by ``--collector``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from senders import grpc_export, http_export, send_all
from servers import Server, ours, rotel, rotel_binary, stock, stopping
from small_servers import Backend, answers_only, generated_classes, without_forwarding
from stream import Stream

ROUND_SPANS = 100_000
"""About half a second of CPU, so that what happens once a second is in most rounds."""

STOCK = Path(__file__).parents[1] / ".bench" / "peers" / "otelcol"

ALONE: dict[str, Callable[[Path], Server]] = {
    "ours, without forwarding": without_forwarding,
    "generated classes, no engine": generated_classes,
    "grpcio, answers only": answers_only,
}
"""What passes nothing on: a part of ours, and what any receiver in Python costs."""

SETTLE_S = 0.3
"""What was taken is passed on, committed and cleaned up."""


def one_round(server: Server, backend: Backend | None, stream: Stream) -> float:
    """Spans per CPU-second of the server."""
    bodies = stream.renewed(time.time_ns())
    received = backend.count() if backend is not None else 0
    before = server.cpu_seconds()
    send_all(server.grpc_port, bodies)
    if backend is not None:
        arrived = backend.wait_for(received + stream.n_items, 10) - received
        if arrived != stream.n_items:
            raise RuntimeError(f"{arrived} of {stream.n_items} spans arrived")
    time.sleep(SETTLE_S)
    return stream.n_items / (server.cpu_seconds() - before)


def starters(collector: Path) -> dict[str, Callable[[Path, int], Server]]:
    """By name, everything there is on this machine."""
    found: dict[str, Callable[[Path, int], Server]] = {"ours": ours}
    binary = rotel_binary()
    if binary is None:
        print("rotel is not installed (pip install -e '.[bench]'): not compared")
    else:
        found["rotel"] = lambda folder, port: rotel(binary, folder, port)
    if not collector.is_file():
        print(f"no binary of the stock Collector at {collector} (--collector): not compared")
    else:
        found["stock Collector"] = lambda folder, port: stock(collector.resolve(), folder, port)
    return found


def compare(stream: Stream, rounds: int, found: dict[str, Callable[[Path, int], Server]], folder: Path) -> None:
    backends = {name: Backend(folder) for name in found}
    servers = {name: start(folder, backends[name].port) for name, start in found.items()}
    servers |= {name: start(folder) for name, start in ALONE.items()}
    best = dict.fromkeys(servers, 0.0)
    with stopping(*servers.values(), *(backend.server for backend in backends.values())):
        for round_ in range(rounds + 1):
            for name, server in servers.items():
                reached = one_round(server, backends.get(name), stream)
                if round_:  # the first warms up
                    best[name] = max(best[name], reached)
        for name, server in servers.items():
            ratio = f"{best['ours'] / best[name]:.2f} x"
            print(
                f"{stream.n_spans:>14} {name:>28} {best[name]:>12,.0f} {ratio:>14} {server.rss_mib:>5.0f} MiB",
                flush=True,
            )


def sustain(name: str, start: Callable[[Path, int], Server], seconds: int, protocol: str, folder: Path) -> None:
    """A hundred requests of a hundred spans a second."""
    rate, n_spans = 100, 100
    stream = Stream(rate, n_spans)
    backend = Backend(folder)
    server = start(folder, backend.port)
    connect = grpc_export(server.grpc_port) if protocol == "gRPC" else http_export(server.http_port)
    with stopping(server, backend.server), connect as export:
        export(stream.renewed(time.time_ns())[0])  # connects
        received, before = backend.wait_for(n_spans, 5), server.cpu_seconds()
        began, n_sent, peak = time.monotonic(), 0, 0.0
        for second in range(seconds):
            bodies = stream.renewed(time.time_ns())
            for i, body in enumerate(bodies):
                time.sleep(max(0.0, began + second + i / rate - time.monotonic()))
                export(body)
                n_sent += n_spans
            peak = max(peak, server.rss_mib)
        took_s = time.monotonic() - began
        n_received = backend.wait_for(received + n_sent, 10) - received
        share = (server.cpu_seconds() - before) / took_s
        print(
            f"{name:>22} {protocol:>5} {n_sent:>10,} {n_received:>10,} {n_sent / took_s:>8,.0f}/s"
            f" {share:>7.1%} {peak:>6.0f} MiB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--spans", type=int, nargs="+", default=[100, 512], help="spans a request")
    parser.add_argument("--agents", type=int, default=2, help="agents in the stream")
    parser.add_argument("--ids", type=int, nargs="+", default=[16], help="lengths of the attribute of a span's own")
    parser.add_argument("--collector", type=Path, default=STOCK, help="binary of the stock Collector")
    parser.add_argument("--sustain", type=int, metavar="SECONDS", help="10,000 spans a second for so long")
    arguments = parser.parse_args()
    found = starters(arguments.collector)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.sustain:
            print(f"{'server':>22} {'':>5} {'sent':>10} {'received':>10} {'rate':>10} {'core':>7} {'RSS':>10}")
            for name, start in found.items():
                for protocol in ("gRPC", "HTTP"):
                    sustain(name, start, arguments.sustain, protocol, Path(folder))
            return
        print(f"{'spans/request':>14} {'server':>28} {'spans/CPU-s':>12} {'ours beside it':>14} {'RSS':>9}")
        for n_spans in arguments.spans:
            stream = Stream(
                max(1, ROUND_SPANS // n_spans), n_spans, n_agents=arguments.agents, id_lengths=tuple(arguments.ids)
            )
            compare(stream, arguments.rounds, found, Path(folder))


if __name__ == "__main__":
    main()
