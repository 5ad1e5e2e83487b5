"""The recipe for CI, step by step as it stands in ``examples/ci``: processes that share nothing but the service."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bmad_processor.service import Home
from bmad_processor.service.control import stop

from .monitor import ANY_PORTS, Monitor

ROOT = Path(__file__).parents[2]


def _steps(name: str) -> list[str]:
    """What the workflow file's steps run, installation aside."""
    recipe: dict[str, Any] = YAML(typ="safe").load(ROOT / "examples" / "ci" / name)
    (job,) = recipe["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step and not step["run"].startswith("pip ")]


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Monitor]:
    monitor = Monitor(tmp_path / "home", tmp_path / "work")
    yield monitor
    stop(Home(monitor.home), progress=lambda _: None)


def _shell(monitor: Monitor, line: str) -> subprocess.CompletedProcess[str]:
    environment = monitor.environment(
        PYTHONPATH=str(ROOT), GITHUB_STEP_SUMMARY=str(monitor.work / "summary.md"), RUNNER="tests"
    )
    return subprocess.run(
        ["bash", "-e", "-c", line], env=environment, cwd=monitor.work, capture_output=True, text=True, timeout=110,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.long
def test_each_step_is_a_process_of_its_own(monitor: Monitor) -> None:
    steps = _steps("performance.yml")
    assert [step.split()[1] for step in steps] == [
        "start-monitoring", "execute", "17", "system-performance", "export-performance", "check", "stop-monitoring",
    ]  # fmt: skip
    said = []
    for step in steps:
        # as it stands, but sooner: a shorter interval and wait, and ports that are free here
        line = step.replace("--interval 10", f"--interval 1 {' '.join(ANY_PORTS)}").replace("sleep 17", "sleep 8")
        done = _shell(monitor, line)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        said.append(done.stdout)
    assert "product-development: ok, 7 tasks" in said[1]
    tasks = re.search(r"Tasks +(\d+) \(0 failed\)", said[3])
    assert tasks
    assert int(tasks[1]) >= 7
    report = json.loads((monitor.work / "performance_report.json").read_text())
    assert {"ProductOwner", "Architect", "TestEngineer"} <= report["agent_summaries"].keys()
    assert "0 checks failed" in said[5]
    assert "<testsuite" in (monitor.work / "performance.xml").read_text()
    assert "ProductOwner" in (monitor.work / "summary.md").read_text()


def test_a_violated_threshold_fails_the_job(monitor: Monitor) -> None:
    monitor.start("--interval", "1")
    monitor.send("ProductOwner:5:5")
    check = next(step for step in _steps("performance.yml") if " check " in step)
    done = _shell(monitor, check)
    assert done.returncode == 1
    assert "Error rate was 50.0%" in done.stdout


@pytest.mark.long
def test_in_one_step(monitor: Monitor) -> None:
    (step,) = _steps("one-step.yml")
    done = _shell(monitor, step)
    assert done.returncode == 0, done.stderr
    assert "product-development: ok, 7 tasks" in done.stdout
    assert "0 checks failed" in done.stderr
    report = json.loads((monitor.work / "performance_report.json").read_text())
    assert "Architect" in report["agent_summaries"]
    assert not monitor.home.exists()
