"""A collector whose exporter keeps its queue on disk: acknowledged means there, and it goes out after a restart."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bmad_processor.errors import Overloaded
from bmad_processor.model import Signal

from . import otlp
from .backends import Backend
from .collectors import Api, embedded, eventually, to_grpc, write_config
from .lossless import CountingBackend, Load
from .otlp import GrpcClient, post

HOUR_NS = 3600 * 10**9


def durable(folder: Path, backend: str) -> Path:
    return write_config(folder, exporters={"otlp_grpc": to_grpc(backend, sending_queue={"storage": "sqlite"})})


def test_what_was_acknowledged_goes_out_after_a_restart(
    tmp_path: Path, backend_endpoint: str, backend: Backend
) -> None:
    backend.answer = Overloaded("not now", retry_after_s=60)
    config = durable(tmp_path, backend_endpoint)
    sent = [otlp.tasks("Planner", 3) for _ in range(4)]
    with embedded(config) as collector:
        with GrpcClient(collector.endpoints["otlp/grpc"]) as client:
            client.export(Signal.TRACES, sent[0])
            client.export(Signal.TRACES, sent[1])
        for body in sent[2:]:
            assert post(collector.endpoints["otlp/http"], Signal.TRACES, body)[0] == 200
        eventually(lambda: Api(collector.endpoints["api"]).tasks_of("Planner") == 12)
    assert backend.received(Signal.TRACES) == b""
    backend.answer = None
    with embedded(config) as collector:
        eventually(lambda: len(backend.received(Signal.TRACES)) == sum(map(len, sent)))
        exporter = Api(collector.endpoints["api"]).status()["exporters"]["otlp_grpc"]
        assert exporter["recovered_requests"] >= 4
        eventually(lambda: collector.status()["exporters"]["otlp_grpc"]["queue_requests"] == 0)
    assert backend.received(Signal.TRACES) == b"".join(sent)
    assert not list(tmp_path.glob("*.queue-*"))


def test_the_queue_of_an_exporter_that_is_gone_stays_and_is_named(
    tmp_path: Path, backend_endpoint: str, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answer = Overloaded("not now", retry_after_s=60)
    with embedded(durable(tmp_path, backend_endpoint)) as collector:
        post(collector.endpoints["otlp/http"], Signal.LOGS, otlp.logs())
    (left,) = tmp_path.glob("*.queue-*.db")
    with embedded(write_config(tmp_path)):
        pass
    assert left.exists()
    assert f"{left} is the queue of an exporter that is not there any more" in caplog.text


def test_a_clock_set_back_by_an_hour_holds_nothing_up(tmp_path: Path) -> None:
    offset_ns = 0
    with CountingBackend() as backend:
        config = durable(tmp_path, backend.endpoint)
        with embedded(config, clock=lambda: time.time_ns() + offset_ns) as collector:
            with Load(collector.endpoints["otlp/grpc"]) as load:
                eventually(lambda: len(load.acknowledged) > 50)
                offset_ns = -HOUR_NS
                before = len(load.acknowledged)
                eventually(lambda: len(load.acknowledged) > before + 50)
            eventually(lambda: load.acknowledged <= backend.arrived.keys(), timeout_s=5)
        assert set(backend.arrived.values()) == {1}
