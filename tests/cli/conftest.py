"""A store with known content, a real API server over it, and the installed command line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bmad_processor.model import AlertStatus, HistoryPoint, Level, PartitionKey, ScalingAction, ScalingHint
from bmad_processor.read_model import ReadModel
from bmad_processor.receive.http_server import AsgiServer
from bmad_processor.settings import SECOND, EngineSettings
from bmad_processor.state import Cell, Instance, Pane, Partition, Tasks
from bmad_processor.state_json import dump_partition
from bmad_processor.store import Commit, SqliteStore, StoreReader
from bmad_processor.web import build_api
from tests.store.test_codec import ALERT

Run = Callable[..., subprocess.CompletedProcess[str]]

EVIL = "Evil\x1b[2J[red]Agent[/red]\u202e"


def _partition(name: str, now_ns: int, *, namespace: str = "", age_s: int = 0, kind: str = "agent") -> Partition:
    seen = now_ns - age_s * SECOND
    partition = Partition(PartitionKey(kind, namespace, name), seen - 60 * SECOND, seen)
    partition.instances = {"i1": Instance(seen, seen)}
    pane = Pane(seen // (5 * SECOND) * 5 * SECOND)
    pane.cells[("cpu_usage", "i1", "")] = Cell(0.9, 1, 1)
    if kind == "agent":
        pane.tasks[("i1", "span")] = Tasks(4, 1, 8 * SECOND, 2 * SECOND, 2 * SECOND, 0, {16: 4})
        partition.tasks_total, partition.errors_total = 4, 1
    partition.panes = [pane]
    return partition


@pytest.fixture
def state(tmp_path: Path) -> str:
    """A store file as a collector left it a moment ago."""
    path = str(tmp_path / "state.db")
    now_ns = time.time_ns()
    partitions = [
        _partition("ProductOwner", now_ns),
        _partition("Architect", now_ns, namespace="shop"),
        _partition("Architect", now_ns, namespace="bank", age_s=30),
        _partition("team/x", now_ns),
        _partition(EVIL, now_ns),
        _partition("node1", now_ns, kind="host"),
    ]
    owner = replace(ALERT, key=PartitionKey("agent", "", "ProductOwner"))
    alerts = [
        replace(owner, level=Level.CRITICAL),
        replace(owner, alert_id="old", status=AlertStatus.RESOLVED, resolved_ns=owner.updated_ns),
        replace(owner, alert_id="e", key=PartitionKey("agent", "", EVIL), message=f"from {EVIL}"),
        replace(owner, alert_id="gone", key=PartitionKey("agent", "", "LongGone")),
    ]
    key = PartitionKey("agent", "", "ProductOwner")
    with SqliteStore(path) as store:
        store.save_settings(EngineSettings(), now_ns - 60 * SECOND)
        store.commit(
            Commit(
                now_ns=now_ns,
                partitions={str(p.key): dump_partition(p) for p in partitions},
                counters={"late": 3},
                alerts=alerts,
                hints=[ScalingHint(key, now_ns, 1, 2, 1, 3, ScalingAction.SCALE_UP, "busy", {"cpu_usage": 0.9})],
                history=[HistoryPoint(key, "cpu_usage", i * SECOND, i / 100, i) for i in range(1, 6)],
            )
        )
    return path


@pytest.fixture
def endpoint(state: str) -> Iterator[str]:
    """Address of a real API server over `state`."""
    app = build_api(
        ReadModel(StoreReader(state)), lambda: {"version": "0", "pid": 1}, allowed_hosts=["monitor.example"]
    )
    server = AsgiServer(app, "127.0.0.1:0", name="api")
    server.start()
    yield server.endpoint
    server.stop(2)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the installed ``bmad-otel`` in an empty directory."""
    program = Path(sys.executable).with_name("bmad-otel")

    def call(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BMAD_OTEL_")}
        # nor a background service of whoever runs the tests
        clean |= {"COLUMNS": "200", "TZ": "UTC", "BMAD_OTEL_HOME": str(tmp_path / "home")} | env
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        return subprocess.run(
            [str(program), *args], env=clean, cwd=work, capture_output=True, text=True, timeout=60, encoding="utf-8"
        )

    return call


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The same command line in this process: for the many cases that starting Python for each would make slow."""
    from bmad_processor.cli.app import run as run_app

    def call(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("BMAD_OTEL_")]:
                patch.delenv(name)
            for name, value in ({"COLUMNS": "200", "TZ": "UTC"} | env).items():
                patch.setenv(name, value)
            patch.chdir(work)
            patch.setattr(sys, "argv", ["bmad-otel", *args])
            code = run_app()
        said = capsys.readouterr()
        return subprocess.CompletedProcess(args, code, said.out, said.err)

    return call


@pytest.fixture
def closed_endpoint() -> str:
    """An address where nothing listens."""
    return "127.0.0.1:1"
