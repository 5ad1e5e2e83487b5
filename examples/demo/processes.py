"""The processes of the demo: started, watched and, whatever happens, ended again.

Each one is the leader of a session of its own, so that a Ctrl-C at the terminal reaches the demo alone and the demo
decides the order of the end. Standard input is the `lifeline`; what a process prints goes to a file of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
"""The directory from which ``examples.demo`` can be imported."""

MARKER: Final = "BMAD_DEMO_RUN"
"""Environment variable that all processes of one run share."""

STOP_S: Final = 4.0
"""Time for agents and services to end in good order; an agent sends what it has measured within 2 s."""

LAST_STOP_S: Final = 11.0
"""The collector's own deadline is 10 s; it needs a fraction of one unless a disk hangs."""


@dataclass(slots=True)
class Child:
    name: str
    process: subprocess.Popen[str]
    log: Path
    is_wanted: bool = True
    """False from the moment the demo itself ends it."""

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def last_lines(self, count: int = 15) -> list[str]:
        """The end of what it printed."""
        return self.log.read_text(errors="replace").splitlines()[-count:]


class Children:
    """All processes of one run, by name."""

    def __init__(self, workspace: Path, environment: Mapping[str, str]) -> None:
        self._workspace = workspace
        self._environment = {**_inherited(), **environment, MARKER: workspace.name}
        self._children: dict[str, Child] = {}

    def start(self, name: str, *module: str) -> Child:
        """Runs ``python -m module...`` as ``name``; a process that had the name before must have ended."""
        log = self._workspace / f"{name}.log"
        with log.open("a") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=self._environment,
                text=True,
                start_new_session=True,
            )
        child = self._children[name] = Child(name, process, log)
        return child

    def __getitem__(self, name: str) -> Child:
        return self._children[name]

    def fallen(self) -> Child | None:
        """A process that ended although nobody asked it to."""
        return next((c for c in self._children.values() if c.is_wanted and not c.is_running), None)

    def order(self, name: str, text: str) -> None:
        """Writes a line to the standard input of ``name``; one that has just died is found by `fallen`."""
        stdin = self._children[name].process.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.write(text + "\n")
            stdin.flush()

    def kill(self, name: str) -> None:
        """Ends ``name`` as a crash would: at once."""
        child = self._children[name]
        child.is_wanted = False
        if child.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)  # it leads its group
        child.process.wait()
        _close_stdin(child)

    def stop(self, *names: str, seconds: float = STOP_S) -> None:
        """Asks processes to end, all at once; kills those that take longer than ``seconds``."""
        children = [self._children[name] for name in names if name in self._children]
        for child in children:
            child.is_wanted = False
            if child.is_running:
                child.process.terminate()
        deadline = time.monotonic() + seconds
        for child in children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.kill(child.name)
            _close_stdin(child)

    def dismiss(self, name: str) -> None:
        """Asks ``name`` to end and does not wait: `reap` or `stop` finds it when it has."""
        child = self._children[name]
        child.is_wanted = False
        if child.is_running:
            child.process.terminate()

    def stop_all(self, *, last: str) -> None:
        """Ends everything, ``last`` after the others: what they still have to say goes to it."""
        self.stop(*(name for name in self._children if name != last))
        self.stop(last, seconds=LAST_STOP_S)


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on. All are held until all are found, so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _inherited() -> dict[str, str]:
    """The environment without what would redirect the demo's telemetry, and without a proxy between its processes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    local = "localhost,127.0.0.1"
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = f"{kept[name]},{local}" if kept.get(name) else local
    return kept


def _close_stdin(child: Child) -> None:
    if child.process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            child.process.stdin.close()
