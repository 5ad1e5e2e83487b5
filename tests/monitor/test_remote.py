"""A collector as the host: what is away, what comes back, and what it says no to."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bmad_otel import PerformanceMonitor
from bmad_otel.monitor._remote import Remote
from tests.run.collectors import Process, write_config

PERFORMANCE = {"monitoring_interval": "1s", "evaluation_window": "3s", "allowed_lateness": "1s",
               "commit_interval": "100ms"}  # fmt: skip


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return int(listener.getsockname()[1])


def run(program: str, endpoint: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        env={"BMAD_OTEL_ENDPOINT": endpoint, "BMAD_OTEL_RAISE_INTERNAL": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_without_a_collector_agents_work_and_questions_say_so() -> None:
    program = """
        from bmad_otel import AgentPerformanceProfile, PerformanceMonitor

        monitor = PerformanceMonitor()
        monitor.register_agent_profile(AgentPerformanceProfile("Architect"))
        monitor.start_task_tracking("Architect", "1")
        monitor.log_metric("plans", 3, "count", "Architect")
        monitor.log_metric("done", {"plans": 3}, agent_name="Architect")
        monitor.end_task_tracking("Architect", "1")
        monitor.start_monitoring(1)
        monitor.stop_monitoring()
        try:
            monitor.get_agent_performance_summary("Architect")
        except ConnectionError as error:
            assert "no collector answers at localhost:" in str(error), error
        else:
            raise AssertionError
        try:
            monitor.register_agent_profile(AgentPerformanceProfile("Architect", scaling_rules={"max": 3}))
        except ValueError as error:
            assert "scaling_rules.max: unknown rule" in str(error)
        else:
            raise AssertionError
        assert monitor.dropped["profiles_waiting"] == 1, monitor.dropped
    """
    child = run(program, f"localhost:{free_port()}")
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    assert "profiles are registered when it does" in errors


def test_profiles_are_registered_again_when_the_collector_was_restarted(tmp_path: Path) -> None:
    program = """
        import sys
        from bmad_otel import AgentPerformanceProfile, AlertLevel, MetricType, PerformanceMonitor

        monitor = PerformanceMonitor()
        level = AlertLevel.CRITICAL
        limits = {MetricType.RESPONSE_TIME: {level: 7.0}, MetricType.MEMORY_USAGE: {level: 512}}
        monitor.register_agent_profile(AgentPerformanceProfile("Architect", thresholds=limits))
        for line in sys.stdin:
            monitor.collect()
            thresholds = monitor._host._api.get("profiles/Architect")["thresholds"]
            print(thresholds["response_time"]["critical"], thresholds["memory_bytes"]["critical"], flush=True)
    """
    config = write_config(tmp_path, performance=PERFORMANCE)
    api = f"127.0.0.1:{free_port()}"
    config.write_text(
        config.read_text().replace('"api": {\n      "endpoint": "127.0.0.1:0"', f'"api": {{"endpoint": "{api}"')
    )
    with ExitStack() as stack:
        with Process(config, log=tmp_path / "log") as collector:
            assert collector.endpoints()["api"] == api
            child = stack.enter_context(run(program, api))
            stack.callback(child.kill)
            assert ask(child) == "7.0 512.0"
            collector.stop()
        with Process(config, log=tmp_path / "log2") as collector:
            collector.endpoints()
            assert ask(child) == "7.0 512.0"


def ask(child: subprocess.Popen[str]) -> str:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write("?\n")
    child.stdin.flush()
    return child.stdout.readline().strip()


@pytest.mark.parametrize("endpoint", ["http://", "localhost:seventy", "ftp://localhost:8320", "localhost:99999"])
def test_an_address_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="endpoint must be the address of a collector's API"):
        PerformanceMonitor(endpoint=endpoint)


def found(alert_id: str, level: str = "warning", *, at: float = 2e9, resolved: bool = False) -> dict[str, Any]:
    return {
        "alert_id": alert_id, "level": level, "timestamp": at, "resolved": resolved,
        "resolution_time": at + 5 if resolved else None,
    }  # fmt: skip


def test_what_is_news_and_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The looks of one monitor at a list of alerts that changes."""
    monkeypatch.setattr("bmad_otel.monitor._remote._report_to", lambda api: True)
    remote = Remote("localhost:1", lambda event: None)

    def news(*alerts: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
        return [
            (event["kind"], event["alert"]["alert_id"], event["alert"]["level"], event["alert"]["resolved"])
            for event in remote._news(list(alerts))
        ]

    old = found("old", at=1.0)
    assert news(old) == []  # it fired before we began
    assert news(old, found("a")) == [("fired", "a", "warning", False)]
    assert news(old, found("a")) == []
    assert news(old, found("a", "critical")) == [("escalated", "a", "critical", False)]
    assert news(old, found("a")) == []  # it got better, which is not told
    assert news(old, found("a", "critical")) == []
    assert news(found("old", at=1.0, resolved=True), found("a", "critical", resolved=True)) == [
        ("resolved", "old", "warning", True), ("resolved", "a", "critical", True),
    ]  # fmt: skip
    assert news(found("a", "critical", resolved=True)) == []
    # fired and resolved between two looks
    assert news(found("b", "emergency", resolved=True)) == [
        ("fired", "b", "emergency", False), ("resolved", "b", "emergency", True),
    ]  # fmt: skip
