"""Tool calls per agent, from the bytes of a request to the summary."""

from __future__ import annotations

from typing import Any

import pytest

from bmad_processor import engine
from bmad_processor.decode import Decoder
from bmad_processor.model import Batch, Signal
from bmad_processor.settings import EngineSettings
from bmad_processor.state import EngineState
from bmad_processor.state_json import dump_partition, load_partition
from bmad_processor.summary import agent_summary
from tests.decode.metric_points import DELTA, SECOND, TIME_NS, explicit, histogram, request

SETTINGS = EngineSettings()
METRIC = "gen_ai.execute_tool.duration"


class Monitor:
    """Decoder and engine, without a collector around them."""

    def __init__(self) -> None:
        self.decoder = Decoder(interval_ns=SETTINGS.interval_ns)
        self.state = EngineState()
        self.dropped: dict[str, int] = {}

    def take(self, *points: Any, at_s: float = 0, **changes: Any) -> None:
        decoded = self.decoder.decode(
            Signal.METRICS, request([histogram(*points, name=METRIC, **changes)], service_name="svc")
        )
        self.dropped |= decoded.dropped
        engine.step(self.state, Batch(TIME_NS + round(at_s * SECOND), decoded.samples), SETTINGS)

    def tools(self, agent: str = "Architect") -> dict[str, dict[str, Any]]:
        # as it is after a restart
        partition = load_partition(dump_partition(self.state.partitions[f"agent//{agent}"]))
        return dict(agent_summary(partition, SETTINGS, [], self.state.now_ns)["tools"])


def point(tool: str | None = "search", *, agent: str | None = "architect", at_s: float = 0, **content: Any) -> Any:
    attributes: dict[str, object] = {"gen_ai.tool.name": tool, "gen_ai.agent.name": agent}
    if error := content.pop("error", ""):
        attributes |= {"error.type": error, "bmad.task.outcome": "error"}
    time_ns = TIME_NS + round(at_s * SECOND)
    return explicit(
        {key: value for key, value in attributes.items() if value is not None}, time_unix_nano=time_ns, **content
    )


def test_running_totals_become_calls() -> None:
    monitor = Monitor()
    monitor.take(point(count=2, sum=1.0, max=0.75), point(count=1, sum=3.0, max=3.0, error="TimeoutError"))
    monitor.take(point(count=4, sum=2.0, max=0.75, at_s=5), at_s=5)
    monitor.take(point(count=4, sum=2.0, max=0.75, at_s=5), at_s=6)
    assert monitor.tools() == {"search": {"calls": 5, "errors": 1, "mean_s": 1.0, "max_s": 3.0}}
    assert monitor.state.counters["repeated"] == 1
    # a sender that began anew has counted from zero
    monitor.take(point(count=1, sum=1.0, at_s=10, start_time_unix_nano=TIME_NS + 8 * SECOND), at_s=10)
    assert monitor.tools()["search"]["calls"] == 6


def test_what_was_before_our_time_is_a_reference_only() -> None:
    monitor = Monitor()
    monitor.take(point(count=1000, sum=1.0, start_time_unix_nano=TIME_NS - 3600 * SECOND))
    assert monitor.tools() == {}
    monitor.take(point(count=1001, sum=1.5, at_s=5, start_time_unix_nano=TIME_NS - 3600 * SECOND), at_s=5)
    assert monitor.tools()["search"]["calls"] == 1


def test_delta_points_are_added() -> None:
    monitor = Monitor()
    monitor.take(point(count=2, sum=1.0), temporality=DELTA)
    monitor.take(point(count=1, sum=2.0, at_s=1), point("write", count=9, sum=9.0), temporality=DELTA, at_s=1)
    assert list(monitor.tools()) == ["write", "search"], "the most called first"
    # without the longest call, the mean is the least it can have been
    assert monitor.tools()["search"] == {"calls": 3, "errors": 0, "mean_s": 1.0, "max_s": 2.0}


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (point(agent=None, count=1, sum=1.0), "tools_without_agent"),
        (point(count=1, sum=float("nan")), "values_not_finite"),
    ],
)
def test_what_cannot_be_used_is_counted(made: Any, reason: str) -> None:
    monitor = Monitor()
    monitor.take(made)
    assert monitor.dropped == {reason: 1}
    assert monitor.state.partitions == {}, "a tool does not make an agent of its service"


def test_tools_are_bounded() -> None:
    monitor = Monitor()
    monitor.take(*(point(f"tool {n}", count=1, sum=1.0) for n in range(SETTINGS.max_tools + 5)), temporality=DELTA)
    tools = monitor.tools()
    assert len(tools) == SETTINGS.max_tools + 1
    assert tools["otel.overflow"]["calls"] == 5
    assert monitor.state.counters["tools_folded"] == 5


def test_a_tool_without_a_name() -> None:
    monitor = Monitor()
    monitor.take(point(None, count=1, sum=1.0), temporality=DELTA)
    assert list(monitor.tools()) == ["unknown"]


def test_all_calls_of_an_agents_tasks_together() -> None:
    monitor = Monitor()
    point_ = explicit({"gen_ai.agent.name": "architect"}, count=2, sum=7.0, start_time_unix_nano=TIME_NS - SECOND)
    body = request([histogram(point_, name="gen_ai.invoke_agent.tool_calls")], service_name="svc")
    decoded = monitor.decoder.decode(Signal.METRICS, body)
    engine.step(monitor.state, Batch(TIME_NS, decoded.samples), SETTINGS)
    summary = agent_summary(monitor.state.partitions["agent//Architect"], SETTINGS, [], TIME_NS)
    assert (summary["tool_calls"], summary["tools"]) == (7, {})
