"""Whatever arrives, the collector answers it, counts it, stays within its bounds, and serves the others meanwhile."""

from __future__ import annotations

import gzip
import http.client
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from bmad_processor.model import Signal

from . import otlp
from .collectors import FAST, Api, Process, eventually, write_config
from .otlp import SECOND, GrpcClient, post, task_span

DAY_NS = 24 * 3600 * SECOND
MAX_AGENTS = 500


class GoodSender:
    """Sends tasks of one agent until it is told to stop; every one must be counted."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0
        self.sent_by_others = 0
        self.error: BaseException | None = None

    def _run(self) -> None:
        try:
            with GrpcClient(self._endpoint) as client:
                while not self._stop.is_set():
                    client.export(Signal.TRACES, otlp.tasks("Good", 5))
                    self.sent += 5
                    self._stop.wait(0.01)
        except BaseException as error:
            self.error = error

    def __enter__(self) -> GoodSender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


class Live:
    """A collector with a good sender at work."""

    def __init__(self, process: Process, sender: GoodSender, endpoints: dict[str, str]) -> None:
        self.process = process
        self.sender = sender
        self.grpc = endpoints["otlp/grpc"]
        self.http = endpoints["otlp/http"]
        self.api = Api(endpoints["api"])

    def engine(self) -> dict[str, int]:
        return dict(self.api.status()["engine"])


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """Checks afterwards that the process is up and that the good sender lost nothing."""
    performance = {
        **FAST, "allowed_lateness": "6s", "commit_interval": "1s",
        "limits": {"max_agents": MAX_AGENTS, "max_instances": 20, "max_streams": 50},
    }  # fmt: skip
    config = write_config(tmp_path, performance=performance, exporters={"debug": {}})
    with Process(config, log=tmp_path / "collector.log") as process:
        endpoints = process.endpoints()
        sender = GoodSender(endpoints["otlp/grpc"])
        running = Live(process, sender, endpoints)
        with sender:
            eventually(lambda: running.api.tasks_of("Good"))
            yield running
        assert sender.error is None
        assert process.is_running
        eventually(lambda: running.api.tasks_of("Good") == sender.sent + sender.sent_by_others)
        assert process.stop() == 0
        assert "Traceback" not in process.log


def test_garbage(live: Live) -> None:
    garbage = b"\xff" * 1000
    with GrpcClient(live.grpc) as client:
        for signal in Signal:
            assert client.refusal(signal, garbage).code() is grpc.StatusCode.INVALID_ARGUMENT
    for signal in Signal:
        status, _, body = post(live.http, signal, garbage)
        assert status == 400
        assert Status.FromString(body).code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
        assert post(live.http, signal, b'{"resourceSpans": 7', content_type="application/json")[0] == 400
        assert post(live.http, signal, otlp.logs(), content_type="text/plain")[0] == 415
        assert post(live.http, signal, gzip.compress(otlp.logs())[:-9], encoding="gzip")[0] == 400
        assert post(live.http, signal, otlp.logs(), encoding="gzip")[0] == 400
        assert post(live.http, signal, otlp.logs(), encoding="br")[0] == 415
    assert live.api.intake()["refused_requests_malformed"] >= 6
    receivers = live.api.status()["receivers"]
    assert receivers["otlp/grpc"] == {"refused_invalid_argument": 3}
    assert receivers["otlp/http"] == {"refused_400": 12, "refused_415": 6}


def test_too_large(live: Live) -> None:
    body = bytes(100 * 2**20)
    with GrpcClient(live.grpc) as client:
        error = client.refusal(Signal.TRACES, body)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-status-details-bin" not in dict(error.trailing_metadata()), "trying again cannot help"
    connection = http.client.HTTPConnection(live.http, timeout=30)
    try:
        connection.putrequest("POST", "/v1/traces")
        connection.putheader("Content-Type", "application/x-protobuf")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        assert connection.getresponse().status == 413, "refused by what it announces, before it is sent"
    finally:
        connection.close()
    # a gzip bomb is refused at the limit and costs no more than that
    before = psutil.Process(live.process.pid).memory_info().rss
    assert post(live.http, Signal.TRACES, gzip.compress(bytes(300 * 2**20), 1), encoding="gzip")[0] == 413
    assert psutil.Process(live.process.pid).memory_info().rss < before + 200 * 2**20
    assert live.api.status()["receivers"]["otlp/http"] == {"refused_413": 2}


def test_single_bad_spans(live: Live) -> None:
    now_ns = time.time_ns()
    good = [task_span("Mixed", end_ns=now_ns) for _ in range(10)]
    without_ids = [task_span("Mixed", end_ns=now_ns) for _ in range(3)]
    without_ids[0].trace_id = b""
    without_ids[1].span_id = b""
    without_ids[2].trace_id = bytes(16)
    body = otlp.traces([*without_ids[:2], *good, without_ids[2]])
    with GrpcClient(live.grpc) as client:
        partial = ExportTraceServiceResponse.FromString(client.export(Signal.TRACES, body)).partial_success
        assert partial.rejected_spans == 3
        assert partial.error_message
        status, _, answer = post(live.http, Signal.TRACES, body)
        assert status == 200
        assert ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans == 3
    eventually(lambda: live.api.tasks_of("Mixed") == 20)
    assert live.api.intake()["rejected_traces"] == 6


def test_values_that_are_no_numbers(live: Live) -> None:
    values = [math.nan, math.inf, -math.inf, 1e308, 7.0]
    body = otlp.metrics(otlp.gauge("bmad.agent.queue.size", "Odd", values))
    with GrpcClient(live.grpc) as client:
        assert client.export(Signal.METRICS, body) == b""
    eventually(lambda: live.api.agent("Odd"))
    assert live.api.intake()["unused_values_not_finite"] == 3
    live.api.get("/api/v1/agents/Odd")
    live.api.get("/api/v1/system-summary")


def test_clocks_that_jump(live: Live) -> None:
    now_ns = time.time_ns()
    with GrpcClient(live.grpc) as client:
        for shift_ns in (-DAY_NS, DAY_NS, -now_ns, 2**64 - 1 - now_ns):
            spans = [task_span("Jumpy", end_ns=now_ns + shift_ns) for _ in range(2)]
            assert client.export(Signal.TRACES, otlp.traces(spans)) == b""
        backwards = task_span("Jumpy", end_ns=now_ns)
        backwards.start_time_unix_nano = now_ns + DAY_NS
        assert client.export(Signal.TRACES, otlp.traces([backwards])) == b""
    engine = live.engine()
    # one count for what arrived together for one agent and pane
    assert (engine["late"], engine["future"], engine["without_time"]) == (1, 2, 1)
    # what is ahead or has no time counts as now; what is late does not count
    eventually(lambda: live.api.tasks_of("Jumpy") == 7)
    summary = live.api.get("/api/v1/agents/Jumpy")
    assert summary["last_seen"] < time.time() + 60


def test_names(live: Live) -> None:
    long, odd = "x" * 10_000, "Bad\n\x1b[31mName\x00\u202e"
    with GrpcClient(live.grpc) as client:
        client.export(Signal.TRACES, otlp.tasks(long, 2))
        client.export(Signal.TRACES, otlp.tasks(odd, 2))
        client.export(Signal.TRACES, otlp.tasks("", 2))
        client.export(Signal.TRACES, otlp.tasks("slash/in/name", 2))
    eventually(lambda: len(live.api.get("/api/v1/agents")["agents"]) == 5)
    names = {row["name"] for row in live.api.get("/api/v1/agents")["agents"]}
    assert {"Good", "slash/in/name", "bytes"} < names, "a task without an agent belongs to its service"
    assert max(map(len, names)) == 128
    assert all(name.isprintable() for name in names)
    assert live.api.intake()["cleaned_agent_names"] == 2
    assert live.api.get("/api/v1/agents/slash/in/name")["tasks_total"] == 2


@pytest.mark.long
def test_a_flood_of_agents_and_instances(live: Live) -> None:
    process = psutil.Process(live.process.pid)
    before = process.memory_info().rss
    with GrpcClient(live.grpc) as client:
        for request in range(100):
            at = time.time_ns()
            spans = [task_span(f"Agent{request}x{n}", end_ns=at) for n in range(1000)]
            client.export(Signal.TRACES, otlp.traces(spans))
        for instance in range(200):
            client.export(Signal.TRACES, otlp.tasks("Good", 5, instance=f"instance-{instance}"))
            live.sender.sent_by_others += 5
    engine = live.engine()
    assert engine["agents_folded"] >= 100_000 - MAX_AGENTS
    assert engine["instances_folded"] >= 180
    assert engine["partitions"] <= MAX_AGENTS + 1, "the overflow agent is one more"
    eventually(lambda: live.api.tasks_of("otel.overflow") >= 100_000 - MAX_AGENTS)
    assert sum(row["tasks_total"] for row in live.api.get("/api/v1/agents")["agents"]) >= 100_000
    row = live.api.agent("Good")
    assert row is not None
    assert row["instances"] <= 21
    assert process.memory_info().rss < before + 150 * 2**20
