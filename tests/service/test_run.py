"""``bmad-otel run -- COMMAND``: its exit code and output are the command's, and what was measured is judged."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

from tests.run.collectors import eventually

from .monitor import Monitor, wait_for_end

SHIPPED = Path(__file__).parents[2] / "collector-config" / "bmad-collector.yaml"

PROGRAM = """
import os, sys
from bmad_otel import configure, shutdown, track_task
configure(service_name="tests", host_metrics=False)
for n in range(10):
    with track_task(agent="ProductOwner", name="work") as task:
        if n % 2:
            task.fail("told to", error_type="told")
shutdown()
print("said", os.environ["BMAD_OTEL_ENDPOINT"], flush=True)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def monitor(tmp_path: Path) -> Monitor:
    monitor = Monitor(tmp_path / "home", tmp_path / "work")
    (monitor.work / "program.py").write_text(PROGRAM)
    # what comes late is waited for, so a test says how late
    (monitor.work / "soon.yaml").write_text("processors: {agent_performance: {allowed_lateness: 1s}}\n")
    return monitor


def _run(monitor: Monitor, *options: str) -> tuple[str, ...]:
    return ("run", "--interval", "1", "--config", str(SHIPPED), "--config", "soon.yaml", *options, "--", sys.executable)


def test_a_violated_threshold_is_exit_code_1(monitor: Monitor) -> None:
    options = ("--fail-on", "critical", "--junit", "junit.xml", "--markdown", "report.md", "--export", "export.json")
    elsewhere = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://backend.invalid:4317"}
    done = monitor(*_run(monitor, *options), "program.py", "0", **elsewhere)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("said localhost:")
    assert done.stdout.count("\n") == 1
    assert "Error rate was 50.0% (threshold: 20.0%)" in done.stderr
    assert "Tasks             10 (5 failed)" in done.stderr
    assert ElementTree.parse(monitor.work / "junit.xml").getroot().find(".//failure") is not None
    assert "ProductOwner" in (monitor.work / "report.md").read_text()
    exported = json.loads((monitor.work / "export.json").read_text())
    assert "ProductOwner" in exported["agent_summaries"]
    assert exported["recent_alerts"][0]["level"] == "emergency"
    assert not monitor.home.exists()  # the user's own state is another one


def test_the_command_s_own_failure_comes_first(monitor: Monitor) -> None:
    done = monitor(*_run(monitor, "--fail-on", "critical"), "program.py", "7")
    assert done.returncode == 7
    assert "Error rate was 50.0%" in done.stderr


def test_a_check_of_nothing_is_no_success(monitor: Monitor) -> None:
    done = monitor("run", "--fail-on", "critical", "true")
    assert done.returncode == 3
    assert "no telemetry arrived" in done.stderr


def test_a_command_that_does_not_exist(monitor: Monitor) -> None:
    done = monitor("run", "--", "no-such-command-here")
    assert done.returncode == 127
    assert done.stderr.endswith("no-such-command-here: command not found\n")


_WAITS = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
print(os.environ["BMAD_OTEL_HOME"], flush=True)
while True:
    time.sleep(60)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 5), (signal.SIGINT, 130)])
def test_signals_are_the_command_s(monitor: Monitor, number: signal.Signals, code: int) -> None:
    child = monitor.popen(*_run(monitor), "-c", _WAITS)
    assert child.stdout is not None
    home = Path(_line_with(child.stdout, "bmad-otel-run-"))
    pid = json.loads((home / "service.json").read_text())["pid"]
    child.send_signal(number)
    child.stdout.read()
    assert child.wait(60) == code
    child.stdout.close()
    wait_for_end(pid)
    assert not home.exists()


def test_no_collector_outlives_it(monitor: Monitor) -> None:
    child = monitor.popen(*_run(monitor), "-c", _WAITS)
    assert child.stdout is not None
    home = Path(_line_with(child.stdout, "bmad-otel-run-"))
    pid = json.loads((home / "service.json").read_text())["pid"]
    children = psutil.Process(child.pid).children()
    os.kill(child.pid, signal.SIGKILL)
    child.wait(20)
    child.stdout.close()
    wait_for_end(pid)
    for other in children:  # the command itself is the shell's, as it is after any such kill
        if other.is_running() and other.pid != pid:
            other.kill()
    eventually(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in children))


def _line_with(lines: object, part: str) -> str:
    for line in lines:  # type: ignore[attr-defined]
        if part in line:
            return str(line).strip()
    raise AssertionError("it has ended")
