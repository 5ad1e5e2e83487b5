"""The small examples run as a reader would run them, and what they send is what their comments say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run(module: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", module],
        cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def documents(output: str) -> list[dict[str, Any]]:
    """The JSON documents that the console exporters print, one after the other, between other lines."""
    decoder, found, at = json.JSONDecoder(), [], output.find("{")
    while at >= 0:
        document, end = decoder.raw_decode(output, at)
        found.append(document)
        at = output.find("{", end)
    return found


def spans(output: str) -> list[dict[str, Any]]:
    return [document for document in documents(output) if "kind" in document]


def by_name(found: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [span for span in found if span["name"] == name]


CONSOLE = {"OTEL_TRACES_EXPORTER": "console", "OTEL_METRICS_EXPORTER": "none"}


def test_quickstart_is_one_span_per_call() -> None:
    output = run("examples.quickstart", **CONSOLE)
    assert output.startswith("8 words")
    [span] = spans(output)
    assert span["name"] == "invoke_agent Librarian"
    assert span["attributes"]["bmad.task.name"] == "count_words"
    assert span["resource"]["attributes"]["service.name"] == "quickstart"


def test_async_agent_keeps_each_trace_together_and_records_the_failure() -> None:
    output = run("examples.async_agent", **CONSOLE)
    found = spans(output)
    readers = by_name(found, "invoke_agent Reader")
    streams = by_name(found, "invoke_agent Librarian")
    assert {reader["attributes"]["bmad.task.id"] for reader in readers} == {"examples", "demo"}
    assert {stream["parent_id"] for stream in streams} == {reader["context"]["span_id"] for reader in readers}
    tools = by_name(found, "execute_tool digest")
    good = [tool for tool in tools if tool["attributes"]["bmad.task.outcome"] == "ok"]
    assert {tool["parent_id"] for tool in good} == {stream["context"]["span_id"] for stream in streams}
    [bad] = [tool for tool in tools if tool["attributes"]["bmad.task.outcome"] == "error"]
    assert bad["attributes"]["error.type"] == "FileNotFoundError"
    assert "as it should be: No such file" in output


def test_existing_otel_reports_through_the_programs_own_providers() -> None:
    output = run("examples.existing_otel")
    found = spans(output)
    [clerk] = by_name(found, "invoke_agent Clerk")
    [own] = by_name(found, "close the books")
    assert clerk["parent_id"] == own["context"]["span_id"]
    assert clerk["resource"]["attributes"]["service.name"] == "existing-program"
    assert '"gen_ai.invoke_agent.duration"' in output


@pytest.mark.parametrize("module", ["quickstart", "async_agent"])
def test_without_a_collector_an_example_ends_by_itself(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{module}"],
        cwd=ROOT, env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1"},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
