"""The benchmark of the SDK runs to its end and measures what it says; its figures are not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benchmark_measures_every_form_and_says_when_one_did_not_do_its_work() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "sdk_overhead.py"), "--quick"],
        capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stdout, done.stdout
    titles = [line.removeprefix("## ") for line in done.stdout.splitlines() if line.startswith("## ")]
    assert titles == ["One call", "Targets", "Threads", "Import", "Memory"]
    # what is compared is the same work, and none of it got lost on the way
    assert "Spans and durations by hand have the very name and attributes of ours." in done.stdout, done.stdout
    told = [line for line in done.stdout.splitlines() if line.startswith("Durations that arrived")]
    assert len(told) == 2
    for line in told:
        arrived, made = line.rpartition(": ")[2].removesuffix(" tasks.").split(" of ")
        assert arrived == made != "0", line
