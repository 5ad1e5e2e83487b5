"""A collector that can be killed at a step of the commit order: ``python -m tests.run.killable CONFIG``.

Takes one command a line on standard input and answers each with one line: ``clock NS`` sets its time, ``kill STEP``
makes it end itself by SIGKILL the next time that step of the commit order is reached (``kill later``: somebody else
will do it). From the first step on its time stands still: a disk may take a second, and a second of the machine is a
minute of the test's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bmad_processor.config import load_config
from bmad_processor.run.collector import Collector
from bmad_processor.store import StoreReader
from bmad_processor.web import build_api

ROOT = Path(__file__).parents[2]


class _Child:
    def __init__(self, path: Path) -> None:
        self.now_ns = 0
        self._kill_at = ""
        self._is_ending = False
        self._state = str(path.with_name("state.db"))
        self.collector = Collector(
            load_config([path]), build_api=build_api, clock=lambda: self.now_ns, on_step=self._on_step
        )

    def _on_step(self, step: str) -> None:
        self._is_ending = bool(self._kill_at)
        if step == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if step == "send" and self._kill_at == "mark":
            # marking happens in the exporter's thread once the backend has answered
            while self._unsent():
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGKILL)

    def _unsent(self) -> int:
        with StoreReader(self._state).snapshot() as snapshot:
            return snapshot.unsent()

    def obey(self, command: str, argument: str) -> None:
        match command:
            case "clock":
                if self._is_ending:
                    time.sleep(60)  # SIGKILL ends it
                self.now_ns = int(argument)
            case "kill":
                self._kill_at = argument


class Killable:
    """The process, seen from the test. A context manager: leaving it asks the process to stop if it still runs."""

    def __init__(self, config: Path, now_ns: int) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.run.killable", str(config), str(now_ns)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        self.pid = self._child.pid
        self.endpoints: dict[str, str] = {}

    def tell(self, command: str, argument: object) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(f"{command} {argument}\n")
        assert self._line() == "ok"

    def _line(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline().strip()

    def wait(self) -> int:
        return self._child.wait(30)

    def __enter__(self) -> Killable:
        self.endpoints = json.loads(self._line())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()  # the end of its commands ends it
        try:
            self._child.wait(30)
        finally:
            self._child.kill()
            self._child.wait()
            self._child.stdout.close()


def _main(path: str, now_ns: str) -> None:
    child = _Child(Path(path))
    child.now_ns = int(now_ns)
    with child.collector:
        _say(json.dumps(child.collector.endpoints))
        for line in sys.stdin:
            command, _, argument = line.strip().partition(" ")
            child.obey(command, argument)
            _say("ok")


def _say(answer: Any) -> None:
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
