"""Summaries: golden numbers worked out by hand."""

from __future__ import annotations

import json

import pytest

from bmad_processor.model import Exemplar, Level, PartitionKey
from bmad_processor.settings import SECOND, EngineSettings, Profile, Profiles, ScalingRules
from bmad_processor.state import Baseline, Cell, Instance, Latest, Pane, Partition, Scaling, Tasks
from bmad_processor.summary import agent_summary, system_summary

T0 = 1_700_000_000 * SECOND
SETTINGS = EngineSettings(
    profiles=Profiles(
        by_agent={
            "ProductOwner": Profile(
                "ProductOwner",
                {
                    "cpu_usage": {Level.WARNING: 0.6, Level.CRITICAL: 0.8},
                    "response_time": {Level.WARNING: 3.0, Level.CRITICAL: 8.0},
                    "error_rate": {Level.WARNING: 0.03, Level.CRITICAL: 0.08},
                },
                ScalingRules(0.75, 0.8, 1, 3),
            )
        }
    )
)


def cells(at_s: float, **values: float) -> Pane:
    return Pane(T0 + round(at_s * SECOND), cells={(name, "a", ""): Cell(value, 1, 1) for name, value in values.items()})


def product_owner(*panes: Pane) -> Partition:
    partition = Partition(PartitionKey("agent", "shop", "ProductOwner"), T0, T0 + 9 * SECOND, list(panes))
    partition.instances = {"a": Instance(T0, T0 + 9 * SECOND)}
    return partition


@pytest.mark.parametrize(("count", "advice"), [(4, []), (5, ["error_rate > 3.0%"])])
def test_few_failed_tasks_are_no_error_rate(count: int, advice: list[str]) -> None:
    pane = Pane(T0, {("a", "span"): Tasks(count, count, count * SECOND, SECOND, SECOND, 0, {0: count})})
    summary = agent_summary(product_owner(pane), SETTINGS, [], T0 + SECOND)
    assert [detail["rule"] for detail in summary["recommendation_details"]] == advice


def test_an_agent_seen_a_second_ago() -> None:
    tasks = Tasks(1, 0, 9 * SECOND, 9 * SECOND, 9 * SECOND, 0, {50: 1})
    pane = Pane(T0, {("a", "span"): tasks}, {("cpu_usage", "a", ""): Cell(0.29, 1, 1)})
    summary = agent_summary(product_owner(pane), SETTINGS, [], T0 + 1 * SECOND)
    assert summary["current_metrics"]["response_time"] == {
        "value": 9.0, "unit": "seconds", "n": 1, "level": None, "score": None, "is_stale": False,
        "as_of": 1_700_000_001.0,
    }  # fmt: skip
    assert summary["current_metrics"]["cpu_usage"]["value"] == 29
    assert summary["current_metrics"]["success_rate"]["value"] == 100
    assert summary["current_metrics"]["throughput"]["value"] == pytest.approx(0.2)
    assert summary["response_times"] == {"p50_s": 9.0, "p95_s": 9.0, "p99_s": 9.0, "max_s": 9.0}
    assert summary["instances"] == {"count": 1, "names": ["a"], "is_truncated": False}


def test_the_monitor_s_keys() -> None:
    partition = product_owner(cells(0, cpu_usage=0.523))
    partition.baselines = {"cpu_usage": Baseline(10, 0.452, 0.1), "error_rate": Baseline(9, 0.015, 0.1)}
    partition.latest = {"cpu_usage": Latest(0.523, 1, T0, Level.WARNING, 1.5)}
    partition.scaling = Scaling([], 2, 1, "scale_up", "CPU", T0)
    partition.tasks_total, partition.errors_total = 7, 1
    summary = agent_summary(partition, SETTINGS, [], T0 + 10 * SECOND)
    assert summary["agent_name"] == "ProductOwner"
    assert summary["monitoring_enabled"] is True
    assert summary["auto_scaling_enabled"] is True
    # nine values are not yet a baseline
    assert summary["baseline_metrics"] == {"cpu_usage": 45.2}
    current = summary["current_metrics"]["cpu_usage"]
    assert (current["value"], current["unit"], current["level"], current["score"]) == (52.3, "%", "warning", 1.5)
    assert summary["scaling"] == {
        "current": 1, "desired": 2, "min": 1, "max": 3, "action": "scale_up", "reason": "CPU", "as_of": 1_700_000_000.0,
    }  # fmt: skip
    assert summary["thresholds"]["cpu_usage"] == {"warning": 60.0, "critical": 80.0}
    assert (summary["age_s"], summary["tasks_total"], summary["errors_total"]) == (1.0, 7, 1)
    # 52 % is below the profile's 60 %: no advice
    assert summary["recommendations"] == []
    json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize(
    ("values", "rules"),
    [
        ({"cpu_usage": 0.61}, ["cpu_usage > 60.0%"]),
        ({"cpu_usage": 0.60}, []),
        ({"cpu_usage": 0.20}, []),
        ({"cpu_usage": 0.19}, ["cpu_usage < 20.0%"]),
        # the profile has no threshold for memory, so nothing is too much
        ({"memory_usage": 0.99}, []),
    ],
)
def test_recommendations_follow_the_profile(values: dict[str, float], rules: list[str]) -> None:
    summary = agent_summary(product_owner(cells(0, **values)), SETTINGS, [], T0 + SECOND)
    assert [detail["rule"] for detail in summary["recommendation_details"]] == rules
    assert len(summary["recommendations"]) == len(rules)


def test_all_five_rules_with_evidence() -> None:
    partition = product_owner(cells(0, cpu_usage=0.9, memory_usage=0.9))
    partition.panes[0].tasks[("a", "span")] = Tasks(10, 2, 90 * SECOND, 9 * SECOND, 9 * SECOND, 0, {50: 10})
    partition.key = PartitionKey("agent", "", "WithoutProfile")
    summary = agent_summary(partition, SETTINGS, [], T0 + SECOND)
    assert summary["recommendations"][0] == "Consider scaling up CPU resources or optimizing task distribution"
    assert [d["evidence"]["metric_type"] for d in summary["recommendation_details"]] == [
        "cpu_usage", "memory_usage", "response_time", "error_rate",
    ]  # fmt: skip
    assert summary["recommendation_details"][3]["evidence"] == {
        "metric_type": "error_rate", "value": 20.0, "threshold": 5.0, "unit": "%", "n": 10,
    }  # fmt: skip


def test_what_has_no_data_any_more_is_shown_as_stale_and_advises_nothing() -> None:
    partition = product_owner(cells(0, cpu_usage=0.9))
    partition.latest = {"cpu_usage": Latest(0.9, 4, T0 + 5 * SECOND, Level.CRITICAL, None)}
    summary = agent_summary(partition, SETTINGS, [], T0 + 3600 * SECOND)
    current = summary["current_metrics"]["cpu_usage"]
    assert (current["value"], current["is_stale"], current["as_of"]) == (90, True, 1_700_000_005.0)
    assert summary["recommendations"] == []
    assert summary["response_times"] is None
    assert summary["instances"]["count"] == 0
    assert summary["is_active"] is False


def test_exemplars_show_failures_then_the_slowest() -> None:
    one, two = Exemplar("01", 5, "build", ""), Exemplar("02", 1, "build", "ValueError")
    partition = product_owner(
        Pane(T0, exemplars=[one, two]), Pane(T0 + 5 * SECOND, exemplars=[Exemplar("03", 9, "", "")])
    )
    summary = agent_summary(partition, SETTINGS, [], T0 + 6 * SECOND)
    assert [e["trace_id"] for e in summary["exemplars"]] == ["02", "03", "01"]


def test_firing_alerts_come_first_and_are_bounded() -> None:
    alerts = [{"resolved": True, "level": "info"}] * 30 + [{"resolved": False, "level": "warning"}]
    shown = agent_summary(product_owner(), SETTINGS, alerts, T0)["alerts"]
    assert len(shown) == 20
    assert shown[0]["resolved"] is False


def host(name: str, **values: float) -> Partition:
    return Partition(PartitionKey("host", "", name), T0, T0, [cells(0, **values)])


def test_the_system() -> None:
    hosts = [
        host("n1", cpu_usage=0.2, memory_usage=0.5, disk_io=1000, network_io=10),
        host("n2", cpu_usage=0.4, disk_io=500),
    ]
    gone = product_owner()
    gone.key = PartitionKey("agent", "", "Gone")
    gone.last_seen_ns = T0 - 3600 * SECOND
    working = product_owner()
    working.tasks_total = 5
    alerts = [{"resolved": False, "level": "critical"}, {"resolved": True, "level": "critical"}]
    summary = system_summary([*hosts, gone, working], SETTINGS, alerts, {"late": 3}, T0 + 9 * SECOND, since_ns=T0)
    assert summary["cpu_usage"] == pytest.approx(30)
    assert summary["memory_usage"] == 50
    assert summary["disk_io"] == 1500
    assert summary["network_io"] == 10
    assert (summary["active_agents"], summary["agents_total"]) == (1, 2)
    assert summary["total_alerts"] == 2
    assert summary["firing_alerts"] == {"emergency": 0, "critical": 1, "warning": 0, "info": 0}
    assert summary["tasks_total"] == 5
    assert summary["dropped"] == {"late": 3}
    assert summary["since"] == 1_700_000_000.0
    assert set(summary["hosts"]) == {"n1", "n2"}
    assert summary["hosts"]["n2"]["memory_usage"] is None
    json.dumps(summary, allow_nan=False)


def test_an_unknown_host_value_is_none_a_recent_one_is_kept() -> None:
    quiet = host("n1")
    quiet.latest = {"cpu_usage": Latest(0.5, 1, T0), "disk_io": Latest(9, 1, T0 - 60 * SECOND)}
    summary = system_summary([quiet], SETTINGS, [], {}, T0 + 100 * SECOND)
    assert (summary["cpu_usage"], summary["disk_io"], summary["since"]) == (50, None, None)
    assert system_summary([], SETTINGS, [], {}, T0)["cpu_usage"] is None
