"""Laws of the parts that turn readings into metrics."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bmad_otel._host import cgroup
from bmad_otel._host.allowance import set_size
from bmad_otel._host.readings import Rate, RunningTotal

DEVICES = st.dictionaries(st.sampled_from("abc"), st.fixed_dictionaries({"read": st.integers(0, 100)}))


@given(st.lists(DEVICES, max_size=20))
def test_a_running_total_never_falls(readings: list[dict[str, dict[str, int]]]) -> None:
    total, before = RunningTotal(), 0
    for reading in readings:
        now = total.add(reading).get("read", 0)
        assert now >= before
        before = now


@given(st.lists(st.integers(0, 100), min_size=1, max_size=20))
def test_a_running_total_of_one_growing_counter_is_the_counter(steps: list[int]) -> None:
    total, counter = RunningTotal(), 0
    for step in steps:
        counter += step
        assert total.add({"a": {"read": counter}}) == {"read": counter}


@given(st.lists(st.tuples(st.floats(-10, 10), st.floats(0, 1e9)), max_size=20))
def test_a_rate_is_never_negative_whatever_clock_and_counter_do(readings: list[tuple[float, float]]) -> None:
    now_s = 0.0
    rate = Rate(lambda: now_s)
    for step_s, value in readings:
        now_s += step_s
        assert all(found >= 0 for found in rate.per_second({"a": value}).values())


@given(st.sets(st.integers(0, 300), min_size=1))
def test_the_size_of_a_cpu_set(cpus: set[int]) -> None:
    """Written as the kernel does, runs as ranges."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and runs[-1][1] == cpu - 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    assert set_size(",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)) == len(cpus)


@given(st.text(max_size=30))
def test_any_text_is_a_cpu_set_or_none(text: str) -> None:
    assert set_size(text) >= 0


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_tables_of_groups_can_be_read(mounts: str, groups: str) -> None:
    for line in (mounts, f"29 24 0:26 {mounts} - cgroup2 cgroup2 rw", f"29 24 0:26 / {mounts} rw - cgroup c rw,memory"):
        mounted = cgroup.parse_mounts(Path("/nowhere"), line)
        for table in (groups, f"0::{groups}", f"4:memory:{groups}"):
            for group in cgroup.parse_groups(table, mounted).values():
                assert group.levels[-1] == group.point
