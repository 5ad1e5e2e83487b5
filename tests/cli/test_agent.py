"""``agent NAME TOPIC`` for all 23 agents, and ``python -m bmad.agents.Agent.X.x TOPIC`` for who has BMAD."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bmad_otel.compat.agent_command import TOPICS, agent_of
from bmad_otel.compat.agent_shim import wanted
from bmad_processor.agent_names import CANONICAL, canonical
from bmad_processor.model import Exemplar, PartitionKey
from bmad_processor.read_model import ReadModel
from bmad_processor.read_model.optimization import optimization
from bmad_processor.read_model.traces import traces
from bmad_processor.receive.http_server import AsgiServer
from bmad_processor.settings import SECOND, EngineSettings
from bmad_processor.state import Cell, Instance, Pane, Partition, Tasks, ToolUse
from bmad_processor.state_json import dump_partition
from bmad_processor.store import Commit, SqliteStore, StoreReader
from bmad_processor.web import build_api
from tests.run.collectors import Api, embedded, eventually, write_config

from .conftest import Run

Ask = Callable[..., tuple[int, str, str]]
SLOW, FAILED = "a" * 32, "b" * 32


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real API over a store in which all 23 agents have reported: slow tasks, one failed, busy CPU, one tool."""
    path = str(tmp_path_factory.mktemp("agents") / "state.db")
    now_ns = time.time_ns() + 60 * SECOND  # the window stays full of data while the tests run
    partitions = []
    for name in CANONICAL:
        partition = Partition(PartitionKey("agent", "", name), now_ns - 600 * SECOND, now_ns)
        partition.instances = {"i1": Instance(now_ns, now_ns)}
        for back in range(24):
            pane = Pane((now_ns // (5 * SECOND) - back) * 5 * SECOND)
            pane.cells["cpu_usage", "i1", ""] = Cell(0.9, 1, 1)
            pane.tasks["i1", "span"] = Tasks(1, 0, 12 * SECOND, 12 * SECOND, 12 * SECOND, 0, {536: 1})
            pane.exemplars = [Exemplar(FAILED, SECOND, "plan", "ValueError"), Exemplar(SLOW, 12 * SECOND, "write", "")]
            partition.panes.insert(0, pane)
        partition.tasks_total, partition.errors_total = 24, 1
        partition.tools = {"search": ToolUse(4, 1, 2 * SECOND, SECOND)}
        partitions.append(partition)
    silent = Partition(PartitionKey("agent", "", "Silent"), now_ns, now_ns)
    partitions.append(silent)
    with SqliteStore(path) as store:
        store.save_settings(EngineSettings(), now_ns)
        store.commit(Commit(now_ns=now_ns, partitions={str(p.key): dump_partition(p) for p in partitions}))
    server = AsgiServer(build_api(ReadModel(StoreReader(path)), dict), "127.0.0.1:0", name="api")
    server.start()
    yield server.endpoint
    server.stop(2)


@pytest.fixture
def ask(monitor: str, here: Run) -> Ask:
    """Exit code, output and notes of a command to the monitor."""

    def call(*args: str) -> tuple[int, str, str]:
        result = here(*args, BMAD_OTEL_ENDPOINT=monitor)
        return result.returncode, result.stdout, result.stderr

    return call


def spellings(name: str) -> list[str]:
    kebab = "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")
    return [name, name.lower(), kebab, name if name.endswith("Agent") else f"{name}Agent"]


@pytest.mark.parametrize("name", CANONICAL)
def test_all_agents_have_all_topics(ask: Ask, name: str) -> None:
    for spelling, topic in zip(spellings(name), TOPICS, strict=True):
        code, out, _ = ask("agent", spelling, topic, "--json")
        # response time is above its critical threshold
        assert code == (1 if topic == "performance-validation" else 0)
        found = json.loads(out)
        if topic == "performance-validation":
            assert {check["agent"] for check in found["checks"]} == {name}
        else:
            assert found["agent_name"] == name


def test_findings_are_measured_and_nothing_is_applied(ask: Ask) -> None:
    code, out, _ = ask("agent", "ProductOwner", "performance-optimization", "--json")
    found = json.loads(out)
    assert (code, found["applied"], found["source"]) == (0, False, "measured")
    by_metric = {finding["metric"]: finding for finding in found["findings"]}
    response = by_metric["response_time"]
    assert response["topic"] == "response_time_optimization"
    assert response["evidence"]["value"] == pytest.approx(12, rel=0.05)
    assert response["n"] >= 10
    assert response["recommendation"] == "Consider optimizing tasks to reduce response time"
    assert response["expected"] == {"metric": "response_time", "direction": "down", "past": 5.0, "unit": "seconds"}
    cpu = by_metric["cpu_usage"]
    assert (cpu["topic"], round(cpu["evidence"]["value"])) == ("processing_optimization", 90)
    assert cpu["recommendation"] == "Consider scaling up CPU resources or optimizing task distribution"
    assert by_metric["error_rate"]["recommendation"] is None
    assert "memory_usage" not in by_metric, "what nobody measured is not there"
    _, text, _ = ask("agent", "ProductOwner", "performance-optimization")
    assert "nothing was changed" in text
    assert "response_time down, below 5.00s" in text


def test_traces_of_failed_and_slow_tasks(ask: Ask) -> None:
    code, out, _ = ask("agent", "rnd", "tracing", "--json")
    found = json.loads(out)
    assert code == 0
    assert [(t["trace_id"], t["error"], t["task"]) for t in found["traces"]] == [
        (FAILED, "ValueError", "plan"),
        (SLOW, "", "write"),
    ]
    assert (found["tasks_total"], found["errors_total"]) == (24, 1)
    _, text, _ = ask("agent", "rnd", "tracing")
    assert "24 tasks seen, 1 failed" in text
    assert SLOW in text


def test_the_tools_an_agent_called(ask: Ask) -> None:
    code, out, _ = ask("agent", "AiDeveloper", "enhanced-mcp", "--json")
    found = json.loads(out)
    assert (code, found["calls"], found["errors"]) == (0, 4, 1)
    assert found["tools"] == {"search": {"calls": 4, "errors": 1, "mean_s": 0.5, "max_s": 1.0}}
    _, text, _ = ask("agent", "AiDeveloper", "enhanced-mcp")
    assert text.splitlines()[2].split() == ["search", "4", "1", "500ms", "1.00s"]
    assert "This release has no MCP server." in text
    assert "No tool call of this agent was measured." in ask("agent", "Silent", "enhanced-mcp")[1]


PROGRAM = """
from bmad_otel import configure, track_task, track_tool

configure(service_name="library", host_metrics=False)


@track_tool
def look_up(title):
    if not title:
        raise KeyError(title)


class ProductOwner:
    @track_tool
    def estimate(self):
        pass


@track_task(agent="product-owner")
def plan(titles):
    ProductOwner().estimate()
    for title in titles:
        try:
            look_up(title)
        except KeyError:
            pass


plan(["a", "b", ""])
look_up("of no agent")
"""


def test_tools_of_a_real_program(here: Run, tmp_path: Path) -> None:
    with embedded(write_config(tmp_path)) as collector:
        grpc, api = (collector.endpoints[name] for name in ("otlp/grpc", "api"))
        python(tmp_path, "-c", PROGRAM, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{grpc}").check_returncode()

        def found() -> dict[str, Any]:
            result = here("agent", "ProductOwner", "enhanced-mcp", "--json", "--endpoint", api)
            return dict(json.loads(result.stdout)) if result.returncode == 0 else {}

        answer = eventually(lambda: (now := found()).get("calls") and now)
        # a plain function is a tool without an agent: it counts for the task that called it, but not by its name
        assert (list(answer["tools"]), answer["calls"], answer["tool_calls"]) == (["estimate"], 1, 4)
        assert Api(api).intake()["unused_tools_without_agent"] == 2


def test_validation_is_the_check_of_one_agent(ask: Ask, tmp_path: Path) -> None:
    junit = tmp_path / "j.xml"
    code, out, _ = ask("agent", "TestEngineer", "performance-validation", "--junit", str(junit))
    assert code == 1
    failed = [line.split()[:3] for line in out.splitlines() if line.startswith("fail")]
    assert failed == [["fail", "TestEngineer", "cpu_usage"], ["fail", "TestEngineer", "response_time"]]
    assert "TestEngineer" in junit.read_text()
    assert ask("agent", "TestEngineer", "performance-validation", "--fail-on", "emergency")[0] == 0


def test_names_and_silence(ask: Ask, here: Run, tmp_path: Path) -> None:
    code, out, err = ask("agent", "ProdutcOwner", "tracing")
    assert (code, out) == (2, "")
    assert "did you mean ProductOwner?" in err
    assert ask("agent", "ProductOwner", "dance")[0] == 2
    assert [ask("agent", "Silent", topic)[0] for topic in TOPICS] == [3, 0, 3, 3]
    # a store in which nobody has reported: known names are silent, unknown ones unknown
    path = str(tmp_path / "empty.db")
    with SqliteStore(path) as store:
        store.commit(Commit(now_ns=time.time_ns()))
    for topic in TOPICS:
        assert here("agent", "product-owner", topic, "--state", path).returncode == 3
    result = here("agent", "ProdutcOwner", "tracing", "--state", path)
    assert result.returncode == 2
    assert "did you mean ProductOwner?" in result.stderr


def summary(**changes: Any) -> dict[str, Any]:
    now = {"value": 2.0, "unit": "seconds", "n": 9, "level": None, "is_stale": False, "as_of": 1.0}
    return {
        "agent_name": "A", "namespace": "", "window_s": 60.0, "as_of": 1.0, "recommendations": [],
        "recommendation_details": [], "current_metrics": {"response_time": now}, "baseline_metrics": {},
        "thresholds": {}, "scaling": {"current": 1, "desired": 1, "action": "maintain", "reason": ""},
        "exemplars": [], "alerts": [], "tasks_total": 1, "errors_total": 0, "instances": {"count": 1},
        "response_times": None, "first_seen": 1.0, "last_seen": 1.0,
    } | changes  # fmt: skip


def test_a_significant_trend_is_a_finding() -> None:
    trend = {"direction": "increasing", "slope_per_hour": 1.5, "significant": True, "n": 20}
    finding = optimization(summary(), {"response_time": trend})["findings"][0]
    assert finding["what"] == "response_time is increasing, which is the wrong way"
    assert finding["evidence"]["trend"] == trend
    unsure = trend | {"significant": False}
    calm = summary(thresholds={"response_time": {"warning": 5.0}})
    assert optimization(calm, {"response_time": unsure})["findings"][0]["what"] == "within its thresholds"
    assert optimization(summary())["findings"][0]["what"] == "measured, no threshold is set"


def test_older_traces_come_from_alerts() -> None:
    exemplar = {"trace_id": SLOW, "duration_s": 9.0, "task": "t", "error": ""}
    alert = {"alert_id": "A_response_time_1", "reason": {"exemplars": [exemplar, exemplar | {"trace_id": FAILED}]}}
    rows = traces(summary(exemplars=[exemplar], alerts=[alert]))["traces"]
    assert [(row["trace_id"], row["alert_id"]) for row in rows] == [(SLOW, None), (FAILED, "A_response_time_1")]


# The forms of BMAD's documentation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CANONICAL)
def test_modules_of_all_agents(name: str) -> None:
    """By directory, whatever the file is called: the documentation names `aideveloper`, the file is `aidev`."""
    for file in (name.lower(), "aidev", "product_owner"):
        module = f"bmad.agents.Agent.{name}.{file}"
        assert canonical(agent_of(module) or "") == name
        assert canonical(agent_of(f"bmad/agents/Agent/{name}/{file}.py") or "") == name
        for topic in TOPICS:
            assert wanted(["python", "-m", module, topic, "--json"]) == module
            assert wanted(["python", "-X", "dev", "-W", "error", "-I", "-m", module, topic]) == module


@pytest.mark.parametrize(
    "command_line",
    [
        ["python", "-m", "bmad.agents.Agent.AiDeveloper.aidev", "bias-check"],
        ["python", "-m", "bmad.agents.Agent.AiDeveloper.aidev"],
        ["python", "-m", "bmad.agents.core.agent", "tracing"],
        ["python", "-m", "json.tool", "tracing"],
        ["python", "script.py", "-m", "bmad.agents.Agent.AiDeveloper.aidev", "tracing"],
        ["python"],
        [],
    ],
)
def test_everything_else_is_left_alone(command_line: list[str]) -> None:
    assert wanted(command_line) is None


def python(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("BMAD_OTEL_", "PYTHONPATH"))}
    return subprocess.run(
        [sys.executable, *args], env=clean | env, cwd=folder, capture_output=True, text=True, timeout=60
    )


def test_the_old_form_through_our_module(monitor: str, tmp_path: Path) -> None:
    form = ("-m", "bmad_otel.compat.run", "bmad.agents.Agent.AiDeveloper.aideveloper")
    result = python(tmp_path, *form, "performance-optimization", "--json", BMAD_OTEL_ENDPOINT=monitor)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["agent_name"] == "AiDeveloper"
    result = python(tmp_path, *form, "performance-validation", BMAD_OTEL_ENDPOINT=monitor)
    assert result.returncode == 1
    assert python(tmp_path, *form, "dance").returncode == 2
    assert python(tmp_path, "-m", "bmad_otel.compat.run", "os.path", "tracing").returncode == 2


def test_the_old_form_as_it_was_printed(monitor: str, tmp_path: Path) -> None:
    """With a `bmad` package at hand whose import must not happen, and a `sitecustomize` that must."""
    path = python(tmp_path, "-m", "bmad_otel.compat.run", "--path").stdout.strip()
    package = tmp_path / "bmad"
    package.mkdir()
    (package / "__init__.py").write_text("print('BMAD was imported')")
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import sys; sys.stderr.write('own ran\\n')")
    env = {"PYTHONPATH": os.pathsep.join([path, str(own)]), "BMAD_OTEL_ENDPOINT": monitor}
    form = ("-m", "bmad.agents.Agent.ProductOwner.product_owner")
    result = python(tmp_path, *form, "tracing", "--json", **env)
    assert (result.returncode, result.stderr) == (0, "own ran\n")
    assert json.loads(result.stdout)["agent_name"] == "ProductOwner"
    # any other command is BMAD's own
    assert "BMAD was imported" in python(tmp_path, *form, "create-story", **env).stdout
