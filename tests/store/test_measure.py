"""Aggregation of panes: golden numbers worked out by hand."""

from __future__ import annotations

import pytest

from bmad_processor.measure import measure, panes_in_window, response_quantiles
from bmad_processor.model import PartitionKey
from bmad_processor.settings import SECOND, EngineSettings
from bmad_processor.sketch import count_into, index_of
from bmad_processor.state import Cell, Instance, Pane, Partition, Tasks

SETTINGS = EngineSettings()
T0 = 1_700_000_000 * SECOND  # a multiple of five seconds


def tasks(*durations_s: float, errors: int = 0, covered_s: float = 0) -> Tasks:
    durations = [round(d * SECOND) for d in durations_s]
    made = Tasks(len(durations), errors, sum(durations), covered_ns=round(covered_s * SECOND))
    if durations:
        made.min_ns, made.max_ns = min(durations), max(durations)
    count_into(made.buckets, durations)
    return made


def agent(*, first_seen_s: float = 0, **has_metrics: bool) -> Partition:
    seen = T0 + round(first_seen_s * SECOND)
    partition = Partition(PartitionKey("agent", "", "Architect"), seen, seen)
    partition.instances = {name: Instance(seen, seen, flag) for name, flag in has_metrics.items()}
    return partition


def pane(at_s: float, **fields: object) -> Pane:
    return Pane(T0 + round(at_s * SECOND), **fields)  # type: ignore[arg-type]


def test_no_panes_no_values() -> None:
    assert measure(agent(), [], SETTINGS) == {}
    assert measure(agent(), [pane(0)], SETTINGS) == {}


def test_one_slow_task_has_its_exact_duration() -> None:
    found = measure(agent(a=False), [pane(0, tasks={("a", "span"): tasks(31.0)})], SETTINGS)
    assert found["response_time"].value == 31.0
    assert found["response_time"].n == 1
    assert found["error_rate"].value == 0
    assert found["success_rate"].value == 1


def test_p95_is_the_nearest_rank_within_the_sketch_error() -> None:
    # 100 tasks of 0.1 s .. 10.0 s: the 95th is 9.5 s
    all_tasks = tasks(*(i / 10 for i in range(1, 101)))
    found = measure(agent(a=False), [pane(0, tasks={("a", "span"): all_tasks})], SETTINGS)
    assert found["response_time"].value == pytest.approx(9.5, rel=0.022)
    quantiles = response_quantiles(agent(a=False), [pane(0, tasks={("a", "span"): all_tasks})])
    assert quantiles is not None
    assert quantiles["p50_s"] == pytest.approx(5.0, rel=0.022)
    assert quantiles["p99_s"] == pytest.approx(9.9, rel=0.022)
    assert quantiles["max_s"] == 10.0


def test_an_instance_with_metrics_counts_by_them_alone() -> None:
    window = [
        pane(
            0,
            tasks={
                ("a", "metric"): tasks(1, 1, 1, errors=1, covered_s=5),
                ("a", "span"): tasks(1, 1, 1, errors=1),
                ("b", "span"): tasks(1),
                ("b", "metric"): tasks(9, 9, covered_s=5),
            },
        )
    ]
    found = measure(agent(a=True, b=False), window, SETTINGS)
    assert found["error_rate"].n == 4
    assert found["error_rate"].value == 0.25
    # a: 3 tasks in 5 covered seconds; b: 1 task in one pane
    assert found["throughput"].value == pytest.approx(3 / 5 + 1 / 5)


def test_an_instance_already_gone_keeps_its_source() -> None:
    window = [pane(0, tasks={("x", "span"): tasks(1, 1), ("x", "metric"): tasks(1, covered_s=5)})]
    assert measure(agent(), window, SETTINGS)["error_rate"].n == 1


def test_throughput_of_spans_is_over_the_window_even_when_panes_are_missing() -> None:
    window = [pane(600, tasks={("a", "span"): tasks(*[0.1] * 30)}), pane(655, tasks={})]
    assert measure(agent(a=False), window, SETTINGS)["throughput"].value == pytest.approx(30 / 60)


def test_throughput_of_a_young_agent_is_since_it_was_seen() -> None:
    window = [pane(0, tasks={("a", "span"): tasks(*[0.1] * 4)}), pane(5, tasks={("a", "span"): tasks(*[0.1] * 10)})]
    assert measure(agent(first_seen_s=3, a=False), window, SETTINGS)["throughput"].value == pytest.approx(14 / 7)


def test_throughput_is_never_over_less_than_a_pane() -> None:
    window = [pane(0, tasks={("a", "span"): tasks(0.1)})]
    young = agent(first_seen_s=4.9, a=False)
    assert measure(young, window, SETTINGS)["throughput"].value == pytest.approx(1 / 5)
    assert measure(young, window, SETTINGS, end_ns=T0 + 5 * SECOND - 1)["throughput"].value == pytest.approx(1 / 5)


def test_zero_tasks_reported_is_a_throughput_of_zero() -> None:
    found = measure(agent(a=True), [pane(0, tasks={("a", "metric"): tasks(covered_s=5)})], SETTINGS)
    assert found["throughput"].value == 0
    assert found["throughput"].is_fresh
    assert set(found) == {"throughput"}


def test_fresh_means_the_last_pane_brought_data() -> None:
    window = [
        pane(0, tasks={("a", "span"): tasks(1)}, cells={("cpu_usage", "a", ""): Cell(0.5, 1, 1)}),
        pane(5, cells={("queue_size", "a", ""): Cell(4, 1, 1)}),
    ]
    found = measure(agent(a=False), window, SETTINGS)
    assert {name: m.is_fresh for name, m in found.items()} == {
        "response_time": False,
        "throughput": False,
        "error_rate": False,
        "success_rate": False,
        "cpu_usage": False,
        "queue_size": True,
    }


def test_streams_add_up_or_are_averaged_then_instances_combine() -> None:
    cells = {
        # mean of a (0.2 + 0.4 = 0.6) and b (1.0) = 0.8
        ("cpu_usage", "a", "user"): Cell(0.4, 2, 2),
        ("cpu_usage", "a", "system"): Cell(0.8, 2, 2),
        ("cpu_usage", "b", ""): Cell(1.0, 1, 1),
        # two views of one quantity: (0.2 + 0.6) / 2
        ("memory_usage", "a", "mean:0"): Cell(0.2, 1, 1),
        ("memory_usage", "a", "mean:1"): Cell(1.8, 3, 3),
        # sum of the instances
        ("queue_size", "a", ""): Cell(30, 3, 3),
        ("queue_size", "b", ""): Cell(5, 1, 1),
        ("custom:points", "a", ""): Cell(7, 1, 1),
        # nothing measured yet
        ("disk_io", "a", ""): Cell(0, 0, 0),
    }
    found = measure(agent(a=False, b=False), [pane(0, cells=cells)], SETTINGS)
    assert found["cpu_usage"].value == pytest.approx(0.8)
    assert found["cpu_usage"].n == 5
    assert found["memory_usage"].value == pytest.approx(0.4)
    assert found["queue_size"].value == pytest.approx(15)
    assert found["custom:points"].value == 7
    assert "disk_io" not in found


def test_a_stream_is_weighted_over_panes() -> None:
    window = [
        pane(0, cells={("cpu_usage", "a", ""): Cell(5.0, 5, 1)}),
        pane(5, cells={("cpu_usage", "a", ""): Cell(0.0, 15, 1)}),
    ]
    assert measure(agent(a=False), window, SETTINGS)["cpu_usage"].value == pytest.approx(0.25)


def test_panes_in_window() -> None:
    panes = [pane(at) for at in range(0, 100, 5)]
    at_pane_end = panes_in_window(panes[:14], SETTINGS, T0 + 70 * SECOND)
    assert [p.start_ns for p in at_pane_end] == [T0 + at * SECOND for at in range(10, 70, 5)]
    with_open_pane = panes_in_window(panes[:14], SETTINGS, T0 + 66 * SECOND)
    assert with_open_pane == at_pane_end


def test_extremes_left_out_by_the_sender() -> None:
    unknown = Tasks(2, 0, 0, 0, 0, 0, {index_of(3 * SECOND): 2})
    found = measure(agent(a=False), [pane(0, tasks={("a", "span"): unknown})], SETTINGS)
    assert found["response_time"].value == pytest.approx(3, rel=0.03)
