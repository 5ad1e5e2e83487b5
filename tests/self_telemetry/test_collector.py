"""A running collector about itself, asked from outside."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from bmad_processor.errors import Overloaded, StartError
from bmad_processor.model import Signal
from bmad_processor.receive import Accepted
from bmad_processor.run.collector import Collector
from tests.run import otlp
from tests.run.backends import Backend, grpc_backend, http_backend
from tests.run.collectors import Api, Process, embedded, eventually, to_grpc, write_config
from tests.run.otlp import GrpcClient, post


def with_service(
    path: Path,
    *,
    metrics: dict[str, Any] | None = None,
    logs: dict[str, Any] | None = None,
    extensions: dict[str, Any] | None = None,
    memory_limiter: dict[str, Any] | None = None,
) -> Path:
    """The configuration with other telemetry, more extensions, and a memory limiter for traces."""
    tree = json.loads(path.read_text())
    tree["service"]["telemetry"] = {"metrics": metrics or {"level": "none"}, "logs": logs or {}}
    for name, block in (extensions or {}).items():
        tree["extensions"][name] = block
        tree["service"]["extensions"].append(name)
    if memory_limiter is not None:
        tree["processors"]["memory_limiter"] = memory_limiter
        tree["service"]["pipelines"]["traces"]["processors"].insert(0, "memory_limiter")
    path.write_text(json.dumps(tree))
    return path


PAGE = {"readers": [{"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": 0}}}}]}
HEALTH = {"health_check": {"endpoint": "127.0.0.1:0"}}


def get(endpoint: str, path: str, **headers: str) -> tuple[int, str, bytes]:
    """Status, content type and body."""
    connection = http.client.HTTPConnection(endpoint, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers.get("content-type", ""), response.read()
    finally:
        connection.close()


def scrape(endpoint: str, path: str = "/metrics") -> dict[str, dict[tuple[str, ...], float]]:
    """Name to label values to number."""
    status, _, body = get(endpoint, path)
    assert status == 200, body
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in parse_text(body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def health(endpoint: str, path: str = "/ready") -> tuple[int, list[str]]:
    """Status and the reasons."""
    status, _, body = get(endpoint, path)
    return status, [trouble["reason"] for trouble in json.loads(body)["troubles"]]


def test_what_was_received_and_sent_is_on_the_page(tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    config = with_service(write_config(tmp_path, exporters={"otlp_grpc": to_grpc(backend_endpoint)}), metrics=PAGE)
    with embedded(config) as collector, GrpcClient(collector.endpoints["otlp/grpc"]) as client:
        client.export(Signal.TRACES, otlp.tasks("Planner", 3))
        client.export(Signal.LOGS, otlp.logs(2))
        assert post(collector.endpoints["otlp/http"], Signal.TRACES, otlp.tasks("Planner", 4))[0] == 200
        assert post(collector.endpoints["otlp/http"], Signal.TRACES, b"not protobuf")[0] == 400
        eventually(lambda: len(backend.bodies(Signal.TRACES)) == 2 and backend.bodies(Signal.LOGS))
        page = collector.endpoints["telemetry/prometheus"]
        eventually(lambda: scrape(page)["otelcol_exporter_sent_spans_total"] == {("otlp_grpc",): 7})
        found = scrape(page)
        assert found["otelcol_receiver_accepted_spans_total"] == {("otlp", "grpc"): 3, ("otlp", "http"): 4}
        assert found["otelcol_receiver_accepted_log_records_total"][("otlp", "grpc")] == 2
        assert found["otelcol_receiver_requests_total"][("otlp", "grpc", "success")] == 2
        assert found["otelcol_receiver_requests_total"][("otlp", "http", "failure")] == 1
        assert found["bmad_receiver_refused_requests_total"] == {("otlp", "http", "400"): 1}
        assert found["otelcol_exporter_queue_capacity"][("otlp_grpc",)] > 0
        assert found["otelcol_processor_incoming_items_total"][("agent_performance", "traces")] == 7
        assert found["otelcol_process_memory_rss_bytes"][()] > 1e7
        assert found["otelcol_process_uptime_seconds_total"][()] > 0
        assert found["bmad_engine_partitions"] == {(): 1}
        assert found["bmad_health_ready"] == {(): 1}
        # the page of the API has histograms and agents as well
        api = collector.endpoints["api"]
        more = eventually(lambda: found if "bmad_agent_tasks_total" in (found := scrape(api)) else None)
        assert more["bmad_agent_tasks_total"] == {("Planner", ""): 7}
        assert more["bmad_receiver_request_duration_seconds_count"][("otlp", "grpc")] == 2
        assert "bmad_agent_tasks_total" not in scrape(api, "/metrics?agents=false")
        assert get(api, "/metrics", Accept="application/openmetrics-text")[2].endswith(b"# EOF\n")
        assert get(page, "/elsewhere")[0] == 404


def test_commits_and_joins_and_what_is_not_said_yet(tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    backend.answer = Overloaded("not now", retry_after_s=0.05)
    config = write_config(tmp_path, exporters={"otlp_grpc": to_grpc(backend_endpoint)})
    with embedded(config) as collector, GrpcClient(collector.endpoints["otlp/grpc"]) as client:
        api = collector.endpoints["api"]
        for _ in range(5):
            client.export(Signal.TRACES, otlp.tasks("Planner", 20, is_error=True))
        eventually(lambda: scrape(api).get("bmad_notification_log_unsent", {(): 0})[()] >= 1)
        backend.answer = None
        eventually(lambda: scrape(api)["bmad_notification_log_unsent"] == {(): 0})
        eventually(lambda: scrape(api)["otelcol_exporter_queue_size"] == {("otlp_grpc",): 0})
        found = scrape(api)
        calls = found["bmad_exporter_counts_total"][("otlp_grpc", "calls")]
        assert found["bmad_exporter_joined_requests_count"] == {("otlp_grpc",): calls}
        assert found["bmad_exporter_joined_requests_sum"][("otlp_grpc",)] >= calls
        assert found["bmad_commit_duration_seconds_count"][()] >= 1
        assert 0 < found["bmad_commit_duration_seconds_sum"][()] < 60
        assert found["bmad_commit_failures_total"] == {(): 0}


def test_refused_and_lost_are_told_apart(tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    backend.answer = Overloaded("not now", retry_after_s=30)
    exporters = {"otlp_grpc": to_grpc(backend_endpoint, sending_queue={"queue_size": 1})}
    config = with_service(write_config(tmp_path, exporters=exporters), metrics=PAGE)
    with embedded(config) as collector, GrpcClient(collector.endpoints["otlp/grpc"]) as client:
        client.export(Signal.TRACES, otlp.tasks("Planner", 3))
        client.refusal(Signal.TRACES, otlp.tasks("Planner", 2))
        found = scrape(collector.endpoints["telemetry/prometheus"])
        assert found["otelcol_receiver_accepted_spans_total"][("otlp", "grpc")] == 3
        assert found["otelcol_receiver_refused_spans_total"][("otlp", "grpc")] == 2
        assert found["otelcol_exporter_enqueue_failed_spans_total"] == {("otlp_grpc",): 2}
        assert found["otelcol_receiver_requests_total"][("otlp", "grpc", "refused")] == 1
        assert found["bmad_receiver_refused_requests_total"] == {("otlp", "grpc", "unavailable"): 1}
        backend.answer = None


def test_metrics_are_pushed_under_a_name_of_our_own_and_never_received(tmp_path: Path) -> None:
    got: list[bytes] = []

    class Recorder(Backend):
        def consume(self, signal: Signal, body: bytes) -> Accepted:
            got.append(body)
            return super().consume(signal, body)

    with http_backend(Recorder()) as url:
        push = {"interval": 200, "exporter": {"otlp": {"endpoint": f"{url}/v1/metrics", "headers": [
            {"name": "x-key", "value": "k"}]}}}  # fmt: skip
        config = with_service(write_config(tmp_path), metrics={"readers": [{"periodic": push}]})
        with embedded(config) as collector:
            Api(collector.endpoints["api"]).get("/api/v1/status")
            eventually(lambda: len(got) >= 2)
            accepted = collector.status()["intake"]
    request = ExportMetricsServiceRequest.FromString(got[-1])
    resource = request.resource_metrics[-1]  # at the end two pushes may leave as one
    attributes = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert attributes["service.name"] == "bmad-otel-collector"
    assert set(attributes) == {"service.name", "service.version", "service.instance.id"}
    metrics = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    uptime = metrics["otelcol_process_uptime"]
    assert uptime.unit == "s"
    assert uptime.sum.is_monotonic
    assert uptime.sum.data_points[0].as_double > 0
    assert uptime.sum.data_points[0].start_time_unix_nano > 0
    assert metrics["otelcol_process_memory_rss"].gauge.data_points[0].as_int > 0
    assert not any(name.startswith("accepted") for name in accepted), "it passes no receiver"


@contextmanager
def listening(port: int = 0) -> Iterator[int]:
    """A port that somebody else has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_configured_page_must_get_its_port(tmp_path: Path) -> None:
    with listening() as port:
        page = {"readers": [{"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": port}}}}]}
        with pytest.raises(StartError, match=str(port)), embedded(with_service(write_config(tmp_path), metrics=page)):
            pass


def test_two_collectors_that_nobody_configured_run_beside_each_other(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    default = {"level": "normal"}
    with (
        embedded(with_service(write_config(tmp_path / "a"), metrics=default)) as one,
        embedded(with_service(write_config(tmp_path / "b"), metrics=default)) as two,
    ):
        pages = [c.endpoints.get("telemetry/prometheus") for c in (one, two)]
        # at most one of them has it: another program may have the port
        assert pages.count(None) >= 1
        if pages[0] is not None:
            assert pages[0] == "localhost:8888"
            _, _, body = get(pages[0], "/metrics")
            assert b"\notelcol_process_uptime " in body, "the Collector's bare names"


def test_health_says_why_not(tmp_path: Path) -> None:
    path = with_service(write_config(tmp_path), extensions=HEALTH, memory_limiter={"limit_mib": 10_000})
    with embedded(path) as collector:
        endpoint, api = collector.endpoints["health_check"], collector.endpoints["api"]
        assert health(endpoint) == (200, [])
        assert health(endpoint, "/") == (200, [])
        body = json.loads(get(endpoint, "/")[2])
        assert body["status"] == "Server available"
        assert set(body) == {"status", "upSince", "uptime", "troubles"}
        limiter = graph_of(collector).processors.parts["memory_limiter"]
        limiter.is_limited = True  # type: ignore[attr-defined]
        assert health(endpoint) == (503, ["memory_limited"])
        assert get(api, "/health/ready")[0] == 503
        assert health(endpoint, "/live") == (200, [])
        assert get(api, "/health/live")[0] == 200
        with GrpcClient(collector.endpoints["otlp/grpc"]) as client:
            assert "short of memory" in client.refusal(Signal.TRACES, otlp.tasks("Planner", 1)).details()
            status, headers, _ = post(collector.endpoints["otlp/http"], Signal.TRACES, otlp.tasks("Planner", 1))
            assert status == 503
            assert int(headers["retry-after"]) >= 1
            client.export(Signal.LOGS, otlp.logs())  # its pipeline does not name the limiter
            limiter.is_limited = False  # type: ignore[attr-defined]
            client.export(Signal.TRACES, otlp.tasks("Planner", 1))
        assert health(endpoint) == (200, [])


def test_an_exporter_that_cannot_deliver_is_reported_and_not_held_against_us(
    tmp_path: Path, backend_endpoint: str, backend: Backend
) -> None:
    backend.answer = Overloaded("not now", retry_after_s=0.05)
    path = write_config(tmp_path, exporters={"otlp_grpc": to_grpc(backend_endpoint)})
    with embedded(with_service(path, extensions=HEALTH)) as collector:
        endpoint = collector.endpoints["health_check"]
        with GrpcClient(collector.endpoints["otlp/grpc"]) as client:
            client.export(Signal.TRACES, otlp.tasks("Planner", 1))
        eventually(lambda: health(endpoint) == (200, ["cannot_deliver"]))
        backend.answer = None
        eventually(lambda: health(endpoint) == (200, []))


def graph_of(collector: Collector) -> Any:
    return collector._graph


def test_health_answers_while_the_engine_is_busy(tmp_path: Path) -> None:
    with embedded(with_service(write_config(tmp_path), extensions=HEALTH)) as collector:
        host = graph_of(collector).engine.host
        with host._lock:
            assert health(collector.endpoints["health_check"]) == (200, [])
            assert get(collector.endpoints["api"], "/health/ready")[0] == 200


def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with embedded(with_service(write_config(tmp_path), extensions=HEALTH)) as collector:
        endpoint = collector.endpoints["health_check"]
        host = graph_of(collector).engine.host
        host.trouble = "database or disk is full"
        assert health(endpoint) == (503, ["not_writable"])
        # the next commit that succeeds takes it back
        with GrpcClient(collector.endpoints["otlp/grpc"]) as client:
            client.export(Signal.TRACES, otlp.tasks("Planner", 1))
        eventually(lambda: health(endpoint) == (200, []))


def test_the_log_of_a_process_is_one_object_per_line_and_has_no_secret(tmp_path: Path) -> None:
    secret = "s3cr3t-t0ken"
    with listening() as port, grpc_backend(Backend()):
        # nobody speaks gRPC there
        exporter = to_grpc(f"127.0.0.1:{port}", headers={"authorization": secret}, timeout="200ms")
        path = write_config(tmp_path, exporters={"otlp_grpc": exporter})
        logs = {"encoding": "json", "level": "debug", "initial_fields": {"site": "north"}}
        config = with_service(path, logs=logs, extensions=HEALTH)
        with Process(config, log=tmp_path / "log") as process:
            lines = eventually(lambda: [json.loads(x) for x in process.log.splitlines() if '"ready: ' in x])
            endpoints = dict(part.rsplit(" ", 1) for part in lines[0]["msg"].removeprefix("ready: ").split(", "))
            assert lines[0]["site"] == "north"
            with GrpcClient(endpoints["otlp/grpc"]) as client:
                client.export(Signal.TRACES, otlp.tasks("Planner", 1))
                eventually(lambda: "cannot deliver" in process.log)
            process.stop()
            every = [json.loads(line) for line in process.log.splitlines()]
        failed = next(line for line in every if "cannot deliver" in line["msg"])
        assert (failed["level"], failed["component"]) == ("warn", "otlp_grpc")
        assert all({"ts", "level", "logger", "msg"} <= set(line) for line in every)
        assert secret not in process.log
