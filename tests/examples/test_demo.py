"""The demo as a user runs it, shortened: its course, its ends, and that nothing is left of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bmad_processor.read_model import ReadModel
from bmad_processor.store import StoreReader
from examples.demo import cli
from examples.demo.chronicle import Chronicle
from examples.demo.conductor import Outcome
from examples.demo.interrupt import Interrupt
from examples.demo.processes import ROOT
from examples.demo.snapshot import Snapshot

MARKER = "BMAD_DEMO_TEST"

SECONDS = "34"
"""With less the last alert hardly has the time to resolve on a busy machine."""


class Demo:
    """A running demo and every process that has ever been part of it, known by its environment."""

    def __init__(self, *arguments: str) -> None:
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sys.executable, "-m", "examples.demo", *arguments],
            cwd=ROOT, env={**os.environ, MARKER: self.mark},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.output = ""

    def read_until(self, text: str) -> None:
        assert self.process.stdout is not None
        while text not in self.output:
            line = self.process.stdout.readline()
            assert line, f"ended before {text!r}:\n{self.output}"
            self.output += line

    def end(self, timeout_s: float) -> tuple[int, str]:
        """Exit code and standard error."""
        output, error = self.process.communicate(timeout=timeout_s)
        self.output += output
        return self.process.returncode, error

    def processes(self) -> dict[int, list[str]]:
        """Those alive now: pid to command line."""
        found = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARKER) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found[process.pid] = process.cmdline()
        return found

    def assert_nothing_is_left(self) -> None:
        deadline = time.monotonic() + 5
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert left == {}


@contextlib.contextmanager
def demo(*arguments: str) -> Iterator[Demo]:
    running = Demo(*arguments)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.communicate()
    running.assert_nothing_is_left()


@pytest.mark.long
def test_shows_alerts_that_come_and_go_and_a_hint_that_is_followed() -> None:
    with demo("--seconds", SECONDS) as running:
        code, error = running.end(80)
    assert (code, error) == (0, ""), running.output
    assert re.search(r"ALERT \w+: ProductOwner: Response time is", running.output)
    assert re.search(r"RESOLVED: ProductOwner: Response time is back", running.output)
    assert re.search(r"ALERT \w+: ProductOwner: Error rate is", running.output)
    assert re.search(r"RESOLVED: ProductOwner: Error rate is back", running.output)
    assert re.search(r"errors: .*(BacklogUnavailable|ConnectionRefusedError)", running.output)
    assert "HINT: QualityGuardian needs" in running.output
    assert "operator: starts instance 2 of QualityGuardian" in running.output
    summary = running.output[running.output.index("Agents at the end") :]
    for agent in ("Architect", "DataEngineer", "DocumentationAgent", "QualityGuardian", "TestEngineer"):
        assert agent in summary
    assert re.search(r"received: .*\baccepted_traces [\d,]+", summary)
    assert "Traceback" not in running.output


@pytest.mark.long
def test_a_killed_collector_forgets_no_alert_and_repeats_none(tmp_path: Path) -> None:
    with demo("--seconds", "24", "--chaos-kill-collector-at", "7.5", "--keep-state", str(tmp_path)) as running:
        code, error = running.end(80)
    assert (code, error) == (0, ""), running.output
    assert "chaos: kills the collector" in running.output
    said = announced(tmp_path / "said.jsonl")
    fired = said["bmad.alert.fired"]
    resolved = said["bmad.alert.resolved"]
    alerts = ReadModel(StoreReader(str(tmp_path / "state.db"))).alerts(limit=1000)
    assert {"ProductOwner_response_time", "ProductOwner_error_rate"} <= {
        a["alert_id"].rpartition("_")[0] for a in alerts
    }
    assert sorted(fired) == sorted(alert["alert_id"] for alert in alerts)
    assert sorted(resolved) == sorted(alert["alert_id"] for alert in alerts if alert["resolved"])
    assert [running.output.count(f"{alert['alert_id']} ") for alert in alerts] == [1] * len(alerts)


def announced(path: Path) -> dict[str, list[str]]:
    """Event name to the alert ids it was said for.

    Said twice under one event id is said once: a collector killed between sending and noting it sends again, and the id
    is there for the receiver to tell.
    """
    by_event_id: dict[str, tuple[str, str]] = {}
    for line in path.read_text().splitlines():
        for record in log_records(json.loads(line)):
            attributes = {a["key"]: a["value"].get("stringValue") for a in record["attributes"]}
            if "bmad.alert.event_id" in attributes:
                by_event_id[attributes["bmad.alert.event_id"]] = (record["eventName"], attributes["bmad.alert.id"])
    said = defaultdict(list)
    for event_name, alert_id in by_event_id.values():
        said[event_name].append(alert_id)
    return said


def log_records(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in request.get("resourceLogs", []):
        for scope in resource["scopeLogs"]:
            yield from scope["logRecords"]


@pytest.mark.parametrize(
    ("moment", "number", "code"),
    [
        ("starting the collector", signal.SIGINT, 130),
        ("starting agents", signal.SIGTERM, 143),
        ("PHASE calm", signal.SIGINT, 130),
    ],
)
def test_a_signal_ends_it_in_good_order(moment: str, number: int, code: int) -> None:
    with demo("--seconds", "60", "--plain") as running:
        running.read_until(moment)
        running.process.send_signal(number)
        ended, error = running.end(20)
    assert ended == code
    assert error == "interrupted; everything has been ended\n"


def test_ctrl_c_in_its_first_moments_leaves_no_traceback() -> None:
    with demo("--seconds", "60") as running:
        time.sleep(0.15)  # imports are under way, at the latest
        running.process.send_signal(signal.SIGINT)
        code, error = running.end(20)
    # earlier than the demo's first line it is the interpreter's own Ctrl-C
    assert code in (130, -signal.SIGINT)
    assert code != 130 or "Traceback" not in error


def test_ctrl_c_during_the_summary(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    interrupt = Interrupt()

    class Played:
        def __init__(self, *_: object) -> None: ...
        def run(self) -> Outcome:
            interrupt.signal = signal.SIGINT  # what its handler does
            return Outcome(Chronicle("A"), Snapshot(), 0.0)

    monkeypatch.setattr(cli, "Conductor", Played)
    monkeypatch.setattr(sys, "argv", ["demo"])
    assert cli.main(interrupt) == 130
    assert "Agents at the end" in capsys.readouterr().out


def test_says_so_when_the_collector_dies() -> None:
    with demo("--seconds", "60") as running:
        running.read_until("PHASE calm")
        [pid] = [pid for pid, command in running.processes().items() if "collector" in command]
        os.kill(pid, signal.SIGKILL)
        code, error = running.end(20)
    assert code == 1
    assert "collector ended with code -9; the last lines of collector:" in error
    assert "ready:" in error or "debug:" in error
    assert "Traceback" not in error


def test_an_output_nobody_reads_any_more_ends_it() -> None:
    with demo("--seconds", "60") as running:
        running.read_until("starting the collector")
        assert running.process.stdout is not None
        running.process.stdout.close()
        assert running.process.wait(30) == 1
        assert running.process.stderr is not None
        assert running.process.stderr.read() == ""
        running.process.stderr.close()


@pytest.mark.parametrize("arguments", [["--seconds", "5"], ["--seconds", "soon"], ["--nonsense"]])
def test_refuses_what_makes_no_sense(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
    assert "usage:" in done.stderr
