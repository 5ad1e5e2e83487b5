"""``check``: what counts as a violation, the exit codes, and the reports for CI."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bmad_processor.cli.reports import junit_xml, markdown_table
from bmad_processor.model import AlertStatus, HistoryPoint, Level, PartitionKey
from bmad_processor.settings import SECOND, EngineSettings, Profile, Profiles
from bmad_processor.state import Cell, Instance, Pane, Partition
from bmad_processor.state_json import dump_partition
from bmad_processor.store import Commit, SqliteStore
from tests.store.test_codec import ALERT

from .conftest import EVIL, Run

KEY = PartitionKey("agent", "", "ProductOwner")
MakeStore = Callable[..., str]
Point = tuple[str, float, float, int]
"""Metric type, age in seconds, value in base units, n."""


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """A store whose one agent has these points of history, these alerts, and this CPU usage now."""

    def make(
        points: list[Point], *, alerts: Any = (), cpu_now: float | None = None, profile: Profile | None = None
    ) -> str:
        now_ns = time.time_ns()
        partition = Partition(KEY, now_ns, now_ns, instances={"i1": Instance(now_ns, now_ns)})
        if cpu_now is not None:
            pane = Pane(now_ns // (5 * SECOND) * 5 * SECOND)
            pane.cells["cpu_usage", "i1", ""] = Cell(cpu_now, 1, 1)
            partition.panes = [pane]
        path = str(tmp_path / "s.db")
        profiles = Profiles() if profile is None else Profiles(by_agent={profile.agent: profile})
        history = [HistoryPoint(KEY, name, now_ns - round(age * SECOND), value, n) for name, age, value, n in points]
        with SqliteStore(path) as store:
            store.save_settings(EngineSettings(profiles=profiles), now_ns)
            store.commit(
                Commit(now_ns=now_ns, partitions={str(KEY): dump_partition(partition)}, alerts=alerts, history=history)
            )
        return path

    return make


def verdicts(here: Run, state: str, *args: str) -> tuple[int, dict[str, dict[str, Any]]]:
    result = here("check", "--state", state, "--json", *args)
    if not result.stdout:
        return result.returncode, {}
    return result.returncode, {check["metric"]: check for check in json.loads(result.stdout)["checks"]}


def test_all_is_well(here: Run, make_store: MakeStore) -> None:
    path = make_store([("response_time", 30, 1.0, 9), ("error_rate", 30, 0.0, 9)], cpu_now=0.3)
    code, checks = verdicts(here, path)
    assert code == 0
    assert {name: check["status"] for name, check in checks.items()} == {
        "response_time": "pass", "error_rate": "pass", "cpu_usage": "pass", "memory_usage": "no_data",
        "queue_size": "no_data",
    }  # fmt: skip
    response = checks["response_time"]
    assert (response["value"], response["threshold"], response["unit"], response["n"]) == (1.0, 10.0, "seconds", 9)


def test_a_violation_that_is_over_still_counts_within_since(here: Run, make_store: MakeStore) -> None:
    path = make_store([("response_time", 300, 12.0, 9), ("response_time", 30, 1.0, 9)])
    code, checks = verdicts(here, path)
    response = checks["response_time"]
    assert (code, response["status"], response["level"], response["value"]) == (1, "fail", "critical", 12.0)
    assert response["message"] == "Response time was 12.00s (threshold: 10.00s)"
    assert verdicts(here, path, "--since", "2m")[0] == 0
    assert verdicts(here, path, "--fail-on", "emergency")[0] == 0
    # of several violations the worst is shown
    path = make_store([("response_time", 40, 31.0, 9), ("response_time", 30, 32.0, 9), ("response_time", 20, 12.0, 9)])
    assert verdicts(here, path)[1]["response_time"]["value"] == 32.0


def test_the_present_window_counts_before_it_was_judged(here: Run, make_store: MakeStore) -> None:
    code, checks = verdicts(here, make_store([], cpu_now=0.99), "--fail-on", "warning")
    assert (code, checks["cpu_usage"]["level"], checks["cpu_usage"]["value"]) == (1, "emergency", 99.0)


def test_one_failed_task_of_one_is_no_error_rate(here: Run, make_store: MakeStore) -> None:
    code, checks = verdicts(here, make_store([("error_rate", 30, 1.0, 1), ("response_time", 30, 1.0, 1)]))
    assert (code, checks["error_rate"]["status"]) == (0, "no_data")
    assert "too few to judge" in checks["error_rate"]["message"]


def test_an_alert_counts_when_its_history_is_gone(here: Run, make_store: MakeStore) -> None:
    now_ns = time.time_ns()
    alert = replace(ALERT, key=KEY, level=Level.CRITICAL, started_ns=now_ns - 3600 * SECOND)
    over = {"status": AlertStatus.RESOLVED, "updated_ns": now_ns - 600 * SECOND, "resolved_ns": now_ns - 600 * SECOND}
    for found, args, code in (
        (alert, (), 1),
        (replace(alert, **over), (), 1),
        (replace(alert, **over), ("--since", "5m"), 3),
        (replace(alert, level=Level.WARNING), (), 3),
    ):
        path = make_store([], alerts=[found])
        assert verdicts(here, path, *args)[0] == code
        Path(path).unlink()
    checks = verdicts(here, make_store([], alerts=[alert]))[1]
    assert checks["cpu_usage"]["alert_id"] == alert.alert_id


def test_low_values_are_bad_where_the_direction_says_so(here: Run, make_store: MakeStore) -> None:
    profile = Profile("ProductOwner", thresholds={"success_rate": {Level.WARNING: 0.95, Level.CRITICAL: 0.9}})
    path = make_store([("success_rate", 40, 0.8, 9), ("success_rate", 30, 0.99, 9)], profile=profile)
    code, checks = verdicts(here, path)
    assert (code, checks["success_rate"]["value"], checks["success_rate"]["threshold"]) == (1, 80.0, 90.0)


def test_who_is_not_monitored_is_not_judged(here: Run, make_store: MakeStore) -> None:
    path = make_store([("response_time", 30, 99.0, 9)], profile=Profile("ProductOwner", monitoring_enabled=False))
    result = here("check", "--state", path)
    assert result.returncode == 3
    assert "Not monitored, by their profile: ProductOwner" in result.stdout


def test_names(here: Run, state: str) -> None:
    result = here("check", "--state", state, "--agent", "ProdutcOwner")
    assert (result.returncode, result.stdout) == (2, "")
    assert "did you mean ProductOwner?" in result.stderr
    # known by name, but silent: nothing to judge
    assert verdicts(here, state, "--agent", "RnDAgent")[0] == 3
    # two spellings of one agent are one agent; the host is checked when asked for
    result = here("check", "--state", state, "--json", "--agent", "product-owner", "--agent", "ProductOwner")
    assert result.returncode == 1
    assert len(json.loads(result.stdout)["checks"]) == 5
    assert verdicts(here, state, "--agent", "system")[1]["cpu_usage"]["host"] == "node1"
    assert here("check", "--state", state, "--fail-on", "loud").returncode == 2
    assert here("check", "--state", state, "--since", "soon").returncode == 2


def test_without_a_collector(here: Run, closed_endpoint: str) -> None:
    assert here("check", "--endpoint", closed_endpoint).returncode == 3


def test_over_http_as_from_the_file(run: Run, endpoint: str, state: str) -> None:
    asked = run("check", "--endpoint", endpoint, "--json")
    read = run("check", "--state", state, "--json")
    assert asked.returncode == read.returncode == 1
    strip = ("as_of",)
    one, other = json.loads(asked.stdout), json.loads(read.stdout)
    assert one["counts"] == other["counts"]
    assert {key for key in one if key not in strip} == {key for key in other if key not in strip}


def test_reports_for_ci(here: Run, state: str, tmp_path: Path) -> None:
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    summary.write_text("before\n")
    args = ("check", "--state", state, "--junit", str(junit), "--markdown", str(summary))
    result = here(*args, GITHUB_STEP_SUMMARY=str(summary))
    assert result.returncode == 1
    assert result.stdout.splitlines()[0].split() == ["Status", "Agent", "Metric", "Value", "Threshold", "n", "Level"]
    text = summary.read_text()
    assert text.startswith("before\n### Agent performance: failed\n")
    root = ET.parse(junit).getroot()
    cases = root.findall("testsuite/testcase")
    assert (root.tag, int(root.attrib["tests"])) == ("testsuites", len(cases))
    assert int(root.attrib["failures"]) == len(root.findall("testsuite/testcase/failure")) > 0
    assert int(root.attrib["skipped"]) == len(root.findall("testsuite/testcase/skipped")) > 0
    for suite in root.findall("testsuite"):
        assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
        assert {"name", "timestamp", "hostname", "tests", "failures", "errors", "skipped", "time"} <= set(suite.keys())
    assert here(*args).returncode == 1
    assert summary.read_text().startswith("### Agent performance")
    missing = here("check", "--state", state, "--junit", str(tmp_path / "nowhere" / "j.xml"))
    assert missing.returncode == 1
    assert "cannot write" in missing.stderr


def test_names_cannot_break_out_of_a_report() -> None:
    evil = f"{EVIL}]]> <b> | @team \x00 `x`"
    check = {
        "agent": evil, "namespace": "", "host": None, "metric": "response_time", "status": "fail", "level": "critical",
        "value": 9.0, "threshold": 8.0, "unit": "seconds", "n": 3, "at": 1.0, "message": f"{evil} is slow",
        "alert_id": None,
    }  # fmt: skip
    report = {
        "status": "fail", "fail_on": "critical", "since_s": 900.0, "as_of": 1.0, "checks": [check],
        "counts": {"fail": 1, "pass": 0, "no_data": 0},
    }  # fmt: skip
    case = ET.fromstring(junit_xml(report, hostname="ci"))[0].find("testcase")
    assert case is not None
    assert case.attrib["classname"].endswith("]]> <b> | @team \ufffd `x`")
    row = markdown_table(report).splitlines()[-1]
    assert row.count("|") == 8
    assert "<b>" not in row
    assert "@team" not in row
    assert "\x1b" not in row
