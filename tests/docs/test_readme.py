"""A newcomer follows the README, word for word."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "collector-config").glob("*.md"))]
BIN = Path(sys.executable).parent


def block(name: str) -> str:
    """The Python block the README says to save as ``name``."""
    found = re.search(rf"<!-- test: {re.escape(name)} -->\n```python\n(.*?)```", README, re.DOTALL)
    assert found, f"README has no block {name}"
    return found[1]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return int(listener.getsockname()[1])


def until(ask: Callable[[], bool], *, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.2)


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The README's collector on ports that are free here; yields the environment that points to it."""
    grpc, http, api = free_port(), free_port(), free_port()
    overlay = tmp_path / "ports.yaml"
    overlay.write_text(
        f"receivers: {{otlp: {{protocols: {{grpc: {{endpoint: 'localhost:{grpc}'}},"
        f" http: {{endpoint: 'localhost:{http}'}}}}}}}}\n"
        f"extensions: {{api: {{endpoint: 'localhost:{api}'}}}}\n"
    )
    environment = os.environ | {
        "BMAD_OTEL_STATE": str(tmp_path / "state.db"),
        "BMAD_OTEL_ENDPOINT": f"localhost:{api}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://localhost:{grpc}",
    }
    command = re.search(r"^    (bmad-otel collector --config \S+)$", README, re.MULTILINE)
    assert command
    log = (tmp_path / "collector.log").open("w")
    process = subprocess.Popen(
        [*f"{BIN}/{command[1]}".split(), "--config", str(overlay)], cwd=ROOT, env=environment, stdout=log, stderr=log
    )
    try:
        yield environment
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
        log.close()
    assert code == 0, (tmp_path / "collector.log").read_text()


def ask(environment: dict[str, str], *command: str) -> tuple[int, str]:
    done = subprocess.run(
        [str(BIN / "bmad-otel"), *command], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout


def run_block(name: str, folder: Path, environment: dict[str, str]) -> None:
    (folder / name).write_text(block(name))
    subprocess.run([sys.executable, name], cwd=folder, env=environment, check=True, timeout=30, capture_output=True)


def test_first_span_and_first_alert(collector: dict[str, str], tmp_path: Path) -> None:
    until(lambda: ask(collector, "system-summary", "--json")[0] == 0, seconds=20, what="collector")

    run_block("my_agent.py", tmp_path, collector)
    until(lambda: ask(collector, "agent-summary", "Librarian")[0] == 0, seconds=10, what="agent")
    summary = json.loads(ask(collector, "agent-summary", "Librarian", "--json")[1])
    assert summary["tasks_total"] == 1
    assert "response_time" in summary["current_metrics"]

    run_block("my_alert.py", tmp_path, collector)
    until(lambda: "error_rate" in ask(collector, "show-alerts", "--json")[1], seconds=30, what="alert")
    (alert,) = json.loads(ask(collector, "show-alerts", "--json")[1])["alerts"]
    assert (alert["agent_name"], alert["level"], alert["status"]) == ("Librarian", "emergency", "firing")
    assert re.search(r"Error rate is \d+\.\d% \(threshold: 20\.0%\)", README)
    assert ask(collector, "show-alerts", "--fail-on", "critical")[0] == 1


def test_the_monitor_in_the_program(tmp_path: Path) -> None:
    (tmp_path / "my_monitor.py").write_text(block("my_monitor.py"))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("BMAD_OTEL_", "OTEL_"))}
    done = subprocess.run(
        [sys.executable, "my_monitor.py"],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "emergency Error rate is 100.0% (threshold: 20.0%)" in done.stdout
    assert "'value': 100.0" in done.stdout
    assert "Investigate the causes of the high error rate" in done.stdout
    assert done.stderr == ""


def test_every_command_in_the_pages_exists() -> None:
    known = set(re.findall(r"│?\s{2}([a-z][a-z-]+)\s{2,}", ask(dict(os.environ), "--help")[1]))
    named = {
        m for page in PAGES for m in re.findall(r"(?:`|^    )bmad-otel ([a-z][a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert {"collector", "agent-summary"} <= named <= known


def test_every_make_target_in_the_pages_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {m for page in PAGES for m in re.findall(r"(?:`|    )make ([a-z-]+)", page.read_text())}
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target
