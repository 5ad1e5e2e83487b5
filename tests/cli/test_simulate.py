"""``simulate-task``: a real task, delivered to a real collector, or an exit code that says it was not."""

from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bmad_processor.run.collector import Collector
from tests.run.collectors import Api, embedded, eventually, write_config

from .conftest import Run


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with embedded(write_config(tmp_path)) as running:
        yield running


def simulate(run: Run, collector: Collector, *args: str, **env: str) -> dict[str, Any]:
    result = run("simulate-task", *args, "--endpoint", collector.endpoints["api"], "--json", **env)
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_tasks_arrive_under_the_canonical_name(run: Run, collector: Collector, tmp_path: Path) -> None:
    """Several at once, in several spellings: one agent, ids of their own, and `false` is false."""
    spellings = ["product-owner", "ProductOwnerAgent", "ProductOwner"]
    calls = [(name, "--duration", "0.3", "--success", "true") for name in spellings]
    calls.append(("ProductOwner", "--duration", "0", "--success", "false", "--error-type", "boom"))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda args: simulate(run, collector, *args), calls))
    assert {result["agent"] for result in results} == {"ProductOwner"}
    assert len({result["task_id"] for result in results}) == len({result["trace_id"] for result in results}) == 4
    assert [result["success"] for result in results] == [True, True, True, False]
    assert all(0.3 <= result["duration_s"] < 5 for result in results[:3])
    api = Api(collector.endpoints["api"])
    eventually(lambda: api.tasks_of("ProductOwner") == 4)
    assert [(row["name"], row["errors_total"]) for row in api.get("/api/v1/agents")["agents"]] == [("ProductOwner", 1)]
    telemetry = eventually(lambda: (tmp_path / "telemetry.json").read_text().count('"simulated"') >= 4)
    assert telemetry
    spans = [
        span
        for line in (tmp_path / "telemetry.json").read_text().splitlines()
        for resource in json.loads(line).get("resourceSpans", ())
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    assert {span["traceId"] for span in spans} == {result["trace_id"] for result in results}
    failed = next(span for span in spans if span["traceId"] == results[3]["trace_id"])
    attributes = {a["key"]: a["value"].get("stringValue") for a in failed["attributes"]}
    assert (attributes["error.type"], attributes["bmad.task.outcome"]) == ("boom", "error")
    assert attributes["bmad.task.id"] == results[3]["task_id"]
    assert failed["spanId"] == results[3]["span_id"]


def test_the_namespace_of_a_known_agent_is_kept(run: Run, collector: Collector) -> None:
    simulate(run, collector, "Architect", "--duration", "0", OTEL_RESOURCE_ATTRIBUTES="service.namespace=shop")
    api = Api(collector.endpoints["api"])
    eventually(lambda: api.tasks_of("Architect") == 1)
    again = simulate(run, collector, "architect", "--duration", "0")
    assert again["namespace"] == "shop"
    eventually(lambda: api.tasks_of("Architect") == 2)
    assert len(api.get("/api/v1/agents")["agents"]) == 1


def test_what_looks_misspelt_is_asked_about(run: Run, here: Run, collector: Collector) -> None:
    at = ("--endpoint", collector.endpoints["api"])
    result = here("simulate-task", "ProdutcOwner", *at)
    assert result.returncode == 2
    assert "did you mean ProductOwner?" in result.stderr
    assert here("simulate-task", "system", *at).returncode == 2
    assert here("simulate-task", "ProductOwner", "--success", "maybe", *at).returncode == 2
    assert here("simulate-task", "  ", *at).returncode == 2
    assert here("simulate-task", "ProductOwner", "--duration", "-1", *at).returncode == 2
    assert simulate(run, collector, "ProdutcOwner", "--duration", "0", "--new")["agent"] == "ProdutcOwner"


def test_the_variables_of_opentelemetry_decide(run: Run, collector: Collector) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.endpoints['otlp/http']}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }
    result = run("simulate-task", "RnD", "--duration", "0", **variables)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[:2] == ["Task", "Agent"]
    api = Api(collector.endpoints["api"])
    eventually(lambda: api.tasks_of("RnD") == 1)


def test_what_is_not_delivered_is_a_failure(run: Run, here: Run, closed_endpoint: str) -> None:
    result = here("simulate-task", "RnD", "--duration", "0", "--endpoint", closed_endpoint)
    assert (result.returncode, result.stdout) == (1, "")
    assert "no collector answers" in result.stderr
    # bound and not listening: every connection is refused, and nobody else gets the port meanwhile
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = run("simulate-task", "RnD", "--duration", "0", OTEL_EXPORTER_OTLP_ENDPOINT=nowhere)
    assert (result.returncode, result.stdout) == (1, "")
    assert "could not be delivered" in result.stderr
    result = run(
        "simulate-task", "RnD", "--duration", "0", OTEL_EXPORTER_OTLP_ENDPOINT=nowhere, OTEL_SDK_DISABLED="true"
    )
    assert result.returncode == 1
    assert "nothing is sent" in result.stderr


def test_a_long_task_shows_a_bar_on_a_terminal(collector: Collector, tmp_path: Path) -> None:
    parent, child = pty.openpty()
    program = Path(sys.executable).with_name("bmad-otel")
    process = subprocess.Popen(
        [program, "simulate-task", "RnD", "--duration", "1.2", "--endpoint", collector.endpoints["api"]],
        stdout=subprocess.PIPE, stderr=child, cwd=tmp_path, text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(child)
    shown = b""
    try:
        while data := os.read(parent, 4096):
            shown += data
    except OSError:  # the terminal is gone with its last writer
        pass
    os.close(parent)
    assert process.stdout is not None
    with process.stdout:
        table = process.stdout.read()
    assert process.wait(30) == 0
    assert "Trace id" in table
    assert b"working" in shown
    assert b"%" in shown
