"""The installed command line with a state directory of its own, as one user on one machine has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from tests.run.collectors import eventually

BIN = Path(sys.executable).parent

ANY_PORTS = ("--grpc", "localhost:0", "--http", "localhost:0", "--api", "localhost:0")

_SENDER = """
import sys, time
from bmad_otel import configure, shutdown, track_task
configure(service_name="tests", host_metrics=True)  # not by turns with other programs on this machine
for argument in sys.argv[1:]:
    agent, done, failed = argument.split(":")
    for n in range(int(done) + int(failed)):
        with track_task(agent=agent, name="work") as task:
            if n < int(failed):
                task.fail("told to", error_type="told")
time.sleep(1)  # CPU time and rates are differences: two exports
shutdown()
"""


class Monitor:
    """Commands with ``home`` as state directory, run in ``work``."""

    def __init__(self, home: Path, work: Path) -> None:
        self.home = home
        self.work = work
        work.mkdir(parents=True, exist_ok=True)

    def environment(self, **env: str) -> dict[str, str]:
        """Nothing of the surroundings that would lead elsewhere."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("BMAD_OTEL_", "OTEL_", "LOG_LEVEL"))}
        path = f"{BIN}{os.pathsep}{clean.get('PATH', '')}"
        return clean | {"COLUMNS": "200", "TZ": "UTC", "PATH": path, "BMAD_OTEL_HOME": str(self.home)} | env

    def __call__(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "bmad-otel"), *args], env=self.environment(**env), cwd=self.work, capture_output=True, text=True,
            timeout=100, encoding="utf-8", stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def popen(self, *args: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(BIN / "bmad-otel"), *args], env=self.environment(**env), cwd=self.work,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
            start_new_session=True,  # the keyboard of whoever runs the tests is not meant
        )  # fmt: skip

    def start(self, *args: str, **env: str) -> dict[str, Any]:
        """Starts the service at free ports; what it says of itself."""
        done = self("start-monitoring", "--json", *ANY_PORTS, *args, **env)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return dict(json.loads(done.stdout))

    def stop(self) -> None:
        done = self("stop-monitoring")
        assert done.returncode == 0, (done.stdout, done.stderr)

    def record(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "service.json").read_text()))

    def json(self, *args: str, **env: str) -> dict[str, Any]:
        """The answer of a command that succeeds."""
        done = self(*args, "--json", **env)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return dict(json.loads(done.stdout))

    def send(self, *agents: str) -> None:
        """Tasks as ``agent:done:failed``, by a program of its own that ends when all is delivered."""
        endpoint = f"http://{self.record()['otlp_grpc']}"
        environment = self.environment(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_METRIC_EXPORT_INTERVAL="400")
        subprocess.run([sys.executable, "-c", _SENDER, *agents], env=environment, check=True, timeout=60)

    def log(self) -> str:
        return (self.home / "service.log").read_text()


def has_ended(pid: int) -> bool:
    """Whether the process is gone, or only waits for somebody to ask how it ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for_end(pid: int) -> None:
    eventually(lambda: has_ended(pid))
