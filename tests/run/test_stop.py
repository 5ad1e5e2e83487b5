"""Ending: within the deadline whatever the backends do, and at once when asked twice."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bmad_processor.model import Signal
from bmad_processor.run.graph import STOP_DEADLINE_S

from . import otlp
from .collectors import FAST, Api, Process, eventually, to_grpc, write_config
from .otlp import GrpcClient


@pytest.fixture
def silent_endpoint() -> Iterator[str]:
    """A backend that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def _dead_backends(tmp_path: Path, silent_endpoint: str) -> Path:
    exporters = {
        "otlp_grpc/refused": to_grpc("127.0.0.1:1"),
        "otlp_grpc/silent": to_grpc(silent_endpoint, timeout="60s"),
        "otlp_http/silent": {"endpoint": f"http://{silent_endpoint}", "timeout": "60s"},
    }
    return write_config(tmp_path, performance={**FAST, "commit_interval": "1m"}, exporters=exporters)


def _fill(process: Process) -> Api:
    endpoints = process.endpoints()
    with GrpcClient(endpoints["otlp/grpc"]) as client:
        for _ in range(3):
            client.export(Signal.TRACES, otlp.tasks("Planner", 5))
    return Api(endpoints["api"])


@pytest.mark.long
def test_dead_backends_do_not_hold_up_the_end(tmp_path: Path, silent_endpoint: str) -> None:
    config = _dead_backends(tmp_path, silent_endpoint)
    with Process(config, log=tmp_path / "log") as process:
        _fill(process)
        began_s = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - began_s < STOP_DEADLINE_S + 3
        for name in ("otlp_grpc/refused", "otlp_grpc/silent", "otlp_http/silent"):
            assert f"exporter {name}: 15 items were not delivered at shutdown" in process.log
        assert "Traceback" not in process.log
    # what was learned was written before the exporters were waited for
    with Process(config, log=tmp_path / "log") as process:
        api = Api(process.endpoints()["api"])
        assert api.tasks_of("Planner") == 15
        process.signal(signal.SIGTERM)
        assert process.wait() == 0


def test_asked_twice_it_ends_at_once(tmp_path: Path, silent_endpoint: str) -> None:
    with Process(_dead_backends(tmp_path, silent_endpoint), log=tmp_path / "log") as process:
        _fill(process)
        process.signal(signal.SIGINT)
        eventually(lambda: "stopping" in process.log)
        began_s = time.monotonic()
        process.signal(signal.SIGINT)
        assert process.wait() == 128 + signal.SIGINT
        assert time.monotonic() - began_s < 2


def test_a_sender_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with Process(write_config(tmp_path), log=tmp_path / "log") as process:
        host, _, port = process.endpoints()["otlp/http"].rpartition(":")
        with socket.create_connection((host, int(port))) as connection:
            head = ("POST /v1/traces HTTP/1.1", "Host: x", "Content-Type: application/x-protobuf", "Content-Length: 9")
            connection.sendall("\r\n".join((*head, "", "half")).encode())
            began_s = time.monotonic()
            assert process.stop() == 0
        assert time.monotonic() - began_s < STOP_DEADLINE_S
