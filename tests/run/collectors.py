"""Real collectors: in this process, and as the installed command line."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from bmad_processor.config import load_config
from bmad_processor.run.collector import Collector
from bmad_processor.state import Partition
from bmad_processor.store import StoreReader
from bmad_processor.web import build_api

T = TypeVar("T")

PROGRAM = Path(sys.executable).with_name("bmad-otel")

FAST: dict[str, Any] = {
    "monitoring_interval": "1s",
    "evaluation_window": "3s",
    "allowed_lateness": "1s",
    "commit_interval": "100ms",
    "baseline": {"warmup": 2},
    "alerts": {"cooldown": "1s", "min_tasks": 1},
}
"""Everything within seconds."""


def eventually(ask: Callable[[], T], *, timeout_s: float = 20.0) -> T:
    """The first truthy answer; fails with the last one when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"did not come true in {timeout_s:g} s, at last: {answer!r}"
        time.sleep(0.01)
    return answer


def write_config(
    folder: Path,
    *,
    performance: Mapping[str, Any] | None = None,
    exporters: Mapping[str, Any] | None = None,
    is_scaling: bool = False,
) -> Path:
    """A configuration in ``folder``: every part at a free port, state in ``state.db``, all signals to all exporters.

    JSON is YAML too. Without ``exporters`` telemetry goes to ``telemetry.json``.
    """
    profile = {"agent": "*", "auto_scaling_enabled": is_scaling}
    (folder / "everyone.yaml").write_text(json.dumps(profile))
    to: Mapping[str, Any] = {"file": {"path": str(folder / "telemetry.json")}} if exporters is None else exporters
    pipeline: dict[str, Any] = {"receivers": ["otlp"], "exporters": list(to)}
    judged = {**pipeline, "processors": ["agent_performance"]}
    tree = {
        "receivers": {
            "otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}, "http": {"endpoint": "127.0.0.1:0"}}}
        },
        "processors": {"agent_performance": {"profiles": ["everyone.yaml"], **(performance or FAST)}},
        "exporters": dict(to),
        "extensions": {"sqlite": {"path": str(folder / "state.db")}, "api": {"endpoint": "127.0.0.1:0"}},
        "service": {
            "extensions": ["sqlite", "api"],
            # its page would be at the one port that all collectors of all tests would try to have
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": judged, "metrics": judged, "logs": pipeline},
        },
    }
    path = folder / "collector.yaml"
    path.write_text(json.dumps(tree, indent=2))
    return path


def to_grpc(endpoint: str, **options: Any) -> dict[str, Any]:
    """Configuration of an exporter that tries again soon and keeps the order."""
    soon = {"initial_interval": "50ms", "max_interval": "200ms"}
    queue = {"num_consumers": 1, **options.pop("sending_queue", {})}
    return {
        "endpoint": endpoint,
        "tls": {"insecure": True},
        "retry_on_failure": soon,
        "sending_queue": queue,
        **options,
    }


class Api:
    """Questions to a running collector."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def get(self, path: str) -> Any:
        connection = http.client.HTTPConnection(self.endpoint, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, (response.status, body)
            return json.loads(body)
        finally:
            connection.close()

    def agent(self, name: str) -> dict[str, Any] | None:
        """The row of an agent, None when it is not known (yet)."""
        return next((row for row in self.get("/api/v1/agents")["agents"] if row["name"] == name), None)

    def tasks_of(self, name: str) -> int:
        row = self.agent(name)
        return 0 if row is None else int(row["tasks_total"])

    def alerts(self) -> list[dict[str, Any]]:
        return list(self.get("/api/v1/alerts")["alerts"])

    def status(self) -> dict[str, Any]:
        return dict(self.get("/api/v1/status"))

    def intake(self) -> dict[str, int]:
        return dict(self.status()["intake"])


@contextmanager
def embedded(config: Path, **options: Any) -> Iterator[Collector]:
    """A collector in this process."""
    with Collector(load_config([config]), build_api=build_api, **options) as collector:
        yield collector


class Process:
    """``bmad-otel collector`` as a process. A context manager that leaves none behind."""

    def __init__(self, *configs: Path, log: Path) -> None:
        self._log = log
        self._log.write_text("")
        arguments = [part for config in configs for part in ("--config", str(config))]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("BMAD_OTEL_")}
        with log.open("ab") as out:
            self._child = subprocess.Popen(
                [str(PROGRAM), "collector", *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environ
            )
        self.pid = self._child.pid

    @property
    def log(self) -> str:
        """Everything it printed so far."""
        return self._log.read_text(encoding="utf-8")

    def endpoints(self) -> dict[str, str]:
        """Component to address, as the line that says ready names them."""

        def ready() -> str:
            assert self._child.poll() is None, self.log
            return next((line for line in self.log.splitlines() if " ready: " in line), "")

        parts = eventually(ready).partition(" ready: ")[2].split(", ")
        return dict(part.rsplit(" ", 1) for part in parts)  # type: ignore[misc]

    @property
    def is_running(self) -> bool:
        return self._child.poll() is None

    def signal(self, number: int = signal.SIGTERM) -> None:
        self._child.send_signal(number)

    def wait(self, timeout_s: float = 30.0) -> int:
        """The exit code; minus the signal's number when one killed it."""
        return self._child.wait(timeout_s)

    def stop(self) -> int:
        """Asks it to stop and waits; the exit code."""
        self.signal()
        return self.wait()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_running:
            self._child.kill()
        self._child.wait()


def stored(config: Path, agent: str) -> Partition:
    """What the store beside ``config`` knows about an agent."""
    with StoreReader(str(config.with_name("state.db"))).snapshot() as snapshot:
        partition = snapshot.partition(f"agent//{agent}")
    assert partition is not None
    return partition


def learned(config: Path, agent: str) -> dict[str, tuple[int, float]]:
    """Metric type to how many values its baseline has learned, and their mean."""
    return {name: (b.n, b.mean) for name, b in stored(config, agent).baselines.items()}


def unsent(config: Path) -> int:
    """Events in the notification log whose delivery was not confirmed."""
    with StoreReader(str(config.with_name("state.db"))).snapshot() as snapshot:
        return snapshot.unsent()
