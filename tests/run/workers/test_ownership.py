"""Every partition has one owner, everywhere the same."""

from __future__ import annotations

from collections import Counter

import pytest

from bmad_processor.model import PartitionKey
from bmad_processor.run.workers.ownership import Ownership, owner_of
from bmad_processor.settings import EngineSettings


def test_owners_never_change() -> None:
    """Another hash would move every agent at an upgrade."""
    keys = ["agent//ProductOwner", "agent/shop/ProductOwner", "host//node-1", "agent//Größe/2"]
    assert [owner_of(key, 64) for key in keys] == [32, 4, 43, 1]


@pytest.mark.parametrize("workers", [2, 3, 7, 64])
def test_agents_are_spread_evenly(workers: int) -> None:
    n = 10_000
    counts = Counter(owner_of(f"agent//agent-{i:04}", workers) for i in range(n))
    assert len(counts) == workers
    assert max(counts.values()) < 1.4 * n / workers


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_exactly_one_worker_owns_a_partition(workers: int) -> None:
    places = [Ownership(worker, workers) for worker in range(workers)]
    for i in range(200):
        key = PartitionKey("agent", "shop", f"A{i}")
        assert [place.worker for place in places if place.owns(str(key))] == [places[0].owner(key)]


def test_what_an_engine_folds_agents_into_is_its_own() -> None:
    for worker in range(3):
        place = Ownership(worker, 3)
        name = place.settings(EngineSettings(max_agents=30)).overflow_agent
        assert place.owns(f"agent//{name}")
        assert place.owns(f"host//{name}")
        assert not Ownership((worker + 1) % 3, 3).owns(f"agent//{name}")


def test_the_bound_of_agents_is_shared() -> None:
    shares = [Ownership(worker, 4).settings(EngineSettings(max_agents=10_000)).max_agents for worker in range(4)]
    assert shares == [2750] * 4, "a tenth more than a fourth: no hash is perfectly even"
    assert Ownership(0, 64).settings(EngineSettings(max_agents=1)).max_agents == 1
