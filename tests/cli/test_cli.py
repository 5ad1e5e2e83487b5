"""The installed command line against a real API server, against a store file, and against nothing."""

from __future__ import annotations

import http.server
import json
import pty
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import pytest
import typer

from bmad_processor.cli.app import TOPICS

from .conftest import Run

READING = [["system-summary"], ["agent-summary", "ProductOwner"], ["list-agents"], ["show-alerts"]]


@pytest.mark.parametrize("command", READING, ids=lambda c: c[0])
def test_the_collector_and_its_file_say_the_same(run: Run, endpoint: str, state: str, command: list[str]) -> None:
    asked = run(*command, "--endpoint", endpoint, "--json")
    read = run(*command, "--state", state, "--json")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert read.returncode == 0
    assert read.stderr == f"reading {state}\n"
    live, kept = json.loads(asked.stdout), json.loads(read.stdout)
    assert live.keys() == kept.keys()
    if command == ["show-alerts"]:
        for one, other in zip(live["alerts"], kept["alerts"], strict=True):
            # what fires grows older between the two questions; the rest is the same
            assert (one.pop("duration_s") <= other.pop("duration_s")) if one["status"] == "firing" else True
        assert live == kept


@pytest.mark.parametrize("command", READING, ids=lambda c: c[0])
def test_tables_are_plain_and_safe_when_piped(run: Run, endpoint: str, command: list[str]) -> None:
    result = run(*command, BMAD_OTEL_ENDPOINT=endpoint)
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
    assert result.stdout.count("\n") > 3


def test_list_agents(run: Run, state: str) -> None:
    lines = run("list-agents", BMAD_OTEL_STATE=state).stdout.splitlines()
    assert lines[0].split() == ["Agent", "Inst", "Rate", "p95", "Normal", "Errors", "CPU", "Scaling", "Alert", "Seen"]
    assert lines[1].split()[:7] == ["ProductOwner", "1", "0.07/s", "2.00s", "-", "25.0%", "90.0%"]
    assert any("[red]Agent[/red]" in line for line in lines)
    assert any(line.startswith("Architect (shop)") for line in lines)


def test_agent_summary(run: Run, state: str) -> None:
    shown = run("agent-summary", "product-owner", "--state", state).stdout
    assert shown.startswith("ProductOwner\nmonitoring on")
    assert "Consider scaling up CPU resources or optimizing task distribution" in shown
    assert "CPU usage is 75.2% (threshold: 70.0%)" in shown
    assert "Also known in: bank" in run("agent-summary", "Architect", "--state", state).stdout
    assert "Also" not in run("agent-summary", "Architect", "--namespace", "bank", "--state", state).stdout


def test_show_alerts_filters(run: Run, endpoint: str) -> None:
    def ids(*args: str) -> list[str]:
        return [
            a["alert_id"]
            for a in json.loads(run("show-alerts", "--endpoint", endpoint, "--json", *args).stdout)["alerts"]
        ]

    assert ids("--agent", "ProductOwner", "--status", "resolved") == ["old"]
    assert ids("--level", "critical") == ["ProductOwner_cpu_usage_1640995200"]
    assert ids("--level", "info") == []
    assert len(ids("--limit", "1")) == 1


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--fail-on", "critical"], 1),
        (["--fail-on", "warning", "--level", "info", "--limit", "1"], 1),
        (["--fail-on", "emergency"], 0),
        (["--fail-on", "warning", "--agent", "Architect"], 0),
    ],
)
def test_fail_on(run: Run, state: str, args: list[str], code: int) -> None:
    assert run("show-alerts", "--state", state, *args).returncode == code


@pytest.mark.parametrize("where", ["endpoint", "state"])
def test_an_unknown_agent(run: Run, endpoint: str, state: str, where: str) -> None:
    args = ["--endpoint", endpoint] if where == "endpoint" else ["--state", state]
    result = run("agent-summary", "ProductOwnr", *args)
    assert result.returncode == 2
    assert "Unknown agent: ProductOwnr; did you mean ProductOwner?" in result.stderr
    assert result.stdout == ""


def test_no_collector_reads_the_file_and_says_so(run: Run, state: str, closed_endpoint: str) -> None:
    result = run("list-agents", "--endpoint", closed_endpoint, "--state", state)
    assert result.returncode == 0
    assert result.stderr == f"no collector answers at {closed_endpoint}; reading {state}\n"


def test_neither_collector_nor_file(run: Run, closed_endpoint: str) -> None:
    result = run("list-agents", "--endpoint", closed_endpoint)
    assert result.returncode == 3
    assert "./bmad-otel.db does not exist" in result.stderr
    assert "bmad-otel collector --config" in result.stderr


def test_another_machine_s_collector_is_not_replaced_by_a_local_file(run: Run, state: str) -> None:
    Path(state).rename(Path(state).parent / "work.db")
    result = run("list-agents", "--endpoint", "host.invalid:8320")
    assert result.returncode == 3
    assert "reading" not in result.stderr


def test_what_listens_may_be_something_else(run: Run, state: str) -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        result = run("list-agents", "--endpoint", f"127.0.0.1:{server.server_port}", "--state", state)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert result.returncode == 0
    assert "no collector answers" in result.stderr


def test_a_damaged_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_bytes(b"no database" * 1000)
    result = run("list-agents", "--state", str(tmp_path / "bad.db"))
    assert result.returncode == 3
    assert "damaged" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["nothing"], ["agent-summary"], ["agent-summary", " "], ["show-alerts", "--level", "loud"],
        ["show-alerts", "--limit", "0"], ["list-agents", "--endpoint", "nowhere"], ["collector"], ["validate"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage(run: Run, args: list[str]) -> None:
    result = run(*args)
    assert result.returncode == 2
    assert result.stderr
    assert "Traceback" not in result.stderr


def test_help_and_version(run: Run) -> None:
    assert "show-alerts" in run("--help").stdout
    assert run("show-alerts", "--help").returncode == 0
    assert run("version").stdout.startswith("bmad-otel 0.")


def test_validate_names_every_problem(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("receivers:\n  nothing:\nexporterss: {}\n")
    result = run("validate", "--config", str(bad))
    assert result.returncode == 2
    assert "bad.yaml:2" in result.stderr
    assert "bad.yaml:3" in result.stderr
    as_json = run("validate", "--config", str(bad), "--json")
    assert as_json.returncode == 2
    assert {problem["line"] for problem in json.loads(as_json.stdout)["problems"]} >= {2, 3}
    assert run("collector", "--config", str(bad)).returncode == 2


def test_print_config_shows_what_is_in_force(run: Run, tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "collector-config" / "bmad-collector.yaml"
    settings = ("--set", "exporters::debug::verbosity=detailed", "--set", "exporters.otlp_grpc={endpoint: 'x:1'}")
    secret = ("--set", "exporters::otlp_grpc::headers={authorization: Bearer abc}")
    shown = run("print-config", "--config", str(shipped), *settings, *secret)
    assert shown.returncode == 0
    assert "verbosity: detailed" in shown.stdout
    assert "Bearer" not in shown.stdout
    again = tmp_path / "again.yaml"
    options = ("--mode", "unredacted", "--format", "json", "--defaults")
    again.write_text(run("print-config", "--config", str(shipped), *settings, *secret, *options).stdout)
    assert json.loads(again.read_text())["exporters"]["otlp_grpc"]["headers"] == {"authorization": "Bearer abc"}
    assert run("validate", "--config", str(again)).returncode == 0
    wrong = run("print-config", "--config", str(shipped), "--set", "exporters.debug.verbosity=loud")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "--set exporters.debug.verbosity" in wrong.stderr
    unchecked = run(
        "print-config", "--config", str(shipped), "--set", "exporters.debug.verbosity=loud", "--no-validate"
    )
    assert "verbosity: loud" in unchecked.stdout


def test_components_are_listed(run: Run) -> None:
    assert "otlphttp" in run("components").stdout
    found = json.loads(run("components", "--json").stdout)["components"]
    receiver = next(c for c in found if c["type"] == "otlp")
    assert receiver["signals"] == ["traces", "metrics", "logs"]


def test_a_missing_extra_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError(\"No module named 'typer'\", name='typer')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from bmad_processor.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == "bmad-otel needs typer: pip install 'bmad-otel[collector]'\n"


def test_a_terminal_gets_colours_but_no_foreign_escapes(state: str) -> None:
    program = Path(sys.executable).with_name("bmad-otel")
    main, terminal = pty.openpty()
    with subprocess.Popen(
        [str(program), "show-alerts", "--state", state],
        stdout=terminal, stderr=subprocess.DEVNULL, env={"TERM": "xterm-256color", "COLUMNS": "160", "LANG": "C.UTF-8"},
    ) as child:  # fmt: skip
        import os

        os.close(terminal)
        shown = b""
        while True:
            try:
                chunk = os.read(main, 65536)
            except OSError:
                break
            if not chunk:
                break
            shown += chunk
        os.close(main)
        child.wait()
    text = shown.decode()
    assert "\x1b[" in text
    assert "\x1b[2J" not in text
    assert "[red]Agent[/red]" in text


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_registers_the_commands_it_is_loaded_for(topic: str) -> None:
    app = typer.Typer()
    import_module(f"bmad_processor.cli.{topic}").register(app)
    assert tuple(command.name for command in app.registered_commands) == TOPICS[topic]
