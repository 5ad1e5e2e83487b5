"""A steady stream for long, a durable queue, and a backend that goes away and comes back: does everything arrive?

    python benchmarks/soak.py [--seconds 1200] [--rate 20000] [--flap 30]

Every span has an id of its own. The sender does what an SDK does: a request that is answered as retryable is sent again
until it is acknowledged. The backend notes every id it gets. In the end as many ids must have arrived as were
acknowledged, the queue must be empty, and the collector's memory must not have grown after the first quarter.

Prints a line every ten seconds and a verdict; exit code 1 when it is not what it should be.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent import futures
from contextlib import ExitStack
from pathlib import Path

import grpc
from payloads import trace_request
from senders import grpc_export
from servers import ours, stopping
from small_servers import listening

SPANS = 100
"""Spans a request."""
MARK = b"soak-id:"
"""First half of every trace id; the second half is a running number."""
_NUMBER = struct.Struct(">Q")
_IDS = re.compile(re.escape(b"\x0a\x10" + MARK) + b"(.{8})", re.DOTALL)

EXPORTER = {
    "retry_on_failure": {"initial_interval": "200ms", "max_interval": "2s"},
    "sending_queue": {"storage": "sqlite", "queue_size": 1_000_000, "max_bytes": "4GiB"},
}


def serve_backend(port: int, flap_s: float, n_ids: int) -> None:
    """Notes ids; listens for ``flap_s`` seconds, is gone for as long, and so on. Answers lines on standard input."""
    seen = bytearray(n_ids)
    counts = {"unique": 0, "again": 0}
    lock = threading.Lock()

    def note(_: str, body: bytes) -> bytes:
        with lock:
            for (number,) in map(_NUMBER.unpack, _IDS.findall(body)):
                counts["again" if seen[number] else "unique"] += 1
                seen[number] = 1
        return b""

    server, port = listening(note, port, threads=2)
    print(port, flush=True)
    is_flapping = threading.Event()
    is_flapping.set()

    def flap() -> None:
        nonlocal server
        while True:
            time.sleep(flap_s)
            if not is_flapping.is_set():
                return
            server.stop(0).wait()
            time.sleep(flap_s)
            server, _ = listening(note, port, threads=2)

    threading.Thread(target=flap, daemon=True).start()
    for line in sys.stdin:
        if line.strip() == "steady":
            is_flapping.clear()
        with lock:
            print(json.dumps(counts), flush=True)


class Numbered:
    """Requests whose spans have running numbers; encoded once, numbered anew each time."""

    def __init__(self) -> None:
        base_ns = 1_800_000_000 * 10**9
        self._base_ns = base_ns
        self._bodies = []
        for seed in range(8):
            body = bytearray(trace_request(SPANS, end_ns=base_ns, seed=seed, n_agents=5, offset=5 * seed))
            places = [
                match.start() + 2 for match in re.finditer(rb"\x0a\x10.{16}\x12\x08.{8}\x22\x08", body, re.DOTALL)
            ]
            times = [match.start() for match in re.finditer(rb"\x39.{8}\x41.{8}", body, re.DOTALL)]
            times = [at for at in times if abs(int.from_bytes(body[at + 10 : at + 18], "little") - base_ns) < 10**10]
            assert len(places) == len(times) == SPANS, (len(places), len(times))
            ends = [
                (int.from_bytes(body[at + 1 : at + 9], "little"), int.from_bytes(body[at + 10 : at + 18], "little"))
                for at in times
            ]
            for at in places:
                body[at : at + 8] = MARK
            self._bodies.append((body, places, times, ends))

    def request(self, n: int, now_ns: int) -> bytes:
        """The ``n``-th request, of spans that ended in the second before ``now_ns``."""
        body, places, times, ends = self._bodies[n % len(self._bodies)]
        number, shift = n * SPANS, now_ns - self._base_ns
        for at, time_at, (start, end) in zip(places, times, ends, strict=True):
            _NUMBER.pack_into(body, at + 8, number)
            body[time_at + 1 : time_at + 9] = (start + shift).to_bytes(8, "little")
            body[time_at + 10 : time_at + 18] = (end + shift).to_bytes(8, "little")
            number += 1
        return bytes(body)


class Sender:
    """Keeps the rate; tries again what is to be tried again."""

    def __init__(self, port: int) -> None:
        self._open = ExitStack()
        self._calls = [self._open.enter_context(grpc_export(port)) for _ in range(2)]
        self._pool = futures.ThreadPoolExecutor(8)
        self._lock = threading.Lock()
        self._room = threading.Semaphore(256)
        self.acknowledged = self.again = self.permanent = 0

    def send(self, n: int, body: bytes) -> None:
        """Returns at once, unless too much is in flight."""
        self._room.acquire()
        self._pool.submit(self._deliver, n, body)

    def _deliver(self, n: int, body: bytes) -> None:
        try:
            while True:
                try:
                    self._calls[n % 2](body, timeout=30)
                except grpc.RpcError as error:
                    if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                        with self._lock:
                            self.permanent += 1
                        return
                    with self._lock:
                        self.again += 1
                    time.sleep(0.2)
                else:
                    with self._lock:
                        self.acknowledged += SPANS
                    return
        finally:
            self._room.release()

    def close(self) -> None:
        self._pool.shutdown()
        self._open.close()


def soak(seconds: int, rate: int, flap_s: float, folder: Path) -> bool:
    n_requests = seconds * rate // SPANS
    backend = subprocess.Popen(
        [sys.executable, __file__, "--serve-backend", str(flap_s), str(n_requests * SPANS)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert backend.stdin is not None
    assert backend.stdout is not None
    port = int(backend.stdout.readline())

    def arrived(question: str = "count") -> dict[str, int]:
        backend.stdin.write(f"{question}\n")  # type: ignore[union-attr]
        backend.stdin.flush()  # type: ignore[union-attr]
        return dict(json.loads(backend.stdout.readline()))  # type: ignore[union-attr]

    try:
        server = ours(folder, port, exporter=EXPORTER)

        def n_queued() -> int:
            return int(server.status()["exporters"]["otlp_grpc"]["queue_size"])

        with stopping(server):
            sender, numbered = Sender(server.grpc_port), Numbered()
            rss: list[tuple[float, float]] = []
            cpu_before = server.cpu_seconds()
            began = time.monotonic()
            print(f"{'s':>6} {'acknowledged':>13} {'arrived':>12} {'again':>8} {'queued':>7} {'RSS':>9}", flush=True)
            next_line_s = 10.0
            for n in range(n_requests):
                time.sleep(max(0.0, began + n * SPANS / rate - time.monotonic()))
                sender.send(n, numbered.request(n, time.time_ns()))
                if (now_s := time.monotonic() - began) >= next_line_s:
                    next_line_s += 10.0
                    mib = server.rss_mib
                    rss.append((now_s, mib))
                    got = arrived()
                    print(
                        f"{now_s:>6.0f} {sender.acknowledged:>13,} {got['unique']:>12,} {got['again']:>8,}"
                        f" {n_queued():>7,} {mib:>5.0f} MiB", flush=True,
                    )  # fmt: skip
            sender.close()
            took_s = time.monotonic() - began
            got = arrived("steady")
            deadline = time.monotonic() + 2 * flap_s + 60
            while (got := arrived())["unique"] < sender.acknowledged and time.monotonic() < deadline:
                time.sleep(0.5)
            time.sleep(2)
            left = n_queued()
            core = (server.cpu_seconds() - cpu_before) / took_s
    finally:
        backend.kill()
        backend.wait()
    early = max(mib for at, mib in rss if at <= max(30.0, took_s / 4))
    late = max(mib for at, mib in rss if at >= took_s * 3 / 4)
    verdicts = {
        f"sent == delivered: {sender.acknowledged:,} acknowledged, {got['unique']:,} arrived"
        f" ({got['again']:,} of them twice)": sender.acknowledged == got["unique"] == n_requests * SPANS,
        f"empty queue: {left} requests left": left == 0,
        f"flat memory: {early:.0f} MiB at most in the first quarter, {late:.0f} MiB in the last": late
        < early * 1.1 + 5,
        f"no request refused for good: {sender.permanent}": sender.permanent == 0,
    }
    print(f"{took_s:.0f} s at {sender.acknowledged / took_s:,.0f} spans/s, {core:.0%} of a core,"
          f" {sender.again:,} requests sent again by the sender")  # fmt: skip
    for text, is_so in verdicts.items():
        print("ok " if is_so else "NOT", text)
    return all(verdicts.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=1200)
    parser.add_argument("--rate", type=int, default=20_000, help="spans a second")
    parser.add_argument("--flap", type=float, default=30.0, help="seconds the backend is there, and then gone")
    parser.add_argument("--serve-backend", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve_backend:
        flap_s, n_ids = arguments.serve_backend
        serve_backend(0, float(flap_s), int(n_ids))
        return
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(0 if soak(arguments.seconds, arguments.rate, arguments.flap, Path(folder)) else 1)


if __name__ == "__main__":
    main()
