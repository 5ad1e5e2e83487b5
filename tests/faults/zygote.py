"""Collectors that start within a moment: a process that has everything imported and forks one for each round.

``python -m tests.faults.zygote`` takes one command a line: ``CONFIG`` starts a collector and answers with its process
id; the collector itself says its endpoints in a further line; an empty line waits for its end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import bmad_processor.cli.collecting
from bmad_processor.config import load_config
from bmad_processor.run.service import Collector
from bmad_processor.web import build_api

ROOT = Path(__file__).parents[2]


class Zygote:
    """The process, seen from the test. A context manager."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip

    def _line(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline().strip()

    def _say(self, line: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(f"{line}\n")

    def start(self, config: Path) -> int:
        """The process id of a collector that begins to start."""
        self._say(str(config))
        return int(self._line())

    def endpoints(self) -> dict[str, str]:
        """Of the collector started last, when it is ready."""
        return dict(json.loads(self._line()))

    def end(self, pid: int, number: int = signal.SIGKILL) -> None:
        """Ends it by a signal, wherever it is."""
        os.kill(pid, number)
        self._say("")
        while (line := self._line()) != "ended":
            assert line.startswith("{"), line  # it had become ready in between

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(30)
        self._child.stdout.close()


def _say(answer: Any) -> None:
    os.write(1, f"{answer}\n".encode())


def _collect(config: str) -> None:
    asked = {signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, asked)
    with Collector(load_config([Path(config)]), build_api=build_api) as collector:
        _say(json.dumps(collector.endpoints))
        signal.sigwait(asked)


def _main() -> None:
    assert bmad_processor.cli.collecting
    pid = 0
    for line in sys.stdin:
        config = line.strip()
        if not config:
            os.waitpid(pid, 0)
            _say("ended")
            continue
        pid = os.fork()
        if not pid:
            try:
                _collect(config)
            finally:
                os._exit(0)
        _say(pid)


if __name__ == "__main__":
    _main()
