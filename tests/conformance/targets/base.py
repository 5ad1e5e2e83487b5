"""What a row may wish of a server, and the server it gets."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.conformance.backend import Backend
from tests.conformance.messages import SIGNALS

START_TIMEOUT_S = 60.0
"""On a machine that is busy with other things."""
ROOT = Path(__file__).parents[3]
PEERS = ROOT / ".bench" / "peers"
"""Where `setup.sh` puts other receivers."""


@dataclass(frozen=True, slots=True)
class Security:
    """TLS with client certificates, and a bearer token."""

    certificate: Path
    key: Path
    client_authority: Path
    token: str


@dataclass(frozen=True, slots=True)
class Wish:
    """How a server is to be configured; the default is the receiver's own defaults at free ports."""

    limit_bytes: int | None = None
    """Largest request of both protocols."""
    security: Security | None = None
    origins: tuple[str, ...] = ()
    """CORS."""
    max_streams: int | None = None
    keepalive: Mapping[str, Any] = field(default_factory=dict)
    """The Collector's `keepalive`."""
    is_easily_full: bool = False
    """One request in the queue to the backend, and one sender."""
    signals: Sequence[str] = SIGNALS
    """Those with a pipeline."""
    grpc: str | None = "127.0.0.1:0"
    """Address to listen on; empty: the receiver's default; None: not at all."""
    http: str | None = "127.0.0.1:0"
    unix: Path | None = None
    """A further gRPC listener at this socket."""
    is_strict_json: bool = False
    request_timeout_s: int | None = None
    """Time for a request to arrive over HTTP."""
    reload_interval_s: float | None = None
    """How often certificates are read again."""


class Child:
    """A process that does not outlive its test."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("BMAD_OTEL_", "OTEL_"))}
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=log.parent, env=environ
            )

    @property
    def log(self) -> str:
        """Everything it said so far."""
        return self._log.read_text(errors="replace")

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not is_ready():
            assert self.is_running, f"ended with {self._process.returncode}: {self.log[-2000:]}"
            assert time.monotonic() < deadline, f"not ready in time: {self.log[-2000:]}"
            time.sleep(0.02)

    def peak_bytes(self) -> int:
        """Most memory it ever held (VmHWM)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    def ask_to_stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def wait(self, timeout_s: float = 60.0) -> int:
        """The exit code."""
        return self._process.wait(timeout_s)

    def end(self) -> None:
        if self.is_running:
            self.ask_to_stop()
            try:
                self.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


@dataclass(slots=True)
class Server:
    """A running target."""

    grpc: str
    http: str
    backend: Backend | None
    """None when nobody knows where it sends to; then only answers are checked."""
    child: Child | None = None

    def delivers(self, *names: str, timeout_s: float = 30.0) -> None:
        """What was acknowledged arrives."""
        if self.backend is not None:
            self.backend.wait_for(*names, timeout_s=timeout_s)


class Target(Protocol):
    """A receiver that can be started."""

    name: str

    def start(self, folder: Path, backend: Backend, wish: Wish) -> Server:
        """A server that listens, or NotApplicable. Its files are in ``folder``; `Child.end` stops it."""
        ...

    def launch(self, folder: Path, wish: Wish) -> Child:
        """The process only, which may well fail to start; or NotApplicable."""
        ...


def free_port() -> int:
    """A port that was free just now, for programs that cannot say which one they got."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def is_listening(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def on_free_ports(run: Callable[[str, str], Child], backend: Backend) -> Server:
    """What ``run`` starts at two free addresses, for gRPC and for HTTP, when it listens on both."""
    grpc, http = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    child = run(grpc, http)
    child.wait_until(lambda: is_listening(grpc) and is_listening(http))
    return Server(grpc, http, backend, child)
