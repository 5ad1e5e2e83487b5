"""Samples into panes: what is late, early, repeated or too much is counted; nothing is counted twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bmad_processor import sketch, window
from bmad_processor.measure import measure
from bmad_processor.metric_types import CPU_USAGE, ERROR_RATE, QUEUE_SIZE, RESPONSE_TIME, THROUGHPUT
from bmad_processor.model import (
    Exemplar,
    Increase,
    Measured,
    PartitionKey,
    Reading,
    Sample,
    Source,
    TaskSample,
    TaskTotals,
    Total,
)
from bmad_processor.settings import SECOND, EngineSettings
from bmad_processor.state import EngineState, Partition

KEY = PartitionKey("agent", "", "Architect")
T0 = 1_800_000_000 * SECOND
SETTINGS = EngineSettings(interval_ns=5 * SECOND, window_ns=60 * SECOND, lateness_ns=6 * SECOND, max_instances=3)


class Window:
    """One partition at a virtual time."""

    def __init__(self, settings: EngineSettings = SETTINGS) -> None:
        self.settings = settings
        self.state = EngineState(now_ns=T0)
        self.partition = Partition(KEY, T0, T0)

    def at(self, seconds: float) -> Window:
        self.state.now_ns = T0 + round(seconds * SECOND)
        return self

    def add(self, sample: Sample) -> int | None:
        """Where it went: the end of its pane in seconds."""
        end_ns = window.add(self.state, self.partition, sample, self.settings)
        return None if end_ns is None else (end_ns - T0) // SECOND

    def measured(self) -> dict[str, Measured]:
        return measure(self.partition, self.partition.panes, self.settings)

    @property
    def counters(self) -> dict[str, int]:
        return self.state.counters


def tasks(seconds: float, *durations_s: float, errors: int = 0, instance: str = "a", **changes: object) -> TaskSample:
    durations = [round(d * SECOND) for d in durations_s] or [SECOND]
    buckets: dict[int, int] = {}
    sketch.count_into(buckets, durations)
    sample = TaskSample(
        KEY, instance, Source.SPAN, T0 + round(seconds * SECOND), 0, len(durations), errors, sum(durations),
        min(durations), max(durations), buckets,
    )  # fmt: skip
    return replace(sample, **changes)  # type: ignore[arg-type]


def totals(
    seconds: float, n: int, *, start: float = 0, is_error: bool = False, instance: str = "a", each_s: int = 1
) -> TaskTotals:
    each_ns = each_s * SECOND
    return TaskTotals(
        KEY, instance, "bad" if is_error else "ok", T0 + round(start * SECOND), T0 + round(seconds * SECOND), is_error,
        n, n * each_ns, each_ns, each_ns, {sketch.index_of(each_ns): n},
    )  # fmt: skip


def cpu(seconds: float, value: float, *, start: float = -100, instance: str = "a") -> Total:
    return Total(KEY, instance, CPU_USAGE, "", T0 + round(start * SECOND), T0 + round(seconds * SECOND), value)


def reading(value: float, instance: str, stream: str = "", metric_type: str = QUEUE_SIZE) -> Reading:
    return Reading(KEY, instance, metric_type, stream, T0, value)


# Event time -----------------------------------------------------------------------------------------------------------


def test_samples_go_to_the_pane_of_their_event_time() -> None:
    w = Window().at(8)
    assert [w.add(tasks(t)) for t in (0, 4.9, 5, 8, 12.9)] == [5, 5, 10, 10, 15]
    assert [(pane.start_ns - T0) // SECOND for pane in w.partition.panes] == [0, 5, 10]
    assert w.counters == {}


def test_late_is_what_comes_for_a_closed_pane() -> None:
    w = Window().at(11)
    assert window.closed_until(w.state, SETTINGS) == T0 + 5 * SECOND
    assert [w.add(tasks(t)) for t in (4.9, 5, -100)] == [None, 10, None]
    assert w.counters == {"late": 2}
    assert w.partition.tasks_total == 1


@pytest.mark.parametrize(("seconds", "pane"), [(5.0, 10), (5.1, 5), (86_400, 5)])
def test_event_times_too_far_ahead_count_as_now(seconds: float, pane: int) -> None:
    w = Window().at(0)
    assert w.add(tasks(seconds)) == pane
    assert w.counters == ({} if pane == 10 else {"future": 1})


def test_without_an_event_time_the_arrival_counts() -> None:
    w = Window().at(7)
    assert w.add(tasks(0, time_ns=0)) == 10
    assert w.counters == {"without_time": 1}


def test_panes_are_in_order_whatever_comes_first() -> None:
    w = Window().at(9)
    for t in (9, 4, 13, 0, 7):
        w.add(tasks(t))
    assert [(p.start_ns - T0) // SECOND for p in w.partition.panes] == [0, 5, 10]
    window.drop_before(w.partition, T0 + 5 * SECOND)
    assert [(p.start_ns - T0) // SECOND for p in w.partition.panes] == [5, 10]


# Running totals -------------------------------------------------------------------------------------------------------


def test_a_first_total_is_a_reference_and_differences_are_rates() -> None:
    w = Window().at(10)
    w.add(cpu(4, 50.0))
    assert CPU_USAGE not in w.measured()
    w.add(cpu(8, 52.0))
    assert w.measured()[CPU_USAGE].value == pytest.approx(0.5)


def test_repeated_and_out_of_order_totals_are_not_used() -> None:
    w = Window().at(10)
    for seconds, value in ((4, 50.0), (8, 52.0), (8, 52.0), (6, 51.0)):
        w.add(cpu(seconds, value))
    assert w.counters == {"repeated": 2}
    assert w.measured()[CPU_USAGE].value == pytest.approx(0.5)


@pytest.mark.parametrize(("value", "start"), [(1.0, -100), (1.0, 5), (60.0, 5)])
def test_a_total_that_began_anew(value: float, start: float) -> None:
    """Seen by a smaller value or another start: what it counted since then counts."""
    w = Window().at(10)
    w.add(cpu(4, 50.0))
    w.add(cpu(8, value, start=start))
    assert w.measured()[CPU_USAGE].value == pytest.approx(value / 4)


def test_task_totals_are_counted_by_difference() -> None:
    w = Window().at(10)
    for seconds, n in ((4, 10), (8, 13), (13, 20)):
        w.add(totals(seconds, n, start=0))
    assert w.partition.tasks_total == 20
    assert w.measured()[THROUGHPUT].n == 20


def test_task_totals_with_an_unknown_beginning_are_a_reference_first() -> None:
    w = Window().at(10)
    w.add(totals(4, 1000, start=-3600))
    w.add(totals(9, 1003, start=-3600))
    assert w.partition.tasks_total == 3
    assert w.measured()[RESPONSE_TIME].n == 3


def test_task_totals_of_a_restarted_sender() -> None:
    w = Window().at(10)
    w.add(totals(4, 10, start=0))
    w.add(totals(9, 2, start=5))
    assert w.partition.tasks_total == 12


def test_task_totals_repeated_or_out_of_order() -> None:
    w = Window().at(10)
    for seconds, n in ((8, 10), (8, 10), (4, 6)):
        w.add(totals(seconds, n))
    assert w.counters == {"repeated": 2}
    assert w.partition.tasks_total == 10


def test_errors_are_streams_of_their_own() -> None:
    w = Window().at(10)
    w.add(totals(4, 8))
    w.add(totals(4, 2, is_error=True))
    assert w.measured()[ERROR_RATE].value == pytest.approx(0.2)
    assert (w.partition.tasks_total, w.partition.errors_total) == (10, 2)


def test_a_sender_that_makes_its_histogram_coarser_counts_nothing_again() -> None:
    w = Window().at(10)
    fine = {sketch.index_of(SECOND): 1000, sketch.index_of(SECOND) + 1: 3}
    first = replace(totals(4, 1003), buckets=fine)
    w.add(first)
    w.partition.panes.clear()
    coarse = {sketch.rescale_index(sketch.index_of(SECOND) >> 1, 3): 1003, sketch.index_of(40 * SECOND): 2}
    w.add(replace(totals(13, 1005), sum_ns=1003 * SECOND + 80 * SECOND, max_ns=40 * SECOND, buckets=coarse))
    found = w.measured()[RESPONSE_TIME]
    assert found.n == 2
    assert found.value == pytest.approx(40, rel=0.05)
    assert sum(w.partition.panes[-1].tasks["a", "metric"].buckets.values()) == 2


def test_a_single_new_task_has_its_exact_duration() -> None:
    w = Window().at(10)
    w.add(totals(4, 10))
    w.partition.panes.clear()
    buckets = {sketch.index_of(SECOND): 10, sketch.index_of(7 * SECOND): 1}
    w.add(replace(totals(9, 11), sum_ns=17 * SECOND, max_ns=7 * SECOND, buckets=buckets))
    assert w.measured()[RESPONSE_TIME].value == 7.0


# Spans and metrics of the same tasks ----------------------------------------------------------------------------------


def test_spans_count_until_metrics_of_the_same_instance_come() -> None:
    w = Window().at(9)
    w.add(tasks(1, 1, 1, 1, errors=1))
    assert (w.partition.tasks_total, w.measured()[THROUGHPUT].n) == (3, 3)
    w.add(totals(8, 5, start=0))
    w.add(tasks(9, 1, 1))
    assert (w.partition.tasks_total, w.partition.errors_total) == (5, 0)
    assert w.measured()[THROUGHPUT].n == 5


def test_delta_metrics_take_the_place_of_spans_too() -> None:
    w = Window().at(9)
    w.add(tasks(1, 1, 1, 1, errors=1))
    w.add(tasks(8, 1, 1, 1, 1, errors=1, source=Source.METRIC, covered_ns=8 * SECOND))
    assert (w.partition.tasks_total, w.partition.errors_total) == (4, 1)
    assert w.measured()[THROUGHPUT].value == pytest.approx(0.5)


def test_what_spans_counted_before_metrics_with_an_unknown_beginning_stays() -> None:
    w = Window().at(9)
    w.add(tasks(1, 1, 1, 1))
    w.add(totals(4, 1000, start=-3600))
    w.add(totals(8, 1002, start=-3600))
    assert w.partition.tasks_total == 5


def test_each_instance_has_its_own_truth() -> None:
    w = Window().at(9)
    w.add(totals(8, 5, start=0, instance="a"))
    w.add(tasks(8, 1, 1, instance="a"))
    w.add(tasks(8, 1, 1, 1, instance="b"))
    assert (w.partition.tasks_total, w.measured()[THROUGHPUT].n) == (8, 8)


# Bounds ---------------------------------------------------------------------------------------------------------------


def test_further_instances_share_one() -> None:
    w = Window().at(0)
    for name in "abcde":
        w.add(reading(1.0, name))
    assert set(w.partition.instances) == {"a", "b", "c", window.OVERFLOW}
    assert w.counters == {"instances_folded": 2}
    w.add(reading(1.0, "a"))
    assert w.counters == {"instances_folded": 2}


def test_further_streams_are_dropped() -> None:
    w = Window(replace(SETTINGS, max_streams=2)).at(10)
    for n in range(4):
        w.add(replace(cpu(4, 1.0), stream=str(n)))
    assert len(w.partition.streams) == 2
    assert w.counters == {"streams_dropped": 2}


def test_instances_not_heard_of_are_forgotten_with_their_streams() -> None:
    w = Window().at(0)
    w.add(cpu(0, 1.0, instance="a"))
    w.at(100).add(cpu(100, 1.0, instance="b"))
    window.forget_gone(w.partition, T0 + 50 * SECOND)
    assert set(w.partition.instances) == {"b"}
    assert {instance for _, instance, _ in w.partition.streams} == {"b"}


def test_exemplars_are_the_slowest_of_each_kind_in_any_order() -> None:
    exemplars = [
        Exemplar("b" * 32, 9, "t", ""), Exemplar("a" * 32, 9, "t", ""), Exemplar("c" * 32, 5, "t", "E"),
        Exemplar("d" * 32, 7, "t", "F"), Exemplar("e" * 32, 1, "t", ""),
    ]  # fmt: skip
    for order in (exemplars, exemplars[::-1], exemplars[2:] + exemplars[:2]):
        w = Window().at(0)
        for exemplar in order:
            w.add(tasks(0, exemplars=(exemplar,)))
        assert [e.trace_id[0] for e in w.partition.panes[0].exemplars] == ["d", "a"]


# What the window measures ---------------------------------------------------------------------------------------------


def test_instances_combine_as_their_metric_type_says() -> None:
    w = Window().at(0)
    for instance, value in (("a", 2.0), ("a", 4.0), ("b", 5.0)):
        w.add(reading(value, instance))
        w.add(reading(value / 10, instance, metric_type="memory_usage"))
    found = w.measured()
    assert found[QUEUE_SIZE].value == pytest.approx(3.0 + 5.0)
    assert found["memory_usage"].value == pytest.approx((0.3 + 0.5) / 2)


def test_streams_of_one_instance_are_parts_of_it() -> None:
    w = Window().at(0)
    w.add(reading(2.0, "a", "s1"))
    w.add(reading(3.0, "a", "s2"))
    assert w.measured()[QUEUE_SIZE].value == pytest.approx(5.0)


def test_running_totals_of_folded_instances_are_told_apart() -> None:
    w = Window(replace(SETTINGS, max_instances=1))
    for seconds in (10, 20, 30):
        w.at(seconds)
        for instance, each in (("a", 1), ("b", 2), ("c", 5)):
            w.add(totals(seconds, seconds * each, instance=instance))
            w.add(cpu(seconds, seconds * each / 10, instance=instance))
    assert w.partition.tasks_total == 30 * 8
    assert w.measured()[CPU_USAGE].value == pytest.approx((0.1 + 0.35) / 2)


def test_increases_become_a_rate_over_the_time_they_cover() -> None:
    w = Window().at(30)
    for seconds, covered, used in ((10, 10, 3.0), (20, 10, 1.0), (30, 20, 4.0)):
        at_ns, covered_ns = T0 + seconds * SECOND, covered * SECOND
        assert w.add(Increase(KEY, "a", CPU_USAGE, "", at_ns, covered_ns, used)) is (
            None if seconds < 20 else seconds + 5
        )
    assert w.measured()[CPU_USAGE].value == pytest.approx(5.0 / 30)
    assert w.counters == {"late": 1}
