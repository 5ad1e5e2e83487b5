"""What agents say of themselves, in every way they say it: kept apart from what is measured, and never an exception."""

from __future__ import annotations

import logging
from enum import Enum
from typing import Any

import pytest

from bmad_otel import MetricType, PerformanceMonitor
from bmad_otel._said import MAX_NAMES
from bmad_otel._state import state
from bmad_otel.testing import ManualClock, Telemetry


class OtherMetricType(Enum):
    """Of another monitor, as some agents import it."""

    CACHE_HIT_RATE = "cache_hit_rate"
    CPU_USAGE = "cpu_usage"


def said() -> dict[str, dict[tuple[str, str], tuple[float, str]]]:
    """Values by kind, agent and name."""
    kinds = {"custom": state.said.custom(), "reported": state.said.reported()}
    return {
        kind: {
            (str(point.attributes["gen_ai.agent.name"]), str(point.attributes["bmad.metric.name"])): (
                point.value, str(point.attributes["bmad.metric.unit"]),
            )
            for point in points
            if point.attributes
        }
        for kind, points in kinds.items()
    }  # fmt: skip


def events() -> dict[tuple[str, str], float]:
    return {
        (str(point.attributes["gen_ai.agent.name"]), str(point.attributes["bmad.event.name"])): point.value
        for point in state.said.events()
        if point.attributes
    }


class Agent:
    def __init__(self, monitor: PerformanceMonitor, agent_name: str = "RnDAgent") -> None:
        self.agent_name = agent_name
        self.monitor = monitor

    def log(self, *arguments: Any) -> None:
        self.monitor.log_metric(*arguments)

    def record(self, *arguments: Any) -> None:
        self.monitor.record_metric(*arguments)

    async def log_later(self, *arguments: Any) -> None:
        self.monitor.log_metric(*arguments)


def test_a_reported_rate_is_no_measured_rate(monitor: PerformanceMonitor, clock: ManualClock) -> None:
    for _ in range(10):
        monitor.start_task_tracking("AiDeveloper", "t")
        clock.advance(0.1)
        monitor.end_task_tracking("AiDeveloper", "t", success=False)
    monitor._record_metric("AiDeveloper", MetricType.SUCCESS_RATE, 95, "%")
    monitor._record_metric("aidev", MetricType.RESPONSE_TIME, 3.7e-05, "s")
    monitor._record_metric("SecurityDeveloper", MetricType.SUCCESS_RATE, 2, "count")
    assert said()["reported"] == {
        ("AiDeveloper", "success_rate"): (95.0, "%"),
        ("AiDeveloper", "response_time"): (3.7e-05, "s"),
        ("SecurityDeveloper", "success_rate"): (2.0, "count"),
    }
    summary = monitor.get_agent_performance_summary("AiDeveloper")
    assert summary["current_metrics"]["success_rate"]["value"] == 0
    assert summary["current_metrics"]["response_time"]["value"] == pytest.approx(0.1, rel=0.02)


def test_a_custom_value_has_a_series_per_name(monitor: PerformanceMonitor) -> None:
    monitor.log_metric("stories", 3, "count", "product-owner")
    monitor.log_metric("coverage", 81.5, "%", "ProductOwnerAgent")
    monitor._record_metric("ProductOwner", MetricType.CUSTOM, 7, "units")
    assert said() == {
        "custom": {
            ("ProductOwner", "stories"): (3.0, "count"),
            ("ProductOwner", "coverage"): (81.5, "%"),
            ("ProductOwner", "custom"): (7.0, "units"),
        },
        "reported": {},
    }


def test_the_agent_is_found_in_the_code_that_calls(monitor: PerformanceMonitor) -> None:
    import asyncio

    agent = Agent(monitor)
    agent.log("experiments", 4)
    asyncio.run(agent.log_later("ideas", 2, "count", "unknown"))
    Agent(monitor, "frontend").record("components", 1)
    monitor.log_metric("orphans", 1)
    assert set(said()["custom"]) == {
        ("RnD", "experiments"), ("RnD", "ideas"), ("FrontendDeveloper", "components"), ("unknown", "orphans"),
    }  # fmt: skip


def test_wrong_orders_are_understood(monitor: PerformanceMonitor) -> None:
    agent = Agent(monitor, "TestEngineerAgent")
    for _ in range(100):  # each labels dict was an agent of its own in the original
        agent.record(MetricType.SUCCESS_RATE, "tests_generated", 15.0, {"component": "login"})
    agent.record(OtherMetricType.CACHE_HIT_RATE, "hits", 3, {"layer": 1})
    agent.log(MetricType.CPU_USAGE, 12.5, "%")
    agent.monitor._record_metric(MetricType.SUCCESS_RATE, "approved", 15.0, {})  # type: ignore[arg-type]
    agent.monitor._record_metric("TestEngineer", "quality", 3.0, "points")  # type: ignore[arg-type]
    agent.monitor._record_metric("TestEngineer", "error_rate", 3.0, "%")  # type: ignore[arg-type]
    agent.monitor._record_metric("TestEngineer", OtherMetricType.CPU_USAGE, 3.0, "%")  # type: ignore[arg-type]
    assert said() == {
        "custom": {
            ("TestEngineer", "tests_generated"): (15.0, ""),
            ("TestEngineer", "hits"): (3.0, ""),
            ("unknown", "approved"): (15.0, ""),
            ("TestEngineer", "quality"): (3.0, "points"),
        },
        "reported": {("TestEngineer", "cpu_usage"): (3.0, "%"), ("TestEngineer", "error_rate"): (3.0, "%")},
    }
    assert events() == {("TestEngineer", "tests_generated"): 100, ("TestEngineer", "hits"): 1}


def test_dicts_are_events_and_attributes(clock: ManualClock, bmad_telemetry: Telemetry) -> None:
    monitor = PerformanceMonitor()
    agent = Agent(monitor, "Retrospective")
    agent.log("retro_done", {"actions": 3, "mood": "good", "by": object, "ok": True})
    agent.log("retro_done", {"actions": 1})
    agent.monitor._record_metric("Retrospective", MetricType.RESPONSE_TIME, 2, {"sprint": 4})  # type: ignore[arg-type]
    agent.log("phase", "planning")
    assert events() == {
        ("Retrospective", "retro_done"): 2, ("Retrospective", "response_time"): 1, ("Retrospective", "phase"): 1,
    }  # fmt: skip
    assert said()["reported"] == {("Retrospective", "response_time"): (2.0, "")}
    first, second, third, fourth = bmad_telemetry.logs
    assert first.event_name == "bmad.agent.event"
    assert first.attributes == {
        "gen_ai.agent.name": "Retrospective", "bmad.event.name": "retro_done", "actions": 3, "mood": "good",
        "by": "<class 'object'>", "ok": True,
    }  # fmt: skip
    assert (second.attributes["actions"], third.attributes["sprint"], fourth.attributes["value"]) == (1, 4, "planning")
    assert bmad_telemetry.value("bmad.agent.events", agent="Retrospective", **{"bmad.event.name": "retro_done"}) == 2
    assert monitor.dropped == {}


class Hostile:
    def __float__(self) -> float:
        raise ZeroDivisionError

    def __str__(self) -> str:
        raise ZeroDivisionError

    @property
    def agent_name(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "arguments",
    [
        ("name", float("nan")), ("name", float("inf")), ("name", object()), ("name", 10**400), ("", 3), ("  ", 3),
        ("name", 3, "count", 7), ("name", 3, None, None), (None, None), (3, 3), ("name", b"\xff"), ("name", [1, 2]),
        ({}, {}, {}, {}), ("name", {1: {2: 3}}), (MetricType.CUSTOM, MetricType.CUSTOM),
    ],
)  # fmt: skip
def test_nothing_an_agent_says_raises(monitor: PerformanceMonitor, arguments: tuple[Any, ...]) -> None:
    monitor.log_metric(*arguments)
    monitor.record_metric(*arguments)
    monitor._record_metric("A", *(*arguments, "%")[:3])
    monitor._record_metric(*(*arguments, "%")[:4])
    monitor.collect()


def test_not_even_what_raises_itself(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delenv("BMAD_OTEL_RAISE_INTERNAL")  # as in a program
    monitor = PerformanceMonitor()
    hostile: Any = Hostile()
    with caplog.at_level(logging.ERROR, "bmad_otel"):
        monitor.log_metric("name", hostile)
        monitor.log_metric(hostile, 3)
        monitor.log_metric("name", {hostile: hostile})
        Agent(monitor, hostile).log("name", 3)
        monitor._record_metric(hostile, hostile, hostile, hostile)
        monitor.start_task_tracking(hostile, hostile)
        monitor.end_task_tracking(hostile, hostile)


def test_what_is_no_number_is_dropped_and_counted(monitor: PerformanceMonitor) -> None:
    monitor.log_metric("ratio", float("nan"), "1", "A")
    monitor.log_metric("", 3, "1", "A")
    monitor.log_metric("share", "12.5", "%", "A")  # a number all the same
    assert monitor.dropped == {"no_number": 1, "no_name": 1}
    assert said()["custom"] == {("A", "share"): (12.5, "%")}


def test_names_are_bounded(monitor: PerformanceMonitor, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(MAX_NAMES + 20):
        monitor.log_metric(f"m{number}", number, "1", "Chatty")
        monitor.log_metric(f"e{number}", {}, "1", "Chatty")
    names = [name for _, name in said()["custom"]]
    assert len(names) == MAX_NAMES + 1
    assert said()["custom"]["Chatty", "overflow"] == (MAX_NAMES + 19, "1")
    assert events()["Chatty", "overflow"] == 20
    assert monitor.dropped == {"names_folded": 40}
    assert sum("more than 100 names" in record.message for record in caplog.records) == 1


def test_a_value_is_shown_for_a_minute(monitor: PerformanceMonitor, clock: ManualClock) -> None:
    monitor.log_metric("stories", 3, "count", "A")
    clock.advance(60)
    assert said()["custom"]
    clock.advance(0.1)
    assert not said()["custom"]
    monitor.log_metric("stories", 4, "count", "A")
    assert said()["custom"] == {("A", "stories"): (4.0, "count")}
