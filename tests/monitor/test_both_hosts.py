"""The same program with an engine of its own and with a collector: it is told the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.monitor.scenario import COLLECTOR
from tests.run.collectors import Process, write_config

HOSTS = ("embedded", "collector")
ROOT = Path(__file__).parents[2]


def program(endpoint: str, folder: Path) -> subprocess.Popen[bytes]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "BMAD_OTEL_"))}
    # a temporary directory of its own: there the processes of a host agree on who reports the host
    environ |= {"BMAD_OTEL_ENDPOINT": endpoint, "BMAD_OTEL_RAISE_INTERNAL": "1", "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.monitor.scenario"],
        cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict[str, Any]]:
    """What the program was told, by host. Both run at the same time."""
    folder = tmp_path_factory.mktemp("collector")
    with Process(write_config(folder, performance=COLLECTOR, is_scaling=True), log=folder / "log") as collector:
        programs = {"embedded": program("", folder), "collector": program(collector.endpoints()["api"], folder)}
        ends = {host: child.communicate(timeout=100) for host, child in programs.items()}
        for host, (_, errors) in ends.items():
            assert programs[host].returncode == 0, (host, errors.decode(), collector.log)
        assert collector.stop() == 0
    return {host: json.loads(out) for host, (out, _) in ends.items()}


@pytest.fixture(params=HOSTS)
def one(request: pytest.FixtureRequest, told: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return told[request.param]


def shape(value: Any) -> Any:
    """Keys all the way down. What is in lists, and what is null, changes with time."""
    return {key: shape(member) for key, member in sorted(value.items())} if isinstance(value, dict) else None


def numbers(summary: Mapping[str, Any]) -> dict[str, float]:
    """What does not depend on how fast the machine is."""
    current = summary["current_metrics"]
    return {
        "tasks": summary["tasks_total"],
        "errors": summary["errors_total"],
        "error_rate": current["error_rate"]["value"],
        "success_rate": current["success_rate"]["value"],
    }


@pytest.mark.parametrize("agent", ["ProductOwner", "Architect"])
def test_summaries_have_the_same_keys(told: Mapping[str, dict[str, Any]], agent: str) -> None:
    embedded, collector = (told[host][agent] for host in HOSTS)
    assert embedded.keys() == collector.keys()
    for key in embedded.keys() - {"baseline_metrics"}:  # which comes with time
        assert shape(embedded[key]) == shape(collector[key]), key
    assert embedded["thresholds"] == collector["thresholds"]


def test_what_was_measured(one: dict[str, Any]) -> None:
    assert numbers(one["Architect"]) == {"tasks": 10, "errors": 5, "error_rate": 50, "success_rate": 50}
    owner = one["ProductOwner"]
    assert numbers(owner) == {"tasks": 1, "errors": 0, "error_rate": 0, "success_rate": 100}
    assert 0.3 <= owner["current_metrics"]["response_time"]["value"] < 3
    assert {name: owner["current_metrics"]["custom:stories"][name] for name in ("value", "unit")} == {
        "value": 3, "unit": "count",
    }  # fmt: skip
    assert {name: owner["self_reported"]["success_rate"][name] for name in ("value", "unit")} == {
        "value": 12, "unit": "%",
    }  # fmt: skip
    assert owner["recommendations"] == ["Consider optimizing tasks to reduce response time"]


def test_what_was_alarming(one: dict[str, Any]) -> None:
    of_owner = [alert for alert in one["alerts"] if alert["agent_name"] == "ProductOwner"]
    (alert,) = of_owner
    assert (alert["level"], alert["metric_type"], alert["threshold"], alert["resolved"]) == (
        "critical", "response_time", 0.1, True,
    )  # fmt: skip
    heard = [alert for alert in one["heard"] if alert["agent_name"] == "ProductOwner"]
    assert [(found["alert_id"], found["level"], found["resolved"]) for found in heard] == [
        (alert["alert_id"], "critical", False), (alert["alert_id"], "critical", True),
    ]  # fmt: skip


def test_the_rest(told: Mapping[str, dict[str, Any]]) -> None:
    embedded, collector = (told[host] for host in HOSTS)
    assert embedded["system"].keys() == collector["system"].keys()
    assert embedded["system"]["active_agents"] == collector["system"]["active_agents"] == 2
    for host in (embedded, collector):
        assert host["idle"] == {}
        assert host["dropped"] == {}
        assert 0 < host["system"]["memory_usage"] < 100
    assert embedded["export"] == collector["export"]
    assert embedded["history"] == collector["history"]
