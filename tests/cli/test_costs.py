"""Tokens and money over the API and on the command line."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bmad_processor.model import HistoryPoint, PartitionKey
from bmad_processor.read_model import ReadModel
from bmad_processor.receive.http_server import AsgiServer
from bmad_processor.settings import SECOND, EngineSettings, Profile, Profiles, ScalingRules
from bmad_processor.state import Latest, Named, Partition
from bmad_processor.state_json import dump_partition
from bmad_processor.store import Commit, SqliteStore, StoreReader
from bmad_processor.web import build_api
from tests.read_model.partitions import GPT, HOME_MADE, MINI, T0, agent, busy, use

from .conftest import Run
from .test_api import ask


@pytest.fixture
def spent(tmp_path: Path) -> str:
    """A store in which two agents have used tokens."""
    path = str(tmp_path / "spent.db")
    architect = agent("Architect", {GPT: use(10, 1_000_000, 100_000), MINI: use(5, 1_000_000, 0)})
    busy(architect, n_instances=2, tasks=24, each_s=1)
    architect.names = {"reported:mood": Named("%", T0), "custom:coverage": Named("%", T0)}
    architect.latest = {"reported:mood": Latest(99.0, 3, T0), "custom:coverage": Latest(81.5, 2, T0)}
    partitions = [architect, agent("Tester", {HOME_MADE: use(4, 100, 50)}, namespace="shop"), agent("Idle", {})]
    settings = EngineSettings(profiles=Profiles(Profile("*", scaling=ScalingRules(cost_per_hour=0.25))))
    with SqliteStore(path) as store:
        store.save_settings(settings, T0)
        rows = {str(p.key): dump_partition(p) for p in partitions}
        points = [HistoryPoint(architect.key, name, T0, 81.5, 2) for name in architect.names]
        store.commit(Commit(now_ns=T0 + 60 * SECOND, partitions=rows, history=points))
    return path


def model(path: str) -> ReadModel:
    return ReadModel(StoreReader(path), now_ns=lambda: T0 + 60 * SECOND)


def test_the_api(spent: str) -> None:
    server = AsgiServer(build_api(model(spent), dict), "127.0.0.1:0", name="api")
    server.start()
    try:
        status, body, _ = ask(server.endpoint, "/api/v1/costs?group_by=model")
        assert status == 200
        assert [row["key"] for row in body["rows"]] == ["gpt-4o", "gpt-4o-mini", "home-made-7b"]
        assert body["total"]["amount"] == 3.65
        assert (body["is_complete"], body["unpriced_models"]) == (False, ["home-made-7b"])
        assert ask(server.endpoint, "/api/v1/costs")[1]["group_by"] == "agent"
        status, body, _ = ask(server.endpoint, "/api/v1/costs?group_by=colour")
        assert (status, body["suggestions"]) == (400, ["agent", "model", "workflow"])
        assert ask(server.endpoint, "/api/v1/costs?groupby=model")[0] == 400
        _, body, _ = ask(server.endpoint, "/api/v1/agents/Architect")
        assert body["cost"]["amount"] == 3.65
        assert body["cost"]["instances"]["idle_ratio"] == pytest.approx(0.8)
        assert body["self_reported"] == {"mood": {"value": 99.0, "unit": "%", "n": 3, "as_of": T0 / 1e9}}
        assert body["current_metrics"]["custom:coverage"]["unit"] == "%"
        assert "reported:mood" not in body["current_metrics"]
        for name in ("custom:coverage", "reported:mood"):
            _, body, _ = ask(server.endpoint, f"/api/v1/agents/Architect/history?metric={name}")
            assert (body["unit"], [point["value"] for point in body["points"]]) == ("%", [81.5])
    finally:
        server.stop(2)


def test_the_command(run: Run, spent: str) -> None:
    lines = run("costs", "--state", spent).stdout.splitlines()
    assert lines[0].split() == ["Agent", "Cost", "Share", "Calls", "Input", "tokens", "Output", "tokens"]
    assert lines[1].split() == ["Architect", "$3.65", "100.0%", "15", "2,000,000", "100,000"]
    assert lines[2].split() == ["shop/Tester", "-", "4", "100", "50"]
    assert lines[3].split() == ["Total", "$3.65", "19", "2,000,100", "100,050"]
    assert lines[4:] == ["Since 2027-01-15 08:00:00, in USD.", "Not complete: no price for home-made-7b."]
    lines = run("costs", "--group-by", "workflow", "--state", spent).stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["(no", "workflow)"], ["release", "$0.15"]]
    told = json.loads(run("costs", "--group-by", "model", "--json", "--state", spent).stdout)
    assert told["rows"][0]["key"] == "gpt-4o"
    assert run("costs", "--group-by", "colour", "--state", spent).returncode == 2


def test_nothing_spent_and_nothing_there(run: Run, state: str, closed_endpoint: str) -> None:
    assert run("costs", "--state", state).stdout == "No model call has been reported yet.\n"
    assert run("costs", "--endpoint", closed_endpoint).returncode == 3


def test_the_summary_of_an_agent_has_a_line_about_it(run: Run, spent: str) -> None:
    shown = run("agent-summary", "Architect", "--state", spent).stdout
    assert "Cost: $3.65 for 15 model calls (2,000,000 tokens in, 100,000 out)\n" in shown
    assert "Self-reported (not judged): mood 99.0%\n" in shown
    assert "custom:coverage" in shown
    shown = run("agent-summary", "Tester", "--state", spent).stdout
    assert "Cost: - for 4 model calls (100 tokens in, 50 out)\nNot complete: no price for home-made-7b.\n" in shown
    assert "Cost" not in run("agent-summary", "Idle", "--state", spent).stdout


def test_what_instances_cost(run: Run, tmp_path: Path) -> None:
    now_ns = time.time_ns()
    partition = busy(Partition(PartitionKey("agent", "", "Architect"), T0, T0), n_instances=2, tasks=0, each_s=1)
    partition.last_seen_ns = now_ns
    partition.panes = []
    partition.instances = {n: replace(i, last_seen_ns=now_ns) for n, i in partition.instances.items()}
    settings = EngineSettings(profiles=Profiles(Profile("*", scaling=ScalingRules(cost_per_hour=0.25))))
    path = str(tmp_path / "state.db")
    with SqliteStore(path) as store:
        store.save_settings(settings, now_ns)
        store.commit(Commit(now_ns=now_ns, partitions={str(partition.key): dump_partition(partition)}))
    assert "Instances: $0.50 an hour for 2\n" in run("agent-summary", "Architect", "--state", path).stdout
