"""Durations as an exporter gets them: encoded as OTLP, and read as a receiver reads them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from bmad_otel._clock import Clock, use
from bmad_otel._durations import MAX_SERIES, Durations, Source
from bmad_otel.semconv import INVOKE_AGENT_DURATION

CUMULATIVE, DELTA = AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA
SPAN = trace.INVALID_SPAN


def points(source: Source, temporality: AggregationTemporality = CUMULATIVE) -> list[Any]:
    metrics = source(temporality)
    scope = ScopeMetrics(InstrumentationScope("bmad_otel"), list(metrics), "")
    request = encode_metrics(MetricsData([ResourceMetrics(Resource({}), [scope], "")]))
    found = request.resource_metrics[0].scope_metrics[0].metrics
    return [point for metric in found for point in metric.exponential_histogram.data_points]


def of(durations: Durations, **attributes: str) -> Any:
    return durations.series(INVOKE_AGENT_DURATION, dict(attributes))


def test_every_source_reports_every_task() -> None:
    durations = Durations()
    first, second = durations.new_source(), durations.new_source()
    series = of(durations, agent="A")
    for _ in range(3000):  # some are counted on the way, some when asked
        series.add(0.5, SPAN)
    assert [point.count for point in points(first)] == [3000]
    series.add(2.0, SPAN)
    (point,) = points(second)
    assert (point.count, point.sum, point.min, point.max) == (3001, 1502.0, 0.5, 2.0)
    assert sum(point.positive.bucket_counts) == 3001
    assert {pair.key: pair.value.string_value for pair in point.attributes} == {"agent": "A"}


def test_cumulative_points_keep_their_start_and_delta_points_move_it() -> None:
    now = [1_000]
    durations = Durations()
    with use(Clock(unix_ns=lambda: now[0])):
        total, change = durations.new_source(), durations.new_source()
        series = of(durations)
        starts = []
        for at, tasks in ((2_000, 3), (3_000, 0), (4_000, 2)):
            for _ in range(tasks):
                series.add(1.0, SPAN)
            now[0] = at
            for source, temporality in ((total, CUMULATIVE), (change, DELTA)):
                starts.append(
                    [(p.start_time_unix_nano, p.time_unix_nano, p.count) for p in points(source, temporality)]
                )
    assert starts[0::2] == [[(1_000, 2_000, 3)], [(1_000, 3_000, 3)], [(1_000, 4_000, 5)]]
    assert starts[1::2] == [[(1_000, 2_000, 3)], [], [(2_000, 4_000, 2)]]


def test_the_slowest_sampled_task_is_the_exemplar() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    durations = Durations()
    source = durations.new_source()
    series = of(durations)
    spans = [tracer.start_span(str(i)) for i in range(3)]
    for span, duration_s in zip(spans, (0.1, 0.9, 0.2), strict=True):
        series.add(duration_s, span)
    (point,) = points(source)
    (exemplar,) = point.exemplars
    context = spans[1].get_span_context()
    assert (exemplar.as_double, int.from_bytes(exemplar.span_id), int.from_bytes(exemplar.trace_id)) == (
        0.9, context.span_id, context.trace_id,
    )  # fmt: skip
    series.add(5.0, trace.NonRecordingSpan(trace.INVALID_SPAN_CONTEXT))
    (point,) = points(source)
    assert not point.exemplars  # nobody could look that one up


def test_series_are_bounded_and_the_overflow_is_visible() -> None:
    durations = Durations()
    source = durations.new_source()
    for i in range(MAX_SERIES + 50):
        of(durations, agent=f"agent {i}").add(1.0, SPAN)
    found = points(source)
    assert len(found) == MAX_SERIES + 1
    (overflow,) = [p for p in found if [pair.key for pair in p.attributes] == ["otel.metric.overflow"]]
    assert overflow.count == 50


def test_a_forked_child_reports_its_own_tasks_only() -> None:
    durations = Durations()
    source = durations.new_source()
    series = of(durations)
    series.add(1.0, SPAN)
    points(source)
    series.add(1.0, SPAN)
    durations.after_fork_in_child()
    assert points(source) == []
    series.add(3.0, SPAN)
    (point,) = points(source)
    assert (point.count, point.sum) == (1, 3.0)


@pytest.mark.parametrize("threads", [4])
def test_no_task_is_lost_between_threads_and_exports(threads: int) -> None:
    durations = Durations()
    source = durations.new_source()
    series = of(durations)

    def work() -> None:
        for _ in range(5_000):
            series.add(0.001, SPAN)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        points(source)
    for worker in workers:
        worker.join()
    (point,) = points(source)
    assert point.count == threads * 5_000
    assert sum(point.positive.bucket_counts) == threads * 5_000
