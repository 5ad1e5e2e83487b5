"""Gauges, sums and histograms become readings, totals and tasks of the right agent or host."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, Summary, SummaryDataPoint

from bmad_processor import engine
from bmad_processor.decode import Decoded, Decoder
from bmad_processor.model import (
    Batch,
    Increase,
    PartitionKey,
    Reading,
    Signal,
    Source,
    TaskSample,
    TaskTotals,
    Total,
)
from bmad_processor.settings import EngineSettings
from bmad_processor.state import EngineState

from .metric_points import (
    CUMULATIVE,
    DELTA,
    DURATION,
    SECOND,
    TIME_NS,
    explicit,
    exponential,
    exponential_histogram,
    gauge,
    histogram,
    number,
    request,
    total,
)

AGENT: dict[str, object] = {"gen_ai.agent.name": "Architect"}
KEY = PartitionKey("agent", "", "Architect")
NO_RECORDED_VALUE = 1


def decode(*metrics: Metric, **resource: object) -> Decoded:
    return Decoder(interval_ns=5 * SECOND).decode(Signal.METRICS, request(metrics, **resource))


def values(result: Decoded) -> dict[tuple[str, str], float]:
    """(agent or host, metric type) to value, of readings and totals."""
    return {(s.key.name, s.metric_type): s.value for s in result.samples if isinstance(s, Reading | Total)}


def test_a_gauge_of_an_agent() -> None:
    result = decode(gauge("bmad.agent.queue.size", number(7, AGENT)), service_instance_id="i")
    (sample,) = result.samples
    assert isinstance(sample, Reading)
    assert (sample.key, sample.instance, sample.metric_type) == (KEY, "i", "queue_size")
    assert (sample.time_ns, sample.value) == (TIME_NS, 7.0)
    assert (result.items, result.dropped) == (1, {})


def test_int_and_double_points() -> None:
    result = decode(gauge("bmad.agent.queue.size", number(7, AGENT), number(1.5, {"gen_ai.agent.name": "B"})))
    assert values(result) == {("Architect", "queue_size"): 7.0, ("B", "queue_size"): 1.5}


def test_an_up_down_counter_is_a_reading() -> None:
    (sample,) = decode(total("bmad.agent.task.active", number(3, AGENT), is_monotonic=False)).samples
    assert isinstance(sample, Reading)
    assert sample.value == 3


def test_a_counter_is_a_total() -> None:
    (sample,) = decode(total("bmad.agent.cpu.time", number(12.5, AGENT))).samples
    assert isinstance(sample, Total)
    assert (sample.metric_type, sample.value) == ("cpu_usage", 12.5)
    assert (sample.start_ns, sample.time_ns) == (TIME_NS - 60 * SECOND, TIME_NS)


def test_a_delta_counter_is_an_increase_over_the_time_it_covers() -> None:
    result = decode(total("bmad.agent.cpu.time", number(1.5, AGENT), temporality=DELTA))
    (sample,) = result.samples
    assert isinstance(sample, Increase)
    assert (sample.metric_type, sample.value, sample.covered_ns) == ("cpu_usage", 1.5, 60 * SECOND)
    assert (sample.time_ns, result.dropped) == (TIME_NS, {})


@pytest.mark.parametrize("start_ns", [0, TIME_NS, TIME_NS + 1])
def test_a_delta_counter_that_covers_no_time_is_counted_and_not_used(start_ns: int) -> None:
    point = number(1.5, AGENT, start_time_unix_nano=start_ns)
    result = decode(total("bmad.agent.cpu.time", point, temporality=DELTA))
    assert (result.items, result.samples, result.dropped) == (1, (), {"delta_counters_without_start": 1})


def test_delta_up_down_counters_are_counted_and_not_used() -> None:
    points = (number(1.0, AGENT), number(2.0, AGENT))
    result = decode(total("bmad.agent.task.active", *points, temporality=DELTA, is_monotonic=False))
    assert (result.items, result.samples, result.dropped) == (2, (), {"delta_up_down_counters_unsupported": 2})


def test_counters_of_no_temporality_are_counted_and_not_used() -> None:
    result = decode(total("bmad.agent.cpu.time", number(1.0, AGENT), temporality=0))
    assert (result.items, result.samples, result.dropped) == (1, (), {"counters_without_temporality": 1})


def test_memory_in_bytes_of_process_and_host() -> None:
    result = decode(
        total("bmad.agent.task.active", number(1, AGENT), is_monotonic=False),
        total("process.memory.usage", number(512 * 2**20), is_monotonic=False),
        total(
            "system.memory.usage", number(3.0, {"system.memory.state": "used"}),
            number(5.0, {"system.memory.state": "free"}), is_monotonic=False,
        ),
        host_name="h",
    )  # fmt: skip
    assert values(result) == {
        ("Architect", "active_tasks"): 1, ("Architect", "memory_bytes"): 512 * 2**20, ("h", "memory_bytes"): 3.0,
    }  # fmt: skip


@pytest.mark.parametrize("value", [nan, inf, -inf, None])
def test_values_that_are_no_number(value: float | None) -> None:
    result = decode(gauge("bmad.agent.queue.size", number(value, AGENT)))
    assert (result.items, result.samples, result.dropped) == (1, (), {"values_not_finite": 1})


def test_points_without_a_recorded_value() -> None:
    metrics = (
        gauge("bmad.agent.queue.size", number(1.0, AGENT, flags=NO_RECORDED_VALUE)),
        histogram(explicit(AGENT, count=1, sum=1.0, bucket_counts=[1], flags=NO_RECORDED_VALUE)),
        exponential_histogram(exponential(AGENT, count=1, zero_count=1, sum=0.0, flags=NO_RECORDED_VALUE)),
    )
    result = decode(*metrics)
    assert (result.items, result.samples) == (3, ())


def test_metrics_nobody_asked_for_are_counted_only() -> None:
    summary = Metric(name=DURATION, summary=Summary(data_points=[SummaryDataPoint(count=3)]))
    result = decode(gauge("room.temperature", number(21.0)), summary, Metric(name="empty"))
    assert (result.items, result.samples, result.rejected) == (2, (), 0)


def test_attributes_in_another_order_are_the_same_stream() -> None:
    pairs: dict[str, object] = {"gen_ai.agent.name": "A", "x": 1, "y": "z"}
    points = [number(1.0, pairs), number(2.0, dict(reversed(pairs.items()))), number(3.0, pairs | {"x": 2})]
    streams = [s.stream for s in decode(total("bmad.agent.cpu.time", *points)).samples if isinstance(s, Total)]
    assert streams[0] == streams[1] != streams[2]


# Task durations -------------------------------------------------------------------------------------------------------


def durations(kind: str, temporality: int, attributes: dict[str, object] = AGENT, **content: Any) -> Metric:
    if kind == "explicit":
        filled: dict[str, Any] = {"count": 4, "sum": 10.0, "explicit_bounds": [1.0, 4.0], "bucket_counts": [1, 2, 1]}
        return histogram(explicit(attributes, **filled | content), temporality=temporality)
    filled = {"count": 4, "sum": 10.0, "scale": 4, "positive": {"offset": -5, "bucket_counts": [1, 0, 2, 1]}}
    return exponential_histogram(exponential(attributes, **filled | content), temporality=temporality)


@pytest.mark.parametrize("kind", ["explicit", "exponential"])
def test_cumulative_histograms_are_totals(kind: str) -> None:
    (sample,) = decode(durations(kind, CUMULATIVE, min=0.5, max=5.0)).samples
    assert isinstance(sample, TaskTotals)
    assert (sample.key, sample.count, sample.sum_ns, sample.is_error) == (KEY, 4, 10 * SECOND, False)
    assert (sample.min_ns, sample.max_ns) == (SECOND // 2, 5 * SECOND)
    assert sum(sample.buckets.values()) == 4


@pytest.mark.parametrize("kind", ["explicit", "exponential"])
def test_delta_histograms_are_tasks(kind: str) -> None:
    (sample,) = decode(durations(kind, DELTA, {**AGENT, "error.type": "E"})).samples
    assert isinstance(sample, TaskSample)
    assert (sample.source, sample.count, sample.errors, sample.sum_ns) == (Source.METRIC, 4, 4, 10 * SECOND)
    assert sample.covered_ns == 60 * SECOND
    (unknown_start,) = decode(durations(kind, DELTA, start_time_unix_nano=0)).samples
    assert isinstance(unknown_start, TaskSample)
    assert unknown_start.covered_ns == 0


@pytest.mark.parametrize("kind", ["explicit", "exponential"])
def test_extremes_that_are_absent_come_from_the_buckets(kind: str) -> None:
    (sample,) = decode(durations(kind, CUMULATIVE)).samples
    assert isinstance(sample, TaskTotals)
    assert 0 < sample.min_ns < sample.max_ns < 10 * SECOND


@pytest.mark.parametrize("kind", ["explicit", "exponential"])
@pytest.mark.parametrize("value", [nan, inf])
def test_a_sum_that_is_no_number(kind: str, value: float) -> None:
    result = decode(durations(kind, CUMULATIVE, sum=value))
    assert (result.samples, result.dropped) == ((), {"values_not_finite": 1})


def test_an_absent_sum_comes_from_the_buckets() -> None:
    point = explicit(AGENT, count=4, explicit_bounds=[1.0, 4.0], bucket_counts=[0, 4, 0])
    (sample,) = decode(histogram(point)).samples
    assert isinstance(sample, TaskTotals)
    assert sample.sum_ns == pytest.approx(4 * 2 * SECOND, rel=0.03)


def test_operations_that_are_no_tasks() -> None:
    for operation, is_task in {"invoke_agent": True, "plan": True, "chat": False, "execute_tool": False}.items():
        result = decode(durations("explicit", CUMULATIVE, {**AGENT, "gen_ai.operation.name": operation}))
        assert bool(result.samples) == is_task


def test_an_empty_histogram_says_nothing() -> None:
    assert decode(durations("explicit", CUMULATIVE, count=0, bucket_counts=[0, 0, 0], sum=0.0)).samples == ()


@pytest.mark.parametrize(
    "content", [{"bucket_counts": [], "explicit_bounds": []}, {"bucket_counts": [4], "explicit_bounds": []}]
)
def test_a_histogram_without_bounds_is_at_its_mean(content: dict[str, Any]) -> None:
    (sample,) = decode(durations("explicit", DELTA, **content)).samples
    assert isinstance(sample, TaskSample)
    ((_, count),) = sample.buckets.items()
    assert count == 4
    assert sample.max_ns == pytest.approx(2.5 * SECOND, rel=0.03)


def test_a_histogram_with_neither_buckets_nor_sum() -> None:
    result = decode(histogram(explicit(AGENT, count=4)))
    assert (result.samples, result.dropped) == ((), {"histograms_without_buckets": 1})


# Values of the process and of the host --------------------------------------------------------------------------------


def queue(agent: str) -> Metric:
    return gauge("bmad.agent.queue.size", number(0, {"gen_ai.agent.name": agent}))


def test_process_values_go_to_every_agent_of_the_resource() -> None:
    memory = gauge("process.memory.utilization", number(0.25))
    found = values(decode(memory, queue("A"), queue("B")))
    assert {key: value for key, value in found.items() if key[1] == "memory_usage"} == {
        ("A", "memory_usage"): 0.25, ("B", "memory_usage"): 0.25,
    }  # fmt: skip
    assert values(decode(memory)) == {}, "a process without agents is nobody's"


def test_process_cpu_counts_only_when_agents_do_not_report_their_own() -> None:
    process = total("process.cpu.time", number(9.0, {"cpu.mode": "user"}), number(1.0, {"cpu.mode": "system"}))
    own = total("bmad.agent.cpu.time", number(2.0, {"gen_ai.agent.name": "A"}))
    fallback = [s.value for s in decode(process, queue("A")).samples if isinstance(s, Total)]
    assert fallback == [9.0, 1.0]
    for order in ((process, own), (own, process)):
        assert [s.value for s in decode(*order).samples if isinstance(s, Total)] == [2.0]


@pytest.mark.parametrize("key", ["cpu.mode", "state", "type"])
def test_modes_of_process_cpu(key: str) -> None:
    points = [number(float(n), {key: mode}) for n, mode in enumerate(("user", "system", "wait"), start=1)]
    found = [s.value for s in decode(total("process.cpu.time", *points), queue("A")).samples if isinstance(s, Total)]
    assert found == [1.0, 2.0]


def measured(result: Decoded) -> dict[tuple[str, str], float]:
    """What the engine makes of it at the end of the pane."""
    settings = EngineSettings(interval_ns=5 * SECOND, window_ns=5 * SECOND, lateness_ns=SECOND)
    state = EngineState()
    engine.step(state, Batch(TIME_NS, result.samples), settings)
    history = engine.step(state, Batch(TIME_NS + 10 * SECOND), settings).outputs.history
    return {(str(point.key), point.metric_type): point.value for point in history}


@pytest.mark.parametrize("key", ["cpu.mode", "state"])
def test_host_cpu_is_what_is_not_idle(key: str) -> None:
    points = [number(0.7, {key: "idle"}), number(0.2, {key: "user"}), number(0.1, {key: "system"})]
    result = decode(gauge("system.cpu.utilization", *points), host_name="h1", service_namespace="n")
    assert measured(result) == {("host//h1", "cpu_usage"): pytest.approx(0.3)}


def test_host_cpu_is_averaged_over_its_cores() -> None:
    points = [
        number(idle, {"cpu.mode": "idle", "cpu.logical_number": core}) for core, idle in enumerate([1.0, 0.5, 0.0, 0.1])
    ]
    result = decode(gauge("system.cpu.utilization", *points), host_name="h1")
    assert measured(result) == {("host//h1", "cpu_usage"): pytest.approx(0.6)}


@pytest.mark.parametrize("key", ["system.memory.state", "state"])
def test_host_memory_is_what_is_used(key: str) -> None:
    points = [number(0.6, {key: "used"}), number(0.3, {key: "free"}), number(0.1, {key: "cached"})]
    assert values(decode(gauge("system.memory.utilization", *points), host_name="h1")) == {("h1", "memory_usage"): 0.6}


@pytest.mark.parametrize(("metric", "type_"), [("system.disk.io", "disk_io"), ("system.network.io", "network_io")])
def test_host_io_in_both_directions(metric: str, type_: str) -> None:
    points = [number(10, {"direction": "read"}), number(20, {"direction": "write"})]
    samples = decode(total(metric, *points), host_name="h1").samples
    assert [(s.metric_type, s.value) for s in samples if isinstance(s, Total)] == [(type_, 10.0), (type_, 20.0)]
    assert len({s.stream for s in samples if isinstance(s, Total)}) == 2


def test_a_host_without_a_name() -> None:
    (sample,) = decode(gauge("system.cpu.utilization", number(0.5, {"state": "idle"}))).samples
    assert sample.key == PartitionKey("host", "", "unknown")
