"""`execute`, `list-workflows` and `show-workflow` as installed commands; telemetry goes to real receivers."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.run.collectors import FAST, PROGRAM, Api, embedded, eventually, write_config
from tests.sdk.receivers import GrpcReceiver

from .conftest import Run

ROOT = Path(__file__).parents[2]

AGENTS = """
import time
from pathlib import Path

class Backend:
    def build(self, context, colour="red"):
        print("building")
        return {"colour": colour, "inputs": context["inputs"]}

    def slow(self):
        Path("began").write_text("")
        time.sleep(60)

def tester(task, context):
    if context["attempt"] < 2:
        raise ConnectionError("not up yet")
    return task.task

def broken(task, context):
    raise ValueError("all red")

AGENTS = {"backend": Backend, "test": tester, "SecurityDeveloper": broken, "name": 3}
LIST = [Backend]
"""

SMALL = """
name: small
max_parallel: 2
tasks:
  - {id: build, agent: backend, task: build}
  - {id: test, agent: TestEngineer, task: try it, depends_on: [build], retries: 1, retry_delay: 10ms}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The directory in which `run` runs, with agents and workflows in it."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "team.py").write_text(AGENTS)
    (folder / "small.yaml").write_text(SMALL)
    return folder


@pytest.fixture
def receiver() -> Iterator[GrpcReceiver]:
    with GrpcReceiver() as receiver:
        yield receiver


def test_list_workflows(run: Run) -> None:
    shown = run("list-workflows")
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = [line.split()[:3] for line in shown.stdout.splitlines()]
    assert lines == [["Workflow", "Tasks", "Parallel"], ["ai-development", "5", "2"], ["product-development", "7", "2"]]
    listed = json.loads(run("list-workflows", "--json").stdout)["workflows"]
    assert [(one["name"], len(one["tasks"]), one["parallel_width"]) for one in listed] == [
        ("ai-development", 5, 2), ("product-development", 7, 2),
    ]  # fmt: skip


def test_show_workflow(run: Run, here: Path) -> None:
    shown = run("show-workflow", "product-development").stdout
    assert shown.startswith("product-development\n")
    assert "7 tasks, at most 3 at once, 2 as its dependencies are, timeout 30m" in shown
    row = next(line for line in shown.splitlines() if " run-tests " in line).split()
    assert row == [
        "4",
        "run-tests",
        "TestEngineer",
        "run_tests",
        "build-backend,",
        "build-frontend",
        "10m",
        "1,",
        "2s",
        "apart",
    ]
    assert json.loads(run("show-workflow", "small.yaml", "--json").stdout)["stages"] == [["build"], ["test"]]


def test_an_unknown_workflow_has_near_names(run: Run) -> None:
    for command in ("show-workflow", "execute"):
        shown = run(command, "product-developmen")
        assert shown.returncode == 2
        assert "there is no workflow of this name, did you mean product-development?" in shown.stderr
    assert "nowhere.yaml: no such file" in run("execute", "nowhere.yaml").stderr


def test_every_problem_of_a_definition_is_named_with_its_line(run: Run, here: Path) -> None:
    (here / "bad.yaml").write_text(
        textwrap.dedent("""\
        name: bad
        max_paralel: 3
        timeout: 5
        tasks:
          - id: a
            agent: test
            task: x
            depends_on: [b]
          - id: b
            agent: ""
            task: y
            depends_on: [a, c]
            retries: -1
          - id: a
            agent: z
            comand: u
        """)
    )
    shown = run("execute", "bad.yaml", "--demo")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert [line.partition(" (expected")[0] for line in shown.stderr.splitlines()] == [
        "bad.yaml:2: max_paralel: unknown key 'max_paralel', did you mean max_parallel?",
        "bad.yaml:3: timeout: 5 is not understood",
        "bad.yaml:8: tasks::0::depends_on: the tasks wait for each other: a -> b -> a",
        "bad.yaml:10: tasks::1::agent: '' is not understood",
        "bad.yaml:12: tasks::1::depends_on::1: there is no task 'c'",
        "bad.yaml:13: tasks::1::retries: -1 is out of range",
        "bad.yaml:14: tasks::2::task: is missing",
        "bad.yaml:14: tasks::2::id: 'a' is there already",
        "bad.yaml:16: tasks::2::comand: unknown key 'comand'",
    ]


def test_without_agents_it_says_whom_it_needs_and_how_to_give_them(run: Run) -> None:
    shown = run("execute", "product-development")
    assert (shown.returncode, shown.stdout) == (2, "")
    [line] = shown.stderr.splitlines()
    assert line.startswith(
        "product-development: agents that were not given: ProductOwner (create_user_story), Architect "
        "(design_architecture), BackendDeveloper (build_api), "
    )
    assert "--agents MODULE:OBJECT" in line
    assert "--demo" in line


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--agents", "team:AGENTS", "--demo"], "exclude each other"),
        (["--agents", "team:"], "'team:' is not understood (expected package.module:OBJECT)"),
        (["--agents", "nobody:AGENTS"], "there is no module nobody in "),
        (["--agents", "team:NOBODY"], "team has no 'NOBODY'"),
        (["--agents", "team:LIST"], "team:LIST is list (expected a dict of agents, or a module)"),
        (["--agents", "torn:AGENTS"], "torn cannot be imported: ZeroDivisionError: division by zero"),
        (["--agents", "needy:AGENTS"], "needy cannot be imported: No module named 'surely_not_there'"),
        (["--agents", "team"], "agents that were not given: TestEngineer (try it) (expected"),
        (["--agents", "team:AGENTS", "--context", "context.yaml"], "context::inputs: is given by the workflow itself"),
        (["--agents", "team:AGENTS", "--context", "small.txt"], "small.txt: no such file"),
        (["--agents", "team:AGENTS", "--level", "much"], "'basic', 'enhanced', 'full'"),
        (["--agents", "team:AGENTS", "--otlp-endpoint", "what"], "endpoint"),
    ],
)
def test_what_cannot_be_used_is_refused(run: Run, here: Path, args: list[str], said: str) -> None:
    (here / "torn.py").write_text("1 / 0")
    (here / "needy.py").write_text("import surely_not_there")
    (here / "context.yaml").write_text("inputs: {}")
    shown = run("execute", "small.yaml", *args, OTEL_SDK_DISABLED="true")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert said in " ".join(shown.stderr.replace("│", " ").split())


def test_own_agents_context_and_progress(run: Run, here: Path, receiver: GrpcReceiver) -> None:
    (here / "context.json").write_text('{"colour": "blue"}')
    args = ["--agents", "team:AGENTS", "--context", "context.json", "--otlp-endpoint", receiver.endpoint]
    shown = run("execute", "small.yaml", *args, "--json")
    assert shown.returncode == 0, shown.stderr
    report = json.loads(shown.stdout)
    assert report["tasks"]["build"]["result"] == {"colour": "blue", "inputs": {}}
    assert (report["tasks"]["test"]["result"], report["tasks"]["test"]["attempts"]) == ("try it", 2)
    notes = shown.stderr.splitlines()
    assert "building" in notes  # what agents print does not get into the result
    assert "build: started (BackendDeveloper.build)" in notes
    assert "test: attempt 1 failed: not up yet" in notes
    [trace] = {span.trace_id.hex() for span in receiver.spans()}
    assert trace == report["trace_id"]


def test_a_failed_task_is_exit_code_1_and_is_in_the_table(run: Run, here: Path) -> None:
    tasks = [
        {"id": "scan", "agent": "security", "task": "x"},
        {"id": "ship", "agent": "backend", "task": "build", "depends_on": ["scan"]},
    ]
    (here / "red.yaml").write_text(json.dumps({"name": "red", "tasks": tasks}))
    shown = run("execute", "red.yaml", "--agents", "team:AGENTS", OTEL_SDK_DISABLED="true")
    assert shown.returncode == 1
    lines = shown.stdout.splitlines()
    assert lines[1].split()[:3] == ["scan", "SecurityDeveloper", "error"]
    assert lines[1].endswith("all red")
    assert lines[2].split()[:3] == ["ship", "BackendDeveloper", "skipped"]
    assert lines[2].endswith("scan did not succeed")
    assert lines[-3].startswith("red: error, 2 tasks in ")
    assert lines[-1] == "trace not recorded"


def attribute(span: Any, key: str) -> str:
    return next((pair.value.string_value for pair in span.attributes if pair.key == key), "")


@pytest.mark.parametrize(("level", "has_host", "has_content"), [("basic", False, False), ("full", True, True)])
def test_the_level_says_how_much_is_reported(
    run: Run, here: Path, receiver: GrpcReceiver, level: str, has_host: bool, has_content: bool
) -> None:
    args = ["--agents", "team:AGENTS", "--level", level, "--otlp-endpoint", receiver.endpoint]
    assert run("execute", "small.yaml", *args).returncode == 0
    assert ("process.cpu.time" in receiver.metrics()) is has_host
    [build] = [span for span in receiver.spans() if attribute(span, "bmad.task.name") == "build"]
    assert bool(attribute(build, "bmad.task.result")) is has_content


def test_ctrl_c_ends_cleanly_with_what_there_is(here: Path, receiver: GrpcReceiver) -> None:
    tasks = [
        {"id": "build", "agent": "backend", "task": "build"},
        {"id": "wait", "agent": "backend", "task": "slow", "depends_on": ["build"]},
        {"id": "ship", "agent": "backend", "task": "build", "depends_on": ["wait"]},
    ]
    (here / "long.yaml").write_text(json.dumps({"name": "long", "tasks": tasks}))
    command = [str(PROGRAM), "execute", "long.yaml", "--agents", "team:AGENTS", "--otlp-endpoint", receiver.endpoint]
    process = subprocess.Popen(
        [*command, "--json"], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        eventually((here / "began").exists)
        interrupted_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert time.monotonic() - interrupted_s < 20  # the agent's sleep of a minute is not waited for
    assert process.returncode == 130, errors
    report = json.loads(output)
    assert {name: task["status"] for name, task in report["tasks"].items()} == {
        "build": "ok", "wait": "cancelled", "ship": "skipped",
    }  # fmt: skip
    assert "Traceback" not in errors
    outcomes = {attribute(span, "bmad.task.name"): attribute(span, "bmad.task.outcome") for span in receiver.spans()}
    assert outcomes == {"build": "ok", "slow": "cancelled", "long": "cancelled"}


def test_ctrl_c_again_ends_a_coroutine_that_does_not_listen(here: Path) -> None:
    (here / "deaf.py").write_text(
        "import time\nfrom pathlib import Path\n\nclass Backend:\n    async def slow(self):\n"
        "        Path('began').write_text('')\n        time.sleep(60)\n"
    )
    (here / "deaf.yaml").write_text("name: deaf\ntasks: [{id: wait, agent: backend, task: slow}]\n")
    process = subprocess.Popen(
        [str(PROGRAM), "execute", "deaf.yaml", "--agents", "deaf", "--json"],
        cwd=here, env=os.environ | {"OTEL_SDK_DISABLED": "true"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        eventually((here / "began").exists)
        # two that come at the same moment are one: again until the report comes
        eventually(lambda: process.send_signal(signal.SIGINT) or select.select([process.stdout], [], [], 0.3)[0])
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, json.loads(output)["tasks"]["wait"]["status"]) == (130, "cancelled")
    assert "Traceback" not in errors


def test_a_terminal_shows_the_tasks_at_work(here: Path) -> None:
    master, slave = pty.openpty()
    command = [str(PROGRAM), "execute", "small.yaml", "--agents", "team:AGENTS"]
    environ = os.environ | {"OTEL_SDK_DISABLED": "true", "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(command, cwd=here, env=environ, stdout=slave, stderr=slave, stdin=slave)
    os.close(slave)
    shown = b""
    try:
        while select.select([master], [], [], 30)[0]:
            try:
                part = os.read(master, 65536)
            except OSError:  # what Linux says of a terminal nobody has open any more
                break
            if not part:
                break
            shown += part
    finally:
        os.close(master)
    assert process.wait(30) == 0
    text = shown.decode()
    assert "building" in text
    assert "runs" in text
    assert "small: ok, 2 tasks in" in text


def test_product_development_with_the_demos_agents_is_one_trace_in_a_real_collector(run: Run, tmp_path: Path) -> None:
    """H-I7 and the acceptance test of workflows: seven tasks under one workflow span, and samples for the profiles."""
    folder = tmp_path / "collector"
    folder.mkdir()
    with embedded(write_config(folder, performance={**FAST, "evaluation_window": "30s"})) as collector:
        endpoints = collector.endpoints
        shown = run("execute", "product-development", "--demo", "--json",
                    OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{endpoints['otlp/grpc']}")  # fmt: skip
        assert shown.returncode == 0, shown.stderr
        report = json.loads(shown.stdout)
        api = Api(endpoints["api"])
        agents = [task["agent"] for task in report["tasks"].values()]
        assert len(agents) == 7
        for agent in agents:
            assert eventually(lambda agent=agent: api.tasks_of(agent)) == 1
        for agent in ("ProductOwner", "Architect", "TestEngineer"):
            summary = eventually(lambda agent=agent: _measured(api, agent))
            assert summary["current_metrics"]["response_time"]["n"] == 1
            assert summary["errors_total"] == 0
    spans = [
        span
        for line in (folder / "telemetry.json").read_text().splitlines()
        for resource in json.loads(line).get("resourceSpans", ())
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert {span["traceId"] for span in spans} == {report["trace_id"]}
    [workflow] = [span for span in spans if span["name"] == "invoke_workflow product-development"]
    tasks = [span for span in spans if span["name"].startswith("invoke_agent ")]
    assert sorted(span["name"] for span in tasks) == sorted(f"invoke_agent {agent}" for agent in agents)
    assert {span["parentSpanId"] for span in tasks} == {workflow["spanId"]}


def _measured(api: Api, agent: str) -> dict[str, Any] | None:
    summary: dict[str, Any] = api.get(f"/api/v1/agents/{agent}")
    return summary if "response_time" in summary["current_metrics"] else None


@pytest.mark.long
def test_the_running_service_gets_the_trace_unasked(run: Run, here: Path, tmp_path: Path) -> None:
    """N3: start-monitoring, execute, ask: processes that have nothing in common but their user."""
    home = str(tmp_path / "home")
    anywhere = ["--grpc", "localhost:0", "--http", "localhost:0", "--api", "localhost:0"]
    assert run("start-monitoring", *anywhere, BMAD_OTEL_HOME=home).returncode == 0
    try:
        done = run("execute", "small.yaml", "--agents", "team:AGENTS", BMAD_OTEL_HOME=home)
        assert done.returncode == 0, done.stderr
        summary = run("agent-summary", "TestEngineer", "--json", BMAD_OTEL_HOME=home)
        # two attempts, of which the first failed
        assert json.loads(summary.stdout)["tasks_total"] == 2
        assert json.loads(summary.stdout)["errors_total"] == 1
    finally:
        assert run("stop-monitoring", BMAD_OTEL_HOME=home).returncode == 0


def test_ai_development_with_the_demos_agents(run: Run) -> None:
    shown = run("execute", "ai-development", "--demo", OTEL_SDK_DISABLED="true")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "ai-development: ok, 5 tasks in" in shown.stdout


def test_installed_without_its_source_it_knows_the_workflows_and_says_where_the_demos_agents_are(
    tmp_path: Path,
) -> None:
    site = tmp_path / "site"
    shutil.copytree(ROOT / "bmad_otel", site / "bmad_otel")
    shutil.copytree(ROOT / "processors" / "bmad_processor", site / "bmad_processor")
    # where the wheel has it: see force-include in pyproject.toml
    shutil.copytree(ROOT / "collector-config", site / "bmad_processor" / "collector_config")

    def call(*args: str) -> subprocess.CompletedProcess[str]:
        environ = os.environ | {"PYTHONPATH": str(site), "OTEL_SDK_DISABLED": "true"}
        command = [sys.executable, "-c", "from bmad_processor.cli import main; main()", *args]
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60)

    assert "product-development" in call("list-workflows").stdout
    refused = call("execute", "product-development", "--demo")
    assert refused.returncode == 2
    assert "the demo's agents are not part of an installed package (expected a source checkout, or" in refused.stderr
