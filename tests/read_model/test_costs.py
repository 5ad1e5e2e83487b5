"""Sums of tokens and money; numbers worked out by hand from the prices of gpt-4o (2.50 and 10 dollars a million) and
gpt-4o-mini (0.15 and 0.60)."""

from __future__ import annotations

from typing import Any

import pytest

from bmad_processor.model import PartitionKey
from bmad_processor.pricing import Prices
from bmad_processor.read_model.costs import agent_cost, costs
from bmad_processor.settings import SECOND, EngineSettings, Profile, Profiles, ScalingRules
from bmad_processor.state import Partition

from .partitions import GPT, HOME_MADE, MINI, T0, agent, busy, use

NOW = T0 + 60 * SECOND


@pytest.fixture(scope="module")
def prices() -> Prices:
    return Prices()


def asked(prices: Prices, group_by: str) -> dict[str, Any]:
    partitions = [
        agent("Architect", {GPT: use(10, 1_000_000, 100_000), MINI: use(5, 1_000_000, 0)}),
        agent("Tester", {MINI: use(1, 0, 1_000_000)}, namespace="shop"),
        agent("Idle", {}),
        Partition(PartitionKey("host", "", "h1"), T0, T0),
    ]
    return costs(partitions, group_by, prices, NOW)


def rows(answer: dict[str, Any]) -> list[tuple[str, int, float | None, float | None]]:
    return [(row["key"], row["calls"], row["amount"], row["share"]) for row in answer["rows"]]


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("agent", [("Architect", 15, 3.65), ("shop/Tester", 1, 0.6)]),
        ("model", [("gpt-4o", 10, 3.5), ("gpt-4o-mini", 6, 0.75)]),
        ("workflow", [("", 10, 3.5), ("release", 6, 0.75)]),
    ],
)
def test_by_agent_model_and_workflow(prices: Prices, group_by: str, expected: list[tuple[str, int, float]]) -> None:
    answer = asked(prices, group_by)
    assert rows(answer) == [(key, calls, amount, pytest.approx(amount / 4.25)) for key, calls, amount in expected]
    assert answer["total"] == {"input_tokens": 2_000_000, "output_tokens": 1_100_000, "calls": 16, "amount": 4.25}
    assert (answer["group_by"], answer["currency"]) == (group_by, "USD")
    assert (answer["is_complete"], answer["unpriced_models"], answer["note"]) == (True, [], None)
    assert (answer["since"], answer["as_of"]) == (T0 / 1e9, NOW / 1e9)


def test_a_model_without_a_price_makes_the_sum_incomplete(prices: Prices) -> None:
    partition = agent("Architect", {GPT: use(10, 1_000_000, 100_000), HOME_MADE: use(4, 100, 100)})
    answer = costs([partition], "model", prices, NOW)
    assert rows(answer) == [("gpt-4o", 10, 3.5, 1.0), ("home-made-7b", 4, None, None)]
    assert answer["total"]["amount"] == 3.5
    assert (answer["is_complete"], answer["unpriced_models"]) == (False, ["home-made-7b"])


def test_nothing_used(prices: Prices) -> None:
    answer = costs([agent("Idle", {})], "agent", prices, NOW)
    assert (answer["rows"], answer["total"]["amount"], answer["is_complete"]) == ([], 0.0, True)
    assert costs([], "agent", prices, NOW)["since"] is None


def test_of_one_agent(prices: Prices) -> None:
    partition = agent("Architect", {GPT: use(10, 1_000_000, 100_000), HOME_MADE: use(4, 100, 100)})
    cost = agent_cost(partition, EngineSettings(), prices, NOW)
    instances = cost.pop("instances")
    assert cost == {
        "input_tokens": 1_000_100, "output_tokens": 100_100, "calls": 14, "amount": 3.5, "currency": "USD",
        "is_complete": False, "unpriced_models": ["home-made-7b"], "note": None, "since": T0 / 1e9,
        "by_model": {
            "gpt-4o": {"input_tokens": 1_000_000, "output_tokens": 100_000, "calls": 10, "amount": 3.5},
            "home-made-7b": {"input_tokens": 100, "output_tokens": 100, "calls": 4, "amount": None},
        },
    }  # fmt: skip
    assert instances == {"count": 0, "per_hour": None, "idle_ratio": None, "idle_per_hour": None}


def priced(per_hour: float | None) -> EngineSettings:
    return EngineSettings(profiles=Profiles(Profile("*", scaling=ScalingRules(cost_per_hour=per_hour))))


@pytest.mark.parametrize(
    ("tasks", "each_s", "idle"),
    [(24, 1.0, 0.8), (12, 10.0, 0.0), (600, 10.0, 0.0), (0, 1.0, 1.0)],
)
def test_what_idle_instances_cost(prices: Prices, tasks: int, each_s: float, idle: float) -> None:
    """Two instances: 24 tasks of a second in a minute keep each of them busy for 12 s of 60."""
    partition = busy(agent("Architect", {}), n_instances=2, tasks=tasks, each_s=each_s)
    instances = agent_cost(partition, priced(0.25), prices, NOW)["instances"]
    assert instances == {
        "count": 2, "per_hour": 0.5, "idle_ratio": pytest.approx(idle), "idle_per_hour": pytest.approx(0.5 * idle),
    }  # fmt: skip


def test_how_idle_is_known_without_a_price(prices: Prices) -> None:
    partition = busy(agent("Architect", {}), n_instances=2, tasks=24, each_s=1)
    instances = agent_cost(partition, priced(None), prices, NOW)["instances"]
    assert instances == {"count": 2, "per_hour": None, "idle_ratio": pytest.approx(0.8), "idle_per_hour": None}


def test_nobody_knows_how_idle_an_instance_is_that_reports_no_tasks(prices: Prices) -> None:
    partition = busy(agent("Architect", {}), n_instances=2, tasks=24, each_s=1)
    partition.panes[0].tasks.clear()
    instances = agent_cost(partition, priced(0.25), prices, NOW)["instances"]
    assert instances == {"count": 2, "per_hour": 0.5, "idle_ratio": None, "idle_per_hour": None}
