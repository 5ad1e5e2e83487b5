"""Mutations of mutations that were accepted, without coverage: deep and fast, and the place to watch memory.

    python -m tests.fuzz.evolve --runs 1000000

libFuzzer keeps its inputs in memory and most of them are refused; here four of five mutants are accepted, because each
descends from one that was. A broken law ends the run and leaves its input in .bench/fuzz.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bmad_processor.model import Signal

from . import mutate
from .laws import Laws
from .seeds import CORPUS, rich

SCRATCH = Path(__file__).parents[2] / ".bench" / "fuzz"
POOL = 1000
"""Inputs per signal to descend from; a new one takes the place of any."""

MAX_LENGTH = 2048


class Evolution:
    """Pools of requests, and a source of chance."""

    def __init__(self, seed: int = 1) -> None:
        self.laws = Laws()
        self.inputs = 0
        self.longest_s = 0.0
        self._rng = random.Random(seed)
        self._signals = tuple(Signal)
        self._pools: dict[Signal, list[bytes]] = {signal: self._start(signal) for signal in Signal}

    def _start(self, signal: Signal) -> list[bytes]:
        seeds = [path.read_bytes() for path in sorted((CORPUS / str(signal)).iterdir())]
        return [rich(str(signal)).SerializeToString(), *(body for body in seeds if len(body) <= MAX_LENGTH)]

    def advance(self, runs: int) -> None:
        """So many mutants."""
        rng = self._rng
        for _ in range(runs):
            signal = rng.choice(self._signals)
            pool = self._pools[signal]
            body = mutate.message(rng.choice(pool), rng)
            self.inputs += 1
            began_s = time.thread_time()
            try:
                is_accepted = self.laws.request(signal, body) is not None
            except Exception:
                SCRATCH.mkdir(parents=True, exist_ok=True)
                (SCRATCH / f"{signal}-evolved").write_bytes(body)
                raise
            self.longest_s = max(self.longest_s, time.thread_time() - began_s)
            if is_accepted and 20 < len(body) <= MAX_LENGTH:
                if len(pool) < POOL:
                    pool.append(body)
                else:
                    pool[rng.randrange(POOL)] = body


def resident_mib() -> float:
    """Memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def watched(runs: int, seed: int) -> Iterator[tuple[Evolution, float]]:
    """The evolution after each tenth, and the memory then."""
    evolution = Evolution(seed)
    for _ in range(10):
        evolution.advance(runs // 10)
        yield evolution, resident_mib()


def main(say: Callable[[str], object] = print) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began_s = time.monotonic()
    memory = []
    for evolution, mib in watched(asked.runs, asked.seed):
        memory.append(round(mib))
        print(f"{evolution.inputs} inputs, {mib:.0f} MiB", file=sys.stderr, flush=True)  # noqa: T201
    told = {
        "target": "evolve", "inputs": evolution.inputs, "seconds": round(time.monotonic() - began_s, 1),
        "cpu_seconds": round(time.process_time(), 1), "longest_ms": round(evolution.longest_s * 1000, 1),
        "mib_after_each_tenth": memory, "accepted": evolution.laws.accepted, "refused": evolution.laws.refused,
    }  # fmt: skip
    say(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
