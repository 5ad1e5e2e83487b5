"""Where things are going, asked of the monitor: trends, scaling needs and summaries over a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from bmad_otel import AgentPerformanceProfile, PerformanceMonitor
from bmad_otel.testing import ManualClock

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
