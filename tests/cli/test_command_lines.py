"""Every command line of `command_lines.yaml`, typed into a shell beside a running service that has data."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.run.collectors import eventually
from tests.service.monitor import ANY_PORTS, Monitor

ROOT = Path(__file__).parents[2]
ROWS: list[dict[str, Any]] = YAML(typ="safe").load(Path(__file__).with_name("command_lines.yaml"))
PENDING: list[str] = []
"""Lines of commands that do not exist yet. There must be none: a missing command is not to be overlooked."""

KEYS = {"id", "line", "run", "needs", "before", "after", "exit", "says", "json", "file"}
KINDS = {"a number": (int, float), "a text": str, "a list": list, "an object": dict}

_SOON = """
processors:
  agent_performance: {allowed_lateness: 1s, commit_interval: 200ms, evaluation_window: 10m}
"""


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    """A service with three agents, one of which fails too often, and profiles of its own to be edited."""
    folder = tmp_path_factory.mktemp("lines")
    monitor = _with_scripts(Monitor(folder / "home", folder / "work"))
    shutil.copytree(ROOT / "collector-config", folder / "config")
    (folder / "config" / "soon.yaml").write_text(_SOON)
    files = [str(folder / "config" / name) for name in ("bmad-collector.yaml", "soon.yaml")]
    monitor.start("--interval", "1", "--config", files[0], "--config", files[1])
    try:
        monitor.send("ProductOwner:20:20", "Architect:4:0", "TestEngineer:4:0")
        eventually(lambda: monitor.json("show-alerts", "--status", "firing")["alerts"], timeout_s=60)
        yield monitor
    finally:
        monitor.stop()


@pytest.fixture
def fresh(tmp_path: Path) -> Monitor:
    """A state directory that nobody has used."""
    return _with_scripts(Monitor(tmp_path / "home", tmp_path / "work"))


def _with_scripts(monitor: Monitor) -> Monitor:
    for name in ("performance_monitor_cli.py", "integrated_workflow_cli.py"):
        shutil.copy(ROOT / "examples" / "bmad" / name, monitor.work)
    return monitor


def test_no_command_is_missing() -> None:
    assert PENDING == []


def test_the_table_is_well_formed() -> None:
    for row in ROWS:
        assert row.keys() <= KEYS, row
        assert row.get("exit", 0) != 0 or row.keys() & {"says", "json", "file"}, f"nothing is checked: {row['line']}"
    ids = {row["id"] for row in ROWS}
    items = {f"E{n}" for n in range(1, 5)} | {f"G{n}" for n in range(1, 14)} | {f"H-I{n}" for n in range(1, 9)}
    assert ids >= items | {f"H{n}" for n in range(1, 6)} | {"N3"}


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['id']}: {row['line']}" for row in ROWS])
def test_command_line(row: dict[str, Any], request: pytest.FixtureRequest) -> None:
    monitor: Monitor = request.getfixturevalue(row.get("needs", "live"))
    for name in row.get("file", ()):
        (monitor.work / name).unlink(missing_ok=True)
    if "before" in row:
        assert _shell(monitor, row["before"]).returncode == 0
    try:
        done = _shell(monitor, row.get("run", row["line"]))
    finally:
        ended = _shell(monitor, row["after"]) if "after" in row else None
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == row.get("exit", 0), said
    assert "Traceback" not in said
    for pattern in row.get("says", ()):
        assert re.search(pattern, said, re.MULTILINE), f"no {pattern!r} in:\n{said}"
    if "json" in row:
        _compare(json.loads(done.stdout), row["json"])
    for name, expected in row.get("file", {}).items():
        _compare(json.loads((monitor.work / name).read_text()), expected)
    assert ended is None or ended.returncode == 0


def _shell(monitor: Monitor, line: str) -> subprocess.CompletedProcess[str]:
    grpc = monitor.record()["otlp_grpc"] if (monitor.home / "service.json").exists() else ""
    # the recipe's agents are in the source checkout
    environment = monitor.environment(PORTS=" ".join(ANY_PORTS), GRPC=grpc, PYTHONPATH=str(ROOT))
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    return subprocess.run(
        ["bash", "-c", line], env=environment, cwd=monitor.work, capture_output=True, text=True, timeout=100,
        stdin=subprocess.DEVNULL, encoding="utf-8",
    )  # fmt: skip


def _compare(data: Any, expected: dict[str, Any]) -> None:
    for path, value in expected.items():
        found = data
        for part in path.split("."):
            found = found[int(part)] if isinstance(found, list) else found[part]
        if isinstance(value, str) and value in KINDS:
            assert isinstance(found, KINDS[value]), f"{path} is {found!r}, not {value}"
        else:
            assert found == value, path
