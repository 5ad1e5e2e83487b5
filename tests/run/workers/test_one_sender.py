"""One sender's requests come to several workers: nothing of it is counted twice."""

from __future__ import annotations

from pathlib import Path

from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Histogram, HistogramDataPoint, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bmad_processor.model import Signal
from bmad_processor.state import Partition
from bmad_processor.store import StoreReader
from tests.run import otlp
from tests.run.collectors import FAST, write_config
from tests.run.otlp import SECOND, GrpcClient

from .together import Together, together

START_NS = 1_800_000_000 * SECOND


def partitions(path: Path) -> dict[str, Partition]:
    with StoreReader(str(path.with_name("state.db"))).snapshot() as snapshot:
        return {partition.key.name: partition for partition in snapshot.partitions()}


def model_call(agent: str, *, tokens: int) -> Span:
    span = otlp.task_span(agent or "nobody", end_ns=START_NS)
    named = {"gen_ai.agent.name": agent} if agent else {}
    del span.attributes[:]
    span.attributes.extend(
        otlp.attributes(
            {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": tokens, **named}
        )
    )
    return span


def token_metric(agent: str, *, tokens: int) -> Metric:
    point = HistogramDataPoint(
        start_time_unix_nano=START_NS - SECOND,
        time_unix_nano=START_NS,
        count=1,
        sum=tokens,
        attributes=otlp.attributes(
            {"gen_ai.agent.name": agent, "gen_ai.request.model": "m", "gen_ai.token.type": "input"}
        ),
    )
    delta = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    return Metric(
        name="gen_ai.client.token.usage", histogram=Histogram(data_points=[point], aggregation_temporality=delta)
    )


def tokens_of(path: Path) -> dict[str, int]:
    used = {name: sum(use.input_tokens for use in p.tokens.values()) for name, p in partitions(path).items()}
    return {name: n for name, n in used.items() if n}


def send(running: Together, worker: int, signal: Signal, body: bytes) -> None:
    with GrpcClient(running.endpoints[worker]) as client:
        client.export(signal, body)


def test_spans_at_one_worker_and_metrics_at_another_are_the_same_tasks(tmp_path: Path) -> None:
    path = write_config(tmp_path, performance={**FAST, "commit_interval": "1m"})
    agents = [f"A{n}" for n in range(8)]  # some of them belong to either worker
    with together(path, 2, clock=lambda: START_NS) as running:
        for order in ((0, 1), (1, 0)):
            for agent in agents[order[0] :: 2]:
                send(running, order[0], Signal.TRACES, otlp.tasks(agent, 3, end_ns=START_NS))
                totals = otlp.task_totals(agent, ok=(START_NS - SECOND, 3), errors=(0, 0), time_ns=START_NS)
                send(running, order[1], Signal.METRICS, otlp.metrics(totals))
                send(running, order[0], Signal.TRACES, otlp.tasks(agent, 3, end_ns=START_NS))
        running.settle()
        assert {name: p.tasks_total for name, p in partitions(path).items()} == dict.fromkeys(agents, 3)


def test_tokens_of_model_calls_whose_metric_another_worker_got_are_counted_once(tmp_path: Path) -> None:
    """The spans name no agent: they are the service's, until it is known that the same sender has the metric."""
    path = write_config(tmp_path, performance={**FAST, "commit_interval": "1m"})
    with together(path, 3, clock=lambda: START_NS) as running:
        send(running, 0, Signal.TRACES, otlp.traces([model_call("", tokens=7)]))
        running.settle()
        assert tokens_of(path) == {"bytes": 7}, "until then the spans are all there is"
        send(running, 1, Signal.METRICS, otlp.metrics(token_metric("Writer", tokens=7)))
        running.settle()  # the news of it is on its way to the other workers ...
        running.settle()  # ... and what follows from it on the way to the owner
        assert tokens_of(path) == {"Writer": 7}
        for worker in range(3):
            send(running, worker, Signal.TRACES, otlp.traces([model_call("", tokens=5)]))
        running.settle()
        assert tokens_of(path) == {"Writer": 7}


def test_what_one_worker_has_no_room_for_is_its_own(tmp_path: Path) -> None:
    path = write_config(tmp_path, performance={**FAST, "commit_interval": "1m", "limits": {"max_agents": 10}})
    with together(path, 2, clock=lambda: START_NS) as running:
        for n in range(40):
            send(running, n % 2, Signal.TRACES, otlp.tasks(f"A{n}", 1, end_ns=START_NS))
        running.settle()
    found = {name: p.tasks_total for name, p in partitions(path).items()}
    assert {name for name in found if not name.startswith("A")} == {"otel.overflow", "otel.overflow.1"}
    assert sum(found.values()) == 40
    # ... and is loaded by it again
    with together(path, 2, clock=lambda: START_NS + SECOND) as running:
        for n in range(40):
            send(running, n % 2, Signal.TRACES, otlp.tasks(f"A{n}", 1, end_ns=START_NS))
        running.settle()
    found = {name: p.tasks_total for name, p in partitions(path).items()}
    assert sum(found.values()) == 80
    assert len(found) == 14
