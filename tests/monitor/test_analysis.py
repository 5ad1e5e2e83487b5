"""Where things are going, asked of the monitor: trends, scaling needs and summaries over a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest

from bmad_otel import AgentPerformanceProfile, PerformanceMonitor
from bmad_otel.testing import ManualClock
from bmad_processor.read_model import ReadModel
from bmad_processor.receive.http_server import AsgiServer
from bmad_processor.store import StoreReader
from bmad_processor.web import build_api
from tests.cli.test_trends import watched

__all__ = ["watched"]

Passing = Callable[[float], None]


@pytest.fixture
def slowing(monitor: PerformanceMonitor, clock: ManualClock, passing: Passing) -> PerformanceMonitor:
    """An agent whose tasks took a second a quarter of an hour ago, and take two and a half now."""
    for i in range(30):
        monitor.start_task_tracking("Architect", "t")
        clock.advance(1 + i * 0.05)
        monitor.end_task_tracking("Architect", "t")
        clock.advance(5 - (1 + i * 0.05))
        passing(25)
    return monitor


def test_trends_have_the_keys_of_old_and_their_certainty(slowing: PerformanceMonitor) -> None:
    found = slowing.analyze_performance_trends("architect", timedelta(minutes=30))
    slower = found["response_time"]
    assert slower["direction"] == "increasing"
    assert slower["trend"] == slower["magnitude"] == slower["slope_per_hour"] == pytest.approx(6, rel=0.15)
    assert slower["significant"]
    assert slower["ci95"][0] <= slower["trend"] <= slower["ci95"][1]
    assert slower["unit"] == "seconds"
    assert slower["to"] - slower["from"] > 600
    flat = found["error_rate"]
    assert (flat["direction"], flat["trend"], flat["significant"]) == ("stable", 0, False)
    assert slowing.analyze_performance_trends("Architect", "5m")["response_time"]["trend"] is None


def test_scaling_needs_have_the_keys_of_old_and_their_evidence(slowing: PerformanceMonitor, passing: Passing) -> None:
    found = slowing.predict_scaling_needs("Architect")
    assert {"action", "reason", "urgency", "current", "desired", "max_instances", "evidence"} <= found.keys()
    assert (found["current"], found["horizon_s"]) == (1, 900)
    # next to nothing is too much for this profile
    rules = {"cpu_threshold": None, "memory_threshold": 0.01, "max_instances": 2}
    slowing.register_agent_profile(AgentPerformanceProfile("Architect", scaling_rules=rules))
    found = slowing.predict_scaling_needs("architect", timedelta(minutes=5))
    assert (found["action"], found["urgency"], found["desired"]) == ("scale_up", "high", 2)
    assert found["evidence"]["memory_usage"]["value"] > 0.01
    assert found["evidence"]["memory_usage"]["n"] >= 10


def test_a_summary_over_a_time(slowing: PerformanceMonitor) -> None:
    found = slowing.get_agent_performance_summary("Architect", timedelta(minutes=5))
    lately = found["window_metrics"]["response_time"]
    assert 1.9 < lately["min"] <= lately["mean"] <= lately["p95"] <= lately["max"] <= 2.5
    assert "window_metrics" not in slowing.get_agent_performance_summary("Architect")


def test_of_an_unknown_agent_nothing_is_invented(monitor: PerformanceMonitor) -> None:
    assert monitor.analyze_performance_trends("Nobody") == {}
    found = monitor.predict_scaling_needs("Nobody")
    assert (found["action"], found["reason"], found["urgency"]) == ("maintain", "no data", "low")


@pytest.mark.parametrize("wrong", [timedelta(0), timedelta(seconds=-1), "soon", "0s"])
def test_a_time_that_cannot_be_looked_at_is_refused(slowing: PerformanceMonitor, wrong: timedelta | str) -> None:
    with pytest.raises(ValueError, match="window"):
        slowing.analyze_performance_trends("Architect", wrong)
    with pytest.raises(ValueError, match="horizon"):
        slowing.predict_scaling_needs("Architect", wrong)
    with pytest.raises(TypeError, match="time_window"):
        slowing.analyze_performance_trends("Architect", 3600)  # type: ignore[arg-type]


REMOTE = """
import json
from datetime import timedelta
from bmad_otel import get_performance_monitor

monitor = get_performance_monitor()
print(json.dumps([
    monitor.analyze_performance_trends("product-owner", timedelta(minutes=45)),
    monitor.predict_scaling_needs("ProductOwner", "25m"),
    monitor.predict_scaling_needs("Nobody"),
    monitor.get_agent_performance_summary("ProductOwner", timedelta(minutes=5)),
]))
try:
    monitor.analyze_performance_trends("ProductOwner", "soon")
except ValueError as error:
    print(error)
"""


def test_a_collector_answers_the_same(watched: str) -> None:
    server = AsgiServer(build_api(ReadModel(StoreReader(watched)), dict), "127.0.0.1:0", name="api")
    server.start()
    try:
        environment = os.environ | {
            "BMAD_OTEL_ENDPOINT": server.endpoint, "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none",
        }  # fmt: skip
        found = subprocess.run(
            [sys.executable, "-c", REMOTE], env=environment, capture_output=True, text=True, timeout=60
        )
    finally:
        server.stop(2)
    assert found.returncode == 0, found.stderr
    answers, refused = found.stdout.splitlines()
    trends, needs, nobody, summary = json.loads(answers)
    assert trends["cpu_usage"]["direction"] == "increasing"
    assert (needs["action"], needs["desired"], needs["urgency"]) == ("scale_up", 3, "medium")
    assert (nobody["action"], nobody["reason"]) == ("maintain", "no data")
    assert summary["window_metrics"]["cpu_usage"]["last"] > summary["window_metrics"]["cpu_usage"]["min"]
    assert refused.startswith("window must be a duration")
