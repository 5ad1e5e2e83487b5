"""What any sender sends arrives: counted by the collector, and byte for byte at the backends behind it."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from bmad_processor.model import Signal
from bmad_processor.run.collector import Collector

from . import otlp
from .backends import Backend, http_backend
from .collectors import FAST, Api, embedded, eventually, to_grpc, write_config
from .otlp import UNKNOWN_FIELD, GrpcClient, post


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    # the default lateness: SDKs hold spans back for seconds
    with embedded(write_config(tmp_path, performance={**FAST, "allowed_lateness": "6s"})) as running:
        yield running


@pytest.fixture
def api(collector: Collector) -> Api:
    return Api(collector.endpoints["api"])


SPAN_EXPORTERS: dict[str, Callable[[str], Any]] = {
    "grpc": lambda endpoint: GrpcSpans(endpoint=endpoint, insecure=True),
    "http": lambda endpoint: HttpSpans(endpoint=f"http://{endpoint}/v1/traces"),
}
METRIC_EXPORTERS: dict[str, Callable[[str], Any]] = {
    "grpc": lambda endpoint: GrpcMetrics(endpoint=endpoint, insecure=True),
    "http": lambda endpoint: HttpMetrics(endpoint=f"http://{endpoint}/v1/metrics"),
}


@pytest.fixture(autouse=True)
def _quiet_sdk() -> None:
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)


@pytest.mark.parametrize("protocol", SPAN_EXPORTERS)
def test_spans_of_a_plain_sdk(collector: Collector, api: Api, protocol: str) -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": "plain"}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(SPAN_EXPORTERS[protocol](collector.endpoints[f"otlp/{protocol}"])))
    tracer = provider.get_tracer("somebody.else")
    for _ in range(250):
        with tracer.start_as_current_span(
            "invoke_agent Planner",
            attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Planner"},
        ):
            pass
    with tracer.start_as_current_span("SELECT"):
        pass
    provider.shutdown()

    eventually(lambda: api.tasks_of("Planner") == 250)
    intake = api.intake()
    assert intake["accepted_traces"] == 251
    assert intake["unused_spans_not_agent_tasks"] == 1


@pytest.mark.parametrize("protocol", METRIC_EXPORTERS)
def test_cumulative_metrics_of_a_plain_sdk(collector: Collector, api: Api, protocol: str) -> None:
    exporter = METRIC_EXPORTERS[protocol](collector.endpoints[f"otlp/{protocol}"])
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=60_000)
    provider = MeterProvider([reader], Resource.create({"service.name": "plain"}), shutdown_on_exit=False)
    durations = provider.get_meter("somebody.else").create_histogram("gen_ai.invoke_agent.duration", unit="s")
    meant = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Planner"}
    for round_number in range(1, 4):
        for _ in range(10):
            durations.record(0.3, meant)
        durations.record(0.5, {**meant, "error.type": "ValueError"})
        provider.force_flush()
        # running totals: every export tells everything again, and is counted once
        eventually(lambda n=round_number: api.tasks_of("Planner") == 11 * n)
    provider.shutdown()

    row = api.agent("Planner")
    assert row is not None
    assert row["errors_total"] == 3
    assert row["error_rate"] == pytest.approx(100 / 11)


ONE = {"num_consumers": 1}
"""Keeps the order."""

BODIES = {
    Signal.TRACES: lambda: otlp.tasks("Planner", 3),
    Signal.METRICS: lambda: otlp.metrics(otlp.gauge("bmad.agent.queue.size", "Planner", [1.0, 2.0])),
    Signal.LOGS: lambda: otlp.logs(2),
}


@pytest.mark.parametrize("signal", list(Signal))
def test_bytes_are_passed_on_as_they_came(
    tmp_path: Path, backend_endpoint: str, backend: Backend, signal: Signal
) -> None:
    second = Backend()
    with http_backend(second) as url:
        exporters = {"otlp_grpc": to_grpc(backend_endpoint), "otlp_http": {"endpoint": url, "sending_queue": ONE}}
        with embedded(write_config(tmp_path, exporters=exporters)) as collector:
            sent = [BODIES[signal]() + UNKNOWN_FIELD for _ in range(5)]
            http_endpoint = collector.endpoints["otlp/http"]
            with GrpcClient(collector.endpoints["otlp/grpc"]) as client:
                assert client.export(signal, sent[0]) == b""
                assert client.export(signal, sent[1], is_gzip=True) == b""
            assert post(http_endpoint, signal, sent[2])[0] == 200
            assert post(http_endpoint, signal, gzip.compress(sent[3]), encoding="gzip")[0] == 200
            # a length is not announced by every sender
            assert post(http_endpoint, signal, iter([sent[4][:7], sent[4][7:]]))[0] == 200
            whole = b"".join(sent)
            eventually(lambda: len(backend.received(signal)) == len(second.received(signal)) == len(whole))
    assert backend.received(signal) == whole
    assert second.received(signal) == whole


def test_json_becomes_protobuf_on_its_way(tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    span = {
        "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174", "name": "invoke_agent Planner",
        "startTimeUnixNano": "1", "endTimeUnixNano": "2", "later": {"field": [1]},
    }  # fmt: skip
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    with embedded(write_config(tmp_path, exporters={"otlp_grpc": to_grpc(backend_endpoint)})) as collector:
        answer = post(collector.endpoints["otlp/http"], Signal.TRACES, body, content_type="application/json")
        assert (answer[0], answer[2]) == (200, b"{}")
        (passed_on,) = eventually(lambda: backend.bodies(Signal.TRACES))
    (resource,) = otlp.ExportTraceServiceRequest.FromString(passed_on).resource_spans
    assert resource.scope_spans[0].spans[0].trace_id.hex() == "5b8efff798038103d269b633813fc60c"


def test_the_file_has_a_line_for_every_request(tmp_path: Path) -> None:
    with embedded(write_config(tmp_path)) as collector, GrpcClient(collector.endpoints["otlp/grpc"]) as client:
        for signal in Signal:
            client.export(signal, BODIES[signal]())
    # stopped: everything acknowledged is in the file
    lines = [json.loads(line) for line in (tmp_path / "telemetry.json").read_text().splitlines()]
    assert [next(iter(line)) for line in lines][:3] == ["resourceSpans", "resourceMetrics", "resourceLogs"]
    assert len(lines[0]["resourceSpans"][0]["scopeSpans"][0]["spans"]) == 3


def test_stopping_delivers_what_was_acknowledged(tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    config = write_config(tmp_path, performance=FAST, exporters={"otlp_grpc": to_grpc(backend_endpoint)})
    with embedded(config) as collector, GrpcClient(collector.endpoints["otlp/grpc"]) as client:
        sent = [otlp.tasks("Planner", 10) for _ in range(100)]
        for body in sent:
            client.export(Signal.TRACES, body)
    assert backend.received(Signal.TRACES) == b"".join(sent)
