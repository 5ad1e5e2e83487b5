"""The memory limiter under a memory and a clock of the test's own."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from pydantic import ValidationError

from bmad_otel._host.sources import Sources
from bmad_processor.errors import Overloaded
from bmad_processor.limit import Admission, ByteBudget, MemoryLimiter, MemoryLimiterConfig, MemoryLimits, Pressure
from bmad_processor.limit.limits import limits_of
from bmad_processor.limit.memory import allowed_bytes, rss_bytes
from bmad_processor.model import Signal
from tests.sdk.machine import unpack

MIB = 2**20


class Machine:
    """A process whose memory is what the test says."""

    def __init__(self, **config: object) -> None:
        self.held_mib = 10
        self.freed_to_mib: int | None = None
        """What a collection leaves; None: it frees nothing."""
        self.now_s = 0.0
        self.n_freed = 0
        self.n_emptied = 0
        self.limiter = MemoryLimiter(
            MemoryLimiterConfig.model_validate({"limit_mib": 100} | config),
            total_bytes=1000 * MIB,
            read=lambda: self.held_mib * MIB,
            free=self._free,
            clock=lambda: self.now_s,
        )
        self.limiter.empties({"cache": self._empty})

    def _free(self) -> None:
        self.n_freed += 1
        if self.freed_to_mib is not None:
            self.held_mib = self.freed_to_mib

    def _empty(self) -> None:
        self.n_emptied += 1

    def look(self, held_mib: int | None = None, *, after_s: float = 1.0) -> Pressure:
        if held_mib is not None:
            self.held_mib = held_mib
        self.now_s += after_s
        self.limiter.check()
        assert self.limiter.is_limited == (self.limiter.pressure is not Pressure.NONE)
        return self.limiter.pressure


def test_soft_refuses_hard_empties_and_both_end_by_themselves(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bmad_otel.collector")
    machine = Machine()
    assert machine.look(80) is Pressure.NONE
    assert machine.look(81) is Pressure.SOFT
    assert machine.n_emptied == 0
    assert machine.look(101) is Pressure.HARD
    assert machine.n_emptied == 1
    assert machine.look(99) is Pressure.HARD, "left only a margin below"
    assert machine.look(97) is Pressure.SOFT
    assert machine.look(79) is Pressure.SOFT, "left only a margin below"
    assert machine.look(77) is Pressure.NONE
    assert [record.getMessage() for record in caplog.records] == [
        "memory: 81 MiB, above the soft limit of 80 MiB: requests are refused",
        "memory: 101 MiB, above the limit of 100 MiB: requests are refused and caches emptied",
        "memory: 97 MiB, above the soft limit of 80 MiB: requests are refused",
        "memory: 77 MiB, requests are taken again",
    ]


def test_what_is_freed_counts_at_once() -> None:
    machine = Machine()
    machine.freed_to_mib = 20
    assert machine.look(500) is Pressure.NONE
    assert (machine.n_emptied, machine.n_freed) == (1, 1)


def test_collections_that_help_little_become_rare() -> None:
    machine = Machine()
    for _ in range(600):
        machine.look(150)
    # 1, 2, 4, 8, 16 and then every 30 s, as the clock counts whole seconds
    assert 20 <= machine.n_freed <= 25
    machine.look(10)
    before = machine.n_freed
    machine.look(150)
    assert machine.n_freed == before + 1, "a new time above the limit is met at once"


def test_soft_collects_every_ten_seconds() -> None:
    machine = Machine()
    for _ in range(60):
        machine.look(90)
    assert machine.n_freed == 6
    assert machine.n_emptied == 0


@pytest.mark.parametrize(
    ("config", "limits"),
    [
        ({"limit_mib": 512}, MemoryLimits(512 * MIB, int(512 * MIB * 0.2))),
        ({"limit_mib": 512, "spike_limit_mib": 128}, MemoryLimits(512 * MIB, 128 * MIB)),
        ({"limit_percentage": 50, "spike_limit_percentage": 30}, MemoryLimits(500 * MIB, 300 * MIB)),
        ({"limit_percentage": 50}, MemoryLimits(500 * MIB, 100 * MIB)),
        ({"limit_mib": 400, "limit_percentage": 50}, MemoryLimits(400 * MIB, 80 * MIB)),
    ],
)
def test_limits(config: dict[str, int], limits: MemoryLimits) -> None:
    assert limits_of(MemoryLimiterConfig.model_validate(config), 1000 * MIB) == limits


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({}, "has no limit"),
        ({"limit_mib": 100, "spike_limit_mib": 100}, "spike_limit_mib is not below limit_mib"),
        ({"limit_percentage": 50, "spike_limit_percentage": 60}, "spike_limit_percentage is not below"),
        ({"limit_percentage": 101}, "less than or equal to 100"),
        ({"limit_mib": 100, "check_interval": "0s"}, "greater than or equal"),
    ],
)
def test_refused_configurations(config: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        MemoryLimiterConfig.model_validate(config)


@pytest.mark.parametrize("machine", ["v2-docker", "v1-docker", "v2-host"])
def test_a_container_bounds_what_is_allowed(machine: str, tmp_path: Path) -> None:
    unpack(machine, tmp_path)
    allowed = allowed_bytes(Sources(root=tmp_path))
    total = int((tmp_path / "proc/meminfo").read_text().split()[1]) * 1024
    assert (allowed < total) == machine.endswith("docker")


def test_this_process_holds_memory() -> None:
    assert 5 * MIB < rss_bytes() < 10_000 * MIB


def test_the_budget_is_shared_and_never_refuses_who_is_alone() -> None:
    budget = ByteBudget(100)
    assert budget.take(1000), "alone"
    assert budget.take(1000, held_bytes=1000), "still alone"
    assert not budget.take(1)
    budget.give(2000)
    assert budget.take(60)
    assert budget.take(40)
    assert not budget.take(1)
    assert budget.n_refused == 2
    budget.give(100)
    assert budget.held_bytes == 0


def test_only_the_signals_of_limited_pipelines_are_refused() -> None:
    machine = Machine()
    admission = Admission()
    admission.limit(machine.limiter, [Signal.TRACES])
    assert admission.refusal(Signal.TRACES) is None
    machine.look(90)
    refusal = admission.refusal(Signal.TRACES)
    assert isinstance(refusal, Overloaded)
    assert 1 <= refusal.retry_after_s <= 30
    assert admission.refusal(Signal.METRICS) is None
    assert machine.limiter.counters()["refused_requests_traces"] == 1


def test_what_is_received_counts_what_is_in_work() -> None:
    admission = Admission(ByteBudget(200 * MIB))
    most = [admission.most_at_once(60 * MIB, held * MIB) for held in (0, 1, 60, 100, 101, 200, 1000)]
    assert most == [3, 3, 2, 1, 1, 0, 0]
    small = Admission(ByteBudget(30 * MIB))
    assert [small.most_at_once(60 * MIB, held * MIB) for held in (0, 1, 15, 16)] == [1, 1, 1, 0]
    assert Admission(ByteBudget(10_000 * MIB)).most_at_once(MIB) == 16
