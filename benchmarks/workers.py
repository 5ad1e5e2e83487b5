"""The same stream into one worker and into two: spans per second at saturation, and their ratio.

    python benchmarks/workers.py

Everything is on: OTLP/HTTP in, decoding, baselines and alerts, forwarding over OTLP/HTTP. Requests are encoded before
the clock starts and written to many connections by one thread, each connection waiting for its answer before the next
request, so the collector is always saturated and what it takes is what it can. The load generator (this process) and
the backend (a process that reads and answers) need CPU too, on the same cores; their share is printed. Two workers can
be twice as fast as one only where two cores are free for them: *with free cores* is the ratio of spans per CPU-second
of the workers, times two, which is what they reach when load and backend are elsewhere.

Rounds of one and of two workers take turns, since other programs disturb them; the best of each counts.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from servers import cpu_seconds, free_port, ours, stopping
from stream import Stream

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


def serve_sink(port: int) -> None:
    """A backend: reads requests, answers them, looks at nothing but their length."""
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    listener.setblocking(False)
    poll = selectors.DefaultSelector()
    poll.register(listener, selectors.EVENT_READ, None)
    scratch = bytearray(1 << 20)
    left: dict[socket.socket, int] = {}
    while True:
        for key, _ in poll.select():
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if sock is listener:
                client, _ = listener.accept()
                client.setblocking(False)
                poll.register(client, selectors.EVENT_READ, None)
                left[client] = 0
                continue
            try:
                # of a body only the length matters: Linux throws it away without copying it
                wanted = min(left[sock] or 65536, len(scratch))
                n = sock.recv_into(scratch, wanted, socket.MSG_TRUNC if left[sock] else 0)
            except BlockingIOError:
                continue
            except OSError:
                n = 0
            if not n:
                poll.unregister(sock)
                sock.close()
                continue
            if left[sock]:
                left[sock] -= n
            else:  # the head of a request comes in one piece from the clients that are measured here
                head, _, body = bytes(scratch[:n]).partition(b"\r\n\r\n")
                length = next(int(h[15:]) for h in head.split(b"\r\n") if h[:15].lower() == b"content-length:")
                left[sock] = length - len(body)
            if not left[sock]:
                sock.send(_OK)


@dataclass
class Round:
    spans: int
    seconds: float
    workers_s: list[float]
    """CPU of each worker."""
    others_s: dict[str, float]
    """CPU of the processes around them."""
    spread: list[int] = field(default_factory=list)
    """Spans that each worker took from its own connections."""
    refused: int = 0

    @property
    def rate(self) -> float:
        return self.spans / self.seconds

    @property
    def per_cpu_second(self) -> float:
        return self.spans / sum(self.workers_s)


class Connection:
    """One sender: a request on its way, or an answer waited for."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.rest = memoryview(b"")

    def push(self) -> bool:
        """Writes what goes; whether all of it has gone."""
        with contextlib.suppress(BlockingIOError):
            while self.rest:
                self.rest = self.rest[self.sock.send(self.rest) :]
        return not self.rest


def pump(port: int, requests: Sequence[bytes], n_connections: int, seconds: float) -> tuple[int, int, float]:
    """Sends for so long; requests accepted, requests refused, and how long it took until the last answer."""
    poll = selectors.EpollSelector()
    connections = [Connection(port) for _ in range(n_connections)]
    n_sent = accepted = refused = 0
    waiting = len(connections)
    for connection in connections:
        poll.register(connection.sock, selectors.EVENT_WRITE, connection)
    began_s = time.perf_counter()
    until_s = began_s + seconds
    idle = set(connections)
    while waiting:
        for key, events in poll.select():
            connection = key.data
            if events & selectors.EVENT_READ:
                answer = connection.sock.recv(65536)
                if not answer:
                    raise RuntimeError("the collector closed a connection")
                accepted += answer.startswith(b"HTTP/1.1 200")
                refused += not answer.startswith(b"HTTP/1.1 200")
                idle.add(connection)
            if connection in idle:
                if time.perf_counter() >= until_s:
                    poll.unregister(connection.sock)
                    waiting -= 1
                    continue
                idle.discard(connection)
                connection.rest = memoryview(requests[n_sent % len(requests)])
                n_sent += 1
            if connection.rest:
                wanted = selectors.EVENT_READ if connection.push() else selectors.EVENT_WRITE
                if key.events != wanted:
                    poll.modify(connection.sock, wanted, connection)
    took_s = time.perf_counter() - began_s
    for connection in connections:
        connection.sock.close()
    return accepted, refused, took_s


def measure(folder: Path, workers: int, stream: Stream, backend: int, sink: int, asked: argparse.Namespace) -> Round:
    # requests are sent several times, so their spans grow older than a sender's would
    server = ours(folder, backend, over="otlp_http", performance={"allowed_lateness": "60s"}, workers=workers)
    with stopping(server):
        rows = server.status().get("workers")
        pids = [row["pid"] for row in rows] if isinstance(rows, list) else [server.pid]
        port = server.http_port
        head = f"POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        head += "Content-Type: application/x-protobuf\r\nContent-Length: "
        requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in stream.renewed(time.time_ns())]
        pump(port, requests, asked.connections, 1.0)  # caches, and what is made at first use
        watched = [*pids, os.getpid(), sink, server.pid]
        taken_before = spread(server.status(), workers)
        before = [cpu_seconds(pid) for pid in watched]
        accepted, refused, took_s = pump(port, requests, asked.connections, asked.seconds)
        used = [cpu_seconds(pid) - was for pid, was in zip(watched, before, strict=True)]
        taken = spread(server.status(), workers)
    others = dict(zip(("load", "backend", "supervisor"), used[len(pids) :], strict=True))
    if workers == 1:
        del others["supervisor"]  # the worker itself
    return Round(
        accepted * stream.n_spans,
        took_s,
        used[: len(pids)],
        others,
        [b - a for a, b in zip(taken_before, taken, strict=True)],
        refused,
    )


def spread(status: dict[str, object], workers: int) -> list[int]:
    rows = status.get("workers")
    each = [row["status"] for row in rows] if isinstance(rows, list) else [status]
    assert len(each) == workers
    return [_accepted(one) for one in each]


def _accepted(status: object) -> int:
    """Spans accepted by a process: the sum of all counters of that name, wherever the status has them."""
    if not isinstance(status, dict):
        return 0
    return sum(
        int(value) if key == "accepted_traces" else _accepted(value)
        for key, value in status.items()
        if key == "accepted_traces" or isinstance(value, dict)
    )


def show(workers: int, best: Round, rounds: Sequence[Round]) -> None:
    cpu = " + ".join(f"{s / best.seconds:.2f}" for s in best.workers_s)
    around = ", ".join(f"{name} {s / best.seconds:.2f}" for name, s in best.others_s.items())
    share = " / ".join(f"{n / max(1, sum(best.spread)):.0%}" for n in best.spread)
    median = statistics.median(each.rate for each in rounds)
    print(f"{workers} worker{'s' * (workers > 1):1}  {best.rate:9,.0f} spans/s (median {median:9,.0f})", end="  ")
    print(f"{best.per_cpu_second:9,.0f} per CPU-second of the workers")
    print(f"           cores: workers {cpu}; {around}", end="; ")
    print(f"share of the connections {share}; refused {best.refused}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--spans", type=int, default=512, help="per request")
    parser.add_argument("--agents", type=int, default=40)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--sink", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.sink:
        serve_sink(asked.sink)
    stream = Stream(max(40, 51200 // asked.spans), asked.spans, n_agents=asked.agents)
    rounds: dict[int, list[Round]] = {workers: [] for workers in asked.workers}
    port = free_port()
    sink = subprocess.Popen([sys.executable, __file__, "--sink", str(port)])
    try:
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(asked.rounds):
                for workers in asked.workers:
                    rounds[workers].append(measure(Path(folder), workers, stream, port, sink.pid, asked))
    finally:
        sink.kill()
        sink.wait()
    print(
        f"{asked.spans} spans a request, {asked.agents} agents, {asked.connections} connections, {os.cpu_count()} cores"
    )
    best = {workers: max(found, key=lambda r: r.rate) for workers, found in rounds.items()}
    for workers, found in rounds.items():
        show(workers, best[workers], found)
    first = asked.workers[0]
    for workers in asked.workers[1:]:
        cheapest = {w: max(found, key=lambda r: r.per_cpu_second).per_cpu_second for w, found in rounds.items()}
        free = workers / first * cheapest[workers] / cheapest[first]
        measured = best[workers].rate / best[first].rate
        print(f"ratio {workers} to {first}: {measured:.2f} measured, {free:.2f} with free cores")


if __name__ == "__main__":
    main()
