"""The JavaScript SDK, as its documentation shows it, as a sender: every protocol, with and without compression."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bmad_processor.model import Signal
from tests.run.backends import Backend, grpc_backend
from tests.run.collectors import FAST, Api, Process, eventually, to_grpc, write_config

pytestmark = pytest.mark.integration

JS = Path(__file__).with_name("js")


def send(protocol: str, endpoint: str, compression: str) -> dict[str, Any]:
    """Runs the sender; what it says it sent."""
    done = subprocess.run(
        ["node", "send.mjs", protocol, endpoint, compression], cwd=JS, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    # whatever the SDK has to complain about is on standard error
    assert done.stderr == ""
    return dict(json.loads(done.stdout))


def trace_ids(requests: Iterable[ExportTraceServiceRequest]) -> Iterator[str]:
    for request in requests:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    yield span.trace_id.hex()


def trace_ids_in_file(path: Path) -> Iterator[str]:
    for line in path.read_text().splitlines():
        for resource in json.loads(line).get("resourceSpans", ()):
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    yield span["traceId"]


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf", "http/json"])
def test_everything_arrives(tmp_path: Path, protocol: str, compression: str) -> None:
    backend = Backend()
    file = tmp_path / "telemetry.json"
    with grpc_backend(backend) as backend_endpoint:
        config = write_config(
            tmp_path,
            performance={**FAST, "allowed_lateness": "6s"},
            exporters={"otlp_grpc": to_grpc(backend_endpoint), "file": {"path": str(file)}},
        )
        with Process(config, log=tmp_path / "collector.log") as collector:
            endpoints = collector.endpoints()
            api = Api(endpoints["api"])
            told = send(protocol, endpoints["otlp/grpc" if protocol == "grpc" else "otlp/http"], compression)

            for agent in ("NodeSpanAgent", "NodeMetricAgent"):
                eventually(lambda name=agent: api.tasks_of(name) == told["tasks"])
                row = api.agent(agent)
                assert row is not None
                assert row["errors_total"] == told["errors"]
                assert row["instances"] == 1
            intake = api.intake()
            assert intake["accepted_traces"] == told["tasks"]
            assert intake["accepted_metrics"] == 3, "two histogram points and the size of the queue"
            assert intake["accepted_logs"] == told["logs"]
            refused = {name: n for name, n in intake.items() if name.startswith(("refused", "rejected", "dropped"))}
            assert not any(refused.values()), refused
            assert collector.stop() == 0
        assert "Traceback" not in collector.log
    sent = sorted(told["traceIds"])
    assert sorted(trace_ids(map(ExportTraceServiceRequest.FromString, backend.bodies(Signal.TRACES)))) == sent
    assert sorted(trace_ids_in_file(file)) == sent
    assert len(backend.bodies(Signal.LOGS)) >= 1
    assert len(backend.bodies(Signal.METRICS)) >= 1


def test_the_lock_file_names_no_registry() -> None:
    """Whoever installs uses their own registry."""
    text = (JS / "package-lock.json").read_text()
    assert '"integrity"' in text
    assert "resolved" not in text
    assert "://" not in "".join(line for line in text.splitlines() if "url" not in line)
