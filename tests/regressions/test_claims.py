"""What the original said of its cost, as bounds of ours."""

from __future__ import annotations

import random
from pathlib import Path

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from bmad_otel._durations import Durations
from bmad_otel.semconv import INVOKE_AGENT_DURATION
from bmad_processor.model import HistoryPoint, PartitionKey
from bmad_processor.settings import SECOND
from bmad_processor.store import Commit, SqliteStore

MB = 1_000_000


def test_a_thousand_values_take_less_than_a_megabyte_on_disk(tmp_path: Path) -> None:
    """23 agents with seven series of 500 values, and nothing more once the rings are full."""
    path = tmp_path / "state.db"
    rng = random.Random(1)
    names = ("cpu_usage", "memory_usage", "response_time", "throughput", "error_rate", "success_rate", "active_tasks")

    def points(first: int) -> list[HistoryPoint]:
        return [
            HistoryPoint(PartitionKey("agent", "", f"Agent{agent}"), name, i * 5 * SECOND, rng.random(), i)
            for i in range(first, first + 250)
            for agent in range(23)
            for name in names
        ]

    def size_after(begin: int, end: int) -> int:
        with SqliteStore(str(path), history_size=500) as store:
            for first in range(begin, end, 250):
                store.commit(Commit(now_ns=first * SECOND, history=points(first)))
        return path.stat().st_size

    full, later = size_after(0, 500), size_after(500, 1500)
    assert full / (23 * len(names) * 500) * 1000 < MB / 10
    assert later < 1.1 * full


def test_the_network_carries_agents_and_not_tasks() -> None:
    """A report of a thousand tasks is as large as one of ten, but for a few buckets."""
    span = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("task")
    sizes = []
    for tasks in (10, 1000):
        durations = Durations()
        source = durations.new_source()
        series = durations.series(INVOKE_AGENT_DURATION, {"gen_ai.agent.name": "Architect"})
        rng = random.Random(2)
        for _ in range(tasks):
            series.add(rng.lognormvariate(0, 0.5), span)
        scope = ScopeMetrics(InstrumentationScope("bmad_otel"), list(source(AggregationTemporality.CUMULATIVE)), "")
        sizes.append(len(encode_metrics(MetricsData([ResourceMetrics(Resource({}), [scope], "")])).SerializeToString()))
    few, many = sizes
    assert many < 2 * few
    assert many < 1_000
