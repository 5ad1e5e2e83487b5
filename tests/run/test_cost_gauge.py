"""From model calls on the wire to their cost at the backend, in the API and on the bill."""

from __future__ import annotations

import time
from pathlib import Path

from opentelemetry.proto.metrics.v1.metrics_pb2 import Histogram, HistogramDataPoint, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bmad_processor.model import Signal

from . import otlp
from .backends import Backend
from .collectors import Api, embedded, eventually, to_grpc, write_config
from .otlp import GrpcClient

CALL: dict[str, str | bytes | int | float] = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
}  # fmt: skip


def chat(agent: str, input_tokens: int) -> Span:
    """A model call as an instrumentation of a client library reports it."""
    span = otlp.task_span(agent, end_ns=time.time_ns())
    del span.attributes[:]
    span.attributes.extend(
        otlp.attributes({**CALL, "gen_ai.agent.name": agent, "gen_ai.usage.input_tokens": input_tokens})
    )
    return span


def token_usage(agent: str, input_tokens: int) -> Metric:
    """What the SDK reports: tokens since the process began."""
    now_ns = time.time_ns()
    said = {**CALL, "gen_ai.agent.name": agent, "gen_ai.token.type": "input", "gen_ai.workflow.name": "release"}
    point = HistogramDataPoint(
        attributes=otlp.attributes(said), start_time_unix_nano=now_ns - otlp.SECOND, time_unix_nano=now_ns,
        count=1, sum=input_tokens, bucket_counts=[1],
    )  # fmt: skip
    data = Histogram(data_points=[point], aggregation_temporality="AGGREGATION_TEMPORALITY_CUMULATIVE")
    return Metric(name="gen_ai.client.token.usage", unit="{token}", histogram=data)


def test_tokens_become_money(tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    """A million input tokens of gpt-4o cost 2.50 dollars."""
    config = write_config(tmp_path, exporters={"otlp_grpc": to_grpc(backend_endpoint)})
    with embedded(config) as collector, GrpcClient(collector.endpoints["otlp/grpc"]) as client:
        api = Api(collector.endpoints["api"])
        client.export(Signal.TRACES, otlp.traces([chat("Writer", 1_000_000), chat("Reader", 2_000_000)]))
        client.export(Signal.METRICS, otlp.metrics(token_usage("Tester", 4_000_000), instance="other"))
        point = {"gen_ai.agent.name": "Tester", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
        eventually(lambda: (point, 10.0) in backend.gauges("bmad.agent.cost"))
        eventually(lambda: len(api.get("/api/v1/costs")["rows"]) == 3)
        bill = api.get("/api/v1/costs?group_by=workflow")
        assert [(row["key"], row["amount"]) for row in bill["rows"]] == [("release", 10.0), ("", 7.5)]
        assert bill["is_complete"]
        # the same process has the metric after all: its spans were the same tokens
        client.export(Signal.METRICS, otlp.metrics(token_usage("Writer", 1_000_000)))
        eventually(lambda: {row["key"]: row["amount"] for row in api.get("/api/v1/costs")["rows"]} == {
            "Tester": 10.0, "Writer": 2.5,
        })  # fmt: skip
