"""One fuzz target under atheris (libFuzzer): coverage of our own modules leads, `mutate` and libFuzzer's own mutations
alternate.

    python -m tests.fuzz.harness metrics --runs 100000

The corpus is read from tests/fuzz/corpus/<target> and new finds go to .bench/fuzz/<target>, unless ``--keep`` puts them
into the corpus; ``--merge`` does that later, and takes only what covers something new. A broken law stops the run
with the input in .bench/fuzz. At the end one line of JSON says what was done.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bmad_processor.decode", "bmad_processor.receive"]):
    from bmad_processor.model import Signal

    from .http_connection import Connections
    from .laws import Laws
    from .targets import of_body, of_json

from .mutate import MUTATORS

HERE = Path(__file__).parent
SCRATCH = HERE.parents[1] / ".bench" / "fuzz"
MAX_LENGTH = 1024
"""Bytes of an input: every structure fits, and copying stays cheap."""

TIMEOUT_S = 5
"""libFuzzer stops a run for an input that takes longer; the machine may be busy with other things meanwhile."""


def targets(laws: Laws) -> dict[str, Callable[[bytes], object]]:
    connections = Connections(laws)
    return {
        "traces": lambda data: laws.request(Signal.TRACES, data),
        "metrics": lambda data: laws.request(Signal.METRICS, data),
        "logs": lambda data: laws.request(Signal.LOGS, data),
        "json": lambda data: of_json(laws, data),
        "body": lambda data: of_body(laws, data),
        "http": connections.hold,
    }


class Run:
    """Counts inputs, their CPU time and the memory after each tenth."""

    def __init__(self, name: str, runs: int, test: Callable[[bytes], object], laws: Laws) -> None:
        self._name, self._runs, self._test, self._laws = name, runs, test, laws
        self._began_s = time.monotonic()
        self.inputs = 0
        self.longest_s = 0.0
        self.peaks_mib: list[int] = []

    def one(self, data: bytes) -> None:
        self.inputs += 1
        began_s = time.thread_time()
        self._test(data)
        self.longest_s = max(self.longest_s, time.thread_time() - began_s)
        if self.inputs % max(1, self._runs // 10) == 0:
            self.peaks_mib.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
            print(f"{self.inputs} inputs, {self.peaks_mib[-1]} MiB", file=sys.stderr, flush=True)  # noqa: T201
        if self.inputs == self._runs:
            self.tell()  # libFuzzer leaves by way of _exit: there is no later

    def tell(self) -> None:
        said = {
            "target": self._name, "inputs": self.inputs, "seconds": round(time.monotonic() - self._began_s, 1),
            "cpu_seconds": round(time.process_time(), 1), "longest_ms": round(self.longest_s * 1000, 1),
            "peak_mib_after_each_tenth": self.peaks_mib,
            "accepted": self._laws.accepted, "refused": self._laws.refused,
        }  # fmt: skip
        print(json.dumps(said), flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(MUTATORS))
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="put new finds into the corpus in the repository")
    parser.add_argument(
        "--merge", action="store_true", help="no fuzzing: take what covers more from .bench into the corpus"
    )
    asked = parser.parse_args()
    laws = Laws()
    run = Run(asked.target, asked.runs, targets(laws)[asked.target], laws)
    mutate = MUTATORS[asked.target]

    def mutated(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.15:
            return atheris.Mutate(data, max_size)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            data = mutate(data, rng)
        return data[:max_size]

    corpus, finds = HERE / "corpus" / asked.target, SCRATCH / asked.target
    finds.mkdir(parents=True, exist_ok=True)
    folders = [corpus, finds] if asked.merge else [corpus] if asked.keep else [finds, corpus]
    options = [
        f"-runs={asked.runs}", f"-seed={asked.seed}", f"-max_len={MAX_LENGTH}", f"-timeout={TIMEOUT_S}",
        "-rss_limit_mb=1024", f"-artifact_prefix={SCRATCH}/{asked.target}-", "-print_final_stats=0", "-verbosity=0",
        "-len_control=0", f"-merge={int(asked.merge)}",
    ]  # fmt: skip
    logging.disable()  # uvicorn's line about each thing that is no HTTP
    atheris.Setup([sys.argv[0], *options, *map(str, folders)], run.one, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
