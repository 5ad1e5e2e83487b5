"""What the API answers about trends, predictions and windows, over a store an engine could have left."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bmad_processor.errors import Unanswerable
from bmad_processor.model import AlertStatus, HistoryPoint, PartitionKey
from bmad_processor.read_model import ReadModel, answer
from bmad_processor.settings import EngineSettings, Profile, Profiles, ScalingRules
from bmad_processor.state import Instance, Partition
from bmad_processor.state_json import dump_partition
from bmad_processor.store import Commit, SqliteStore, StoreReader
from tests.store.test_codec import ALERT

from .series import MINUTE, SECOND

KEY = PartitionKey("agent", "shop", "ProductOwner")
NOW = 1_640_995_200 * SECOND
HOUR_POINTS = 720

PROFILE = Profile("ProductOwner")

Ask = Callable[..., dict[str, Any]]
Shape = Callable[[float], float]
"""Hours before now (negative) to the value then."""


@pytest.fixture
def asking(tmp_path: Path) -> Callable[..., Ask]:
    """Makes a store of one agent whose series have a value every 5 s of the last ``hours``, and asks it."""

    def over(
        series: Mapping[str, Shape],
        *,
        hours: float = 1.0,
        instances: int = 1,
        profile: Profile = PROFILE,
        age_s: int = 0,
        kind: str = "agent",
    ) -> Ask:
        path = str(tmp_path / "state.db")
        key = replace(KEY, kind=kind)
        partition = Partition(key, NOW, NOW)
        partition.instances = {f"i{i}": Instance(NOW, NOW) for i in range(instances)}
        count = round(hours * HOUR_POINTS)
        settings = EngineSettings(profiles=Profiles(by_agent={"ProductOwner": profile}))
        with SqliteStore(path, history_size=5000) as store:
            store.save_settings(settings, NOW)
            store.commit(
                Commit(
                    now_ns=NOW,
                    partitions={str(key): dump_partition(partition)},
                    alerts=[
                        replace(ALERT, key=key, alert_id="firing", started_ns=NOW - 180 * MINUTE),
                        _resolved(key, "lately", NOW - 10 * MINUTE),
                        _resolved(key, "long ago", NOW - 90 * MINUTE),
                    ],
                    history=[
                        HistoryPoint(key, name, at_ns, shape((at_ns - NOW) / (60 * MINUTE)), 3)
                        for name, shape in series.items()
                        for i in range(count, -1, -1)
                        if (at_ns := NOW - age_s * SECOND - i * 5 * SECOND)
                    ],
                )
            )
        model = ReadModel(StoreReader(path), now_ns=lambda: NOW)
        return lambda path, **params: answer(model, path, params)

    return over


def _resolved(key: PartitionKey, name: str, at_ns: int) -> Any:
    return replace(ALERT, key=key, alert_id=name, status=AlertStatus.RESOLVED, started_ns=at_ns, resolved_ns=at_ns)


def noisy(base: float, per_hour: float, noise: float = 0.0, seed: int = 1) -> Shape:
    rng = random.Random(seed)
    return lambda hours: base + per_hour * hours + rng.gauss(0, noise)


# trend ----------------------------------------------------------------------------------------------------------------


def test_every_metric_has_its_trend_in_its_unit(asking: Callable[..., Ask]) -> None:
    ask = asking(
        {
            "cpu_usage": noisy(0.6, 0.2, 0.01),
            "response_time": noisy(3, -1.5, 0.05),
            "throughput": noisy(2, 0, 0.1),
            "error_rate": lambda _: 0.0,
            "custom:tokens_per_task": noisy(500, 100, 1),
            "reported:success_rate": noisy(95, 1, 0),
        }
    )
    found = ask("agents/product-owner/trend")
    assert (found["agent_name"], found["namespace"], found["window_s"]) == ("ProductOwner", "shop", 3600)
    rows = found["trends"]
    # what the agent says of itself is analysed only when asked for
    assert rows.keys() == {"cpu_usage", "response_time", "throughput", "error_rate", "custom:tokens_per_task"}
    assert {name: row["direction"] for name, row in rows.items()} == {
        "cpu_usage": "increasing", "response_time": "decreasing", "throughput": "stable", "error_rate": "stable",
        "custom:tokens_per_task": "increasing",
    }  # fmt: skip
    cpu = rows["cpu_usage"]
    assert cpu["trend"] == cpu["slope_per_hour"] == pytest.approx(20, rel=0.05)
    assert cpu["ci95"][0] < 20 < cpu["ci95"][1]
    assert (cpu["unit"], cpu["significant"]) == ("%", True)
    assert (cpu["n"], cpu["to"], cpu["from"]) == (61, NOW / 1e9, NOW / 1e9 - 3600)
    slower = rows["response_time"]
    assert slower["magnitude"] == -slower["trend"] == pytest.approx(1.5, rel=0.05)
    still = rows["error_rate"]
    assert (still["trend"], still["magnitude"], still["ci95"], still["significant"]) == (0, 0, [0, 0], False)
    assert still["reason"] == "the value did not change"
    assert ask("agents/ProductOwner/trend", metric="reported:success_rate")["trends"].keys() == {
        "reported:success_rate"
    }


def test_a_window_is_what_it_says(asking: Callable[..., Ask]) -> None:
    """Falling for an hour, rising since 30 minutes."""
    ask = asking({"cpu_usage": lambda hours: 0.5 + abs(hours + 0.5)}, hours=1.5)
    one = ask("agents/ProductOwner/trend", metric="cpu_usage", window="30m")["trends"]["cpu_usage"]
    assert (one["direction"], one["n"]) == ("increasing", 31)
    assert ask("agents/ProductOwner/trend", window="1h")["trends"]["cpu_usage"]["direction"] == "stable"


def test_too_few_values_say_so(asking: Callable[..., Ask]) -> None:
    ask = asking({"cpu_usage": noisy(0.5, 0.5)}, hours=0.1)
    row = ask("agents/ProductOwner/trend")["trends"]["cpu_usage"]
    assert row["n"] == 7
    assert row["reason"] == "10 values of separate windows are needed, there are 7"
    assert [row[key] for key in ("trend", "magnitude", "slope_per_hour", "ci95")] == [None] * 4
    assert (row["direction"], row["significant"]) == ("stable", False)


def test_a_series_that_ended_before_the_window(asking: Callable[..., Ask]) -> None:
    row = asking({"cpu_usage": noisy(0.5, 0.5)}, age_s=7200)("agents/ProductOwner/trend")["trends"]["cpu_usage"]
    assert (row["n"], row["from"], row["to"], row["trend"]) == (0, None, None, None)


# prediction -----------------------------------------------------------------------------------------------------------


def test_a_rise_asks_for_more_before_the_threshold_is_reached(asking: Callable[..., Ask]) -> None:
    """CPU at 60 % now, up 60 points an hour: 75 % in a quarter of an hour, 90 % in half an hour, of 70 % to hold."""
    profile = Profile("ProductOwner", scaling=ScalingRules(0.7, 0.8, min_instances=1, max_instances=5))
    ask = asking(
        {"cpu_usage": noisy(0.6, 0.6, 0.005), "memory_usage": noisy(0.3, 0, 0.01)}, instances=2, profile=profile
    )
    found = ask("agents/ProductOwner/prediction", horizon="30m")
    assert (found["action"], found["current"], found["desired"]) == ("scale_up", 2, 3)
    assert (found["min_instances"], found["max_instances"], found["horizon_s"]) == (1, 5, 1800)
    # 77 %, where the rules act, is 17 minutes away
    assert found["urgency"] == "medium"
    assert found["reason"] == (
        "cpu_usage rising, so at the highest of the next 30m:"
        f" cpu_usage {found['evidence']['cpu_usage']['predicted']:.1f}% of target 70.0% on 2 instances: 3 needed"
    )
    cpu = found["evidence"]["cpu_usage"]
    assert cpu["value"] == pytest.approx(60, abs=3)
    assert cpu["predicted"] == pytest.approx(90, abs=4)
    assert cpu["ci95"][0] < 90 < cpu["ci95"][1]
    assert cpu["slope_per_hour"] == pytest.approx(60, rel=0.05)
    assert cpu["threshold"] == 70
    assert cpu["reaches_threshold_in_s"] == pytest.approx(1020, rel=0.1)
    assert cpu["n"] > 40
    assert found["evidence"]["memory_usage"]["reaches_threshold_in_s"] is None
    # further away than five minutes ahead is no reason to act
    soon = ask("agents/ProductOwner/prediction", horizon="5m")
    assert (soon["action"], soon["desired"], soon["urgency"]) == ("maintain", 2, "low")


def test_the_sooner_the_more_urgent(asking: Callable[..., Ask]) -> None:
    ask = asking({"cpu_usage": noisy(0.75, 0.6, 0.001)})
    assert ask("agents/ProductOwner/prediction", horizon="30m")["urgency"] == "high"
    assert ask("agents/ProductOwner/prediction", horizon="10m")["urgency"] == "medium"


def test_what_is_too_much_now_is_urgent_and_limited_by_the_profile(asking: Callable[..., Ask]) -> None:
    profile = Profile("ProductOwner", scaling=ScalingRules(0.5, None, max_instances=3))
    found = asking({"cpu_usage": noisy(0.95, 0, 0.01)}, instances=3, profile=profile)("agents/ProductOwner/prediction")
    assert (found["action"], found["urgency"], found["desired"]) == ("maintain", "high", 3)
    assert found["reason"].startswith("no rise to be seen, so as now: cpu_usage 9")
    assert found["reason"].endswith("limited to max_instances 3")
    assert found["evidence"].keys() == {"cpu_usage"}


def test_nothing_is_taken_away_for_a_forecast(asking: Callable[..., Ask]) -> None:
    """Falling, so that in half an hour one instance would do; now two are needed."""
    found = asking({"cpu_usage": noisy(0.7, -1.0, 0.001)}, instances=2)("agents/ProductOwner/prediction", horizon="30m")
    assert found["evidence"]["cpu_usage"]["predicted"] == pytest.approx(20, abs=3)
    assert (found["action"], found["desired"], found["urgency"]) == ("maintain", 2, "low")


def test_idle_instances_may_go(asking: Callable[..., Ask]) -> None:
    idle = {"cpu_usage": noisy(0.1, 0, 0.01), "memory_usage": noisy(0.2, 0, 0.01)}
    found = asking(idle, instances=3)("agents/ProductOwner/prediction")
    assert (found["action"], found["current"], found["desired"], found["urgency"]) == ("scale_down", 3, 1, "low")


def test_but_not_before_they_were_watched_that_long(asking: Callable[..., Ask]) -> None:
    found = asking({"cpu_usage": noisy(0.1, 0)}, instances=3, hours=0.05)("agents/ProductOwner/prediction")
    assert (found["action"], found["desired"]) == ("maintain", 3)
    assert "held at 3" in found["reason"]


def test_noise_is_no_reason_to_scale(asking: Callable[..., Ask]) -> None:
    found = asking({"cpu_usage": noisy(0.6, 0, 0.02)}, instances=2)("agents/ProductOwner/prediction", horizon="2h")
    assert found["evidence"]["cpu_usage"]["predicted"] == pytest.approx(60, abs=2)
    assert (found["action"], found["urgency"]) == ("maintain", "low")


def test_a_trend_is_carried_no_further_than_it_was_watched(asking: Callable[..., Ask]) -> None:
    ask = asking({"cpu_usage": noisy(0.5, 0.6, 0.001)}, hours=0.5)
    near, far = (ask("agents/ProductOwner/prediction", horizon=h)["evidence"]["cpu_usage"] for h in ("20m", "4h"))
    assert near["predicted"] == pytest.approx(70, abs=2)
    assert far["predicted"] == pytest.approx(50, abs=3)
    assert far["ci95"] is None
    assert far["slope_per_hour"] == pytest.approx(60, rel=0.05)


@pytest.mark.parametrize("gone", [{"age_s": 300}, {"instances": 0}])
def test_without_data_nothing_is_invented(asking: Callable[..., Ask], gone: dict[str, int]) -> None:
    found = asking({"cpu_usage": noisy(0.9, 0.5)}, **gone)("agents/ProductOwner/prediction")
    assert (found["action"], found["reason"], found["urgency"]) == ("maintain", "no data", "low")
    assert found["desired"] == found["current"]
    memory = found["evidence"]["memory_usage"]
    assert {memory[key] for key in ("value", "predicted", "slope_per_hour", "ci95")} == {None}
    assert memory["n"] == 0


def test_a_host_is_not_scaled(asking: Callable[..., Ask]) -> None:
    found = asking({"cpu_usage": noisy(0.9, 0.5)}, kind="host")("agents/system/prediction")
    assert (found["action"], found["reason"]) == ("maintain", "a host has no instances to scale")


def test_a_profile_without_utilisation_to_hold(asking: Callable[..., Ask]) -> None:
    profile = Profile("ProductOwner", scaling=ScalingRules(None, None))
    found = asking({"cpu_usage": noisy(0.9, 0.5)}, profile=profile)("agents/ProductOwner/prediction")
    assert (found["action"], found["reason"]) == ("maintain", "the profile has no utilisation to hold")


# window ---------------------------------------------------------------------------------------------------------------


def test_a_summary_over_a_window(asking: Callable[..., Ask]) -> None:
    ask = asking({"cpu_usage": lambda hours: -hours, "response_time": lambda _: 2.0}, hours=2)
    found = ask("agents/ProductOwner", window="30m")
    cpu = found["window_metrics"]["cpu_usage"]
    assert cpu.keys() == {"mean", "min", "max", "last", "p95", "n", "unit"}
    assert (cpu["min"], cpu["max"], cpu["last"], cpu["unit"], cpu["n"]) == (0, 50, 0, "%", 361)
    assert cpu["mean"] == pytest.approx(25)
    assert cpu["p95"] == pytest.approx(47.5, abs=0.2)
    assert found["window_metrics"]["response_time"]["p95"] == 2
    assert [alert["alert_id"] for alert in found["alerts"]] == ["firing", "lately"]
    assert "window_metrics" not in ask("agents/ProductOwner")
    assert len(ask("agents/ProductOwner")["alerts"]) == 3


def test_a_series_without_values_in_the_window_is_absent(asking: Callable[..., Ask]) -> None:
    assert asking({"cpu_usage": noisy(0.5, 0)}, age_s=7200)("agents/ProductOwner", window="1h")["window_metrics"] == {}


# asking wrongly -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "params", "code", "suggestions"),
    [
        ("agents/ProductOwnr/trend", {}, "unknown_agent", ["ProductOwner"]),
        ("agents/ProductOwnr/prediction", {}, "unknown_agent", ["ProductOwner"]),
        ("agents/ProductOwner/trend", {"metric": "cpu"}, "unknown_metric", ["cpu_usage"]),
        ("agents/ProductOwner/trend", {"windw": "1h"}, "bad_parameter", ["window"]),
        ("agents/ProductOwner/prediction", {"window": "1h"}, "bad_parameter", None),
        *[
            ("agents/ProductOwner/trend", {"window": w}, "bad_parameter", None)
            for w in ("", "60", "0s", "-1h", "9999d")
        ],
        ("agents/ProductOwner", {"window": "soon"}, "bad_parameter", None),
        ("agents/ProductOwner/prediction", {"horizon": "25h"}, "bad_parameter", None),
    ],
)
def test_wrong_questions_say_what_is_expected(
    asking: Callable[..., Ask], path: str, params: dict[str, str], code: str, suggestions: list[str] | None
) -> None:
    ask = asking({"cpu_usage": noisy(0.5, 0)}, hours=0.1)
    with pytest.raises(Unanswerable) as raised:
        ask(path, **params)
    assert raised.value.code == code
    if suggestions is not None:
        assert raised.value.suggestions == suggestions
