"""A backend that does not keep up: senders are told to wait, and nothing of a refused request is used."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from bmad_processor.errors import Overloaded
from bmad_processor.model import Signal

from . import otlp
from .backends import Backend, http_backend
from .collectors import FAST, Api, embedded, eventually, to_grpc, write_config
from .otlp import GrpcClient, post, task_span


@pytest.mark.parametrize("full", ["queue_size", "max_bytes"])
def test_a_full_queue(tmp_path: Path, backend_endpoint: str, backend: Backend, full: str) -> None:
    # three bodies fit, one of them being sent
    body = otlp.tasks("Planner", 5)
    queue = {"queue_size": 3} if full == "queue_size" else {"max_bytes": 3 * len(body) + 10}
    backend.answer = Overloaded("not now", retry_after_s=0.05)
    second = Backend()
    with http_backend(second) as url:
        exporters = {
            "otlp_http/quick": {"endpoint": url, "sending_queue": {"num_consumers": 1}},
            "otlp_grpc/slow": to_grpc(backend_endpoint, sending_queue=queue),
        }
        # however long a busy machine takes, nothing is too late to be counted
        config = write_config(tmp_path, performance={**FAST, "allowed_lateness": "2m"}, exporters=exporters)
        with embedded(config) as collector, GrpcClient(collector.endpoints["otlp/grpc"]) as client:
            api = Api(collector.endpoints["api"])
            sent = [otlp.tasks("Planner", 5) for _ in range(3)]
            for each in sent:
                client.export(Signal.TRACES, each)
            eventually(lambda: second.received(Signal.TRACES) == b"".join(sent))

            error = client.refusal(Signal.TRACES, body)
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert "otlp_grpc/slow" in error.details()
            (detail,) = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"]).details
            info = RetryInfo()
            assert detail.Unpack(info)
            assert 1 <= info.retry_delay.seconds <= 30
            status, headers, answer = post(collector.endpoints["otlp/http"], Signal.TRACES, body)
            assert status == 503
            assert 1 <= int(headers["retry-after"]) <= 30
            assert Status.FromString(answer).code == grpc.StatusCode.UNAVAILABLE.value[0]

            # with an invalid span in it, a refused request is still refused as a whole
            half = otlp.traces([task_span("Planner", end_ns=1), otlp.Span(name="without ids")])
            assert post(collector.endpoints["otlp/http"], Signal.TRACES, half)[0] == 503

            # nothing half used: neither counted, nor passed on to the exporter that had room
            intake = api.intake()
            assert intake["refused_requests_full"] == 3
            assert intake["accepted_traces"] == 15
            assert intake.get("rejected_traces", 0) == 0
            eventually(lambda: api.tasks_of("Planner") == 15)
            assert second.received(Signal.TRACES) == b"".join(sent)

            backend.answer = None
            eventually(lambda: backend.received(Signal.TRACES) == b"".join(sent))
            # taken again as soon as there is room, and everything arrives once
            eventually(lambda: post(collector.endpoints["otlp/http"], Signal.TRACES, body)[0] == 200)
            eventually(lambda: api.tasks_of("Planner") == 20)
    assert backend.received(Signal.TRACES) == second.received(Signal.TRACES) == b"".join([*sent, body])


def test_one_full_queue_does_not_stop_other_signals(tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    backend.answer = Overloaded("not now", retry_after_s=0.05)
    exporters = {
        "otlp_grpc/slow": to_grpc(backend_endpoint, sending_queue={"queue_size": 1}),
        "file": {"path": str(tmp_path / "telemetry.json")},
    }
    path = write_config(tmp_path, exporters=exporters)
    tree = json.loads(path.read_text())
    tree["service"]["pipelines"]["logs"]["exporters"] = ["file"]
    path.write_text(json.dumps(tree))
    with embedded(path) as collector, GrpcClient(collector.endpoints["otlp/grpc"]) as client:
        client.export(Signal.TRACES, otlp.tasks("Planner", 1))
        assert client.refusal(Signal.TRACES, otlp.tasks("Planner", 1)).code() is grpc.StatusCode.UNAVAILABLE
        assert client.export(Signal.LOGS, otlp.logs()) == b""
        backend.answer = None
