"""Cost per span from ten to a hundred thousand agents: the same number of spans, at the same rate, of ever more agents.

    python benchmarks/agents.py [--rate 20000] [--seconds 75] [--agents 10 100 1000 10000 100000]

Decoder, engine host and SQLite store of a collector in one process, a process for each number of agents, in real time.
A request is one sender's: 512 spans of ten agents; the senders take turns. Every agent is heard of once at first.
Printed per number of agents, over the last 25 s, when windows are full:

* ``us/span``: CPU of everything together, decoding, judging and committing included; ``core``: as a share of one;
* ``judge``, ``dump``, ``write``: CPU per agent for judging one pane end, encoding it for the store, and writing it with
  its history;
* ``take``: how long a receiver was kept by the engine for one request, median and worst;
* memory added, and that by agent and by series (four of them: throughput, error rate, success rate, response time);
  bytes in the store per agent, without write-ahead log.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from stream import at, template

from bmad_processor import judgement
from bmad_processor.decode import Decoder
from bmad_processor.model import Signal
from bmad_processor.run import commit, host
from bmad_processor.run.announce import Announcer
from bmad_processor.settings import SECOND, EngineSettings
from bmad_processor.store import Commit, SqliteStore

SPANS = 512
PER_SENDER = 10
SERIES = 4
MEASURED_S = 25.0


class Meter:
    """CPU of one function over all its calls, by wrapping it where it is looked up."""

    def __init__(self, owner: Any, name: str) -> None:
        self.cpu_s, self.n = 0.0, 0
        really = getattr(owner, name)

        def measured(*args: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return really(*args, **named)
            finally:
                self.cpu_s += time.thread_time() - began
                self.n += 1

        setattr(owner, name, measured)

    def reset(self) -> None:
        self.cpu_s, self.n = 0.0, 0

    def us(self) -> float:
        return self.cpu_s / self.n * 1e6 if self.n else float("nan")


class CountingStore(SqliteStore):
    """Counts the partitions it writes and the CPU that takes."""

    cpu_s, n = 0.0, 0

    def commit(self, commit: Commit) -> None:
        began = time.thread_time()
        super().commit(commit)
        self.cpu_s += time.thread_time() - began
        self.n += len(commit.partitions)


def of(body: bytes, sender: int) -> bytes:
    """The request of one sender, made now."""
    return at(body, time.time_ns()).replace(b"Agent100000", b"S%09d-" % sender)


def run(n_agents: int, rate: int, seconds: float) -> None:
    settings = EngineSettings(max_agents=2 * n_agents, early_interval_ns=SECOND // 50)
    judge, dump = Meter(judgement, "at_pane_end"), Meter(commit, "dump_partition")
    n_senders = max(1, n_agents // PER_SENDER)
    body = template(1, SPANS, PER_SENDER, offset=1_000_000)  # Agent1000000 to Agent1000009
    process = psutil.Process()
    gc.collect()
    base = process.memory_info().rss
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        store = CountingStore(str(path))
        announcer = Announcer(store, events_to=[], gauges_to=[], console=None)
        owner = host.EngineHost(settings, store, announcer, commit_interval_ns=SECOND)
        owner.start()
        decoder = Decoder(interval_ns=settings.interval_ns, max_agents=settings.max_agents)
        waits: list[float] = []
        patching_s = cpu_s = 0.0
        n = n_begin = 0
        for sender in range(n_senders):
            samples = decoder.decode(Signal.TRACES, of(body, sender)).samples
            owner.take(time.time_ns(), samples)
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < seconds:
            if not n_begin and elapsed > seconds - MEASURED_S:
                n_begin, cpu_s = n, time.process_time() - patching_s
                waits.clear()
                judge.reset()
                dump.reset()
                store.cpu_s, store.n = 0.0, 0
            patched = time.thread_time()
            request = of(body, n % n_senders)
            patching_s += time.thread_time() - patched
            samples = decoder.decode(Signal.TRACES, request).samples
            asked = time.perf_counter()
            owner.take(time.time_ns(), samples)
            waits.append(time.perf_counter() - asked)
            n += 1
            time.sleep(max(0.0, began + n * SPANS / rate - time.monotonic()))
        cpu_s = time.process_time() - patching_s - cpu_s
        added = process.memory_info().rss - base
        n_known = owner.counters()["partitions"]
        owner.stop()
        store.close()
        stored = path.stat().st_size
    waits.sort()
    n_spans = (n - n_begin) * SPANS
    print(
        f"{n_known:>8,} {n_spans / MEASURED_S:>8,.0f} {cpu_s / n_spans * 1e6:>8.2f} {cpu_s / MEASURED_S:>6.0%}"
        f" {judge.us():>8.1f} {dump.us():>8.1f} {store.cpu_s / max(1, store.n) * 1e6:>8.1f}"
        f" {waits[len(waits) // 2] * 1e3:>8.1f} {waits[-1] * 1e3:>8.1f} {added / 2**20:>7.0f}"
        f" {added / n_known:>9,.0f} {added / n_known / SERIES:>9,.0f} {stored / n_known:>9,.0f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=20_000, help="spans a second")
    parser.add_argument("--seconds", type=float, default=75.0, help="per number of agents")
    parser.add_argument("--agents", type=int, nargs="+", default=[10, 100, 1_000, 10_000, 100_000])
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        run(arguments.agents[0], arguments.rate, arguments.seconds)
        return
    print(
        f"{'agents':>8} {'spans/s':>8} {'us/span':>8} {'core':>6} {'judge us':>8} {'dump us':>8} {'write us':>8}"
        f" {'take ms':>8} {'worst':>8} {'MiB':>7} {'B/agent':>9} {'B/series':>9} {'B stored':>9}"
    )
    for n_agents in arguments.agents:
        command = [sys.executable, __file__, "--one", "--agents", str(n_agents)]
        subprocess.run([*command, "--seconds", str(arguments.seconds), "--rate", str(arguments.rate)], check=True)


if __name__ == "__main__":
    main()
