"""Another configuration for a collector of several processes that runs."""

from __future__ import annotations

import json
import signal as signals
import socket
from pathlib import Path
from typing import Any

import pytest

from bmad_processor.config import load_config
from bmad_processor.errors import ReloadRefused, StartError
from bmad_processor.model import Signal
from tests.run import otlp
from tests.run.backends import Backend, grpc_backend
from tests.run.collectors import FAST, Api, Process, eventually, to_grpc
from tests.run.otlp import GrpcClient, post

from .several import pids, supervised, write_workers
from .test_workers import put, span_ids


def edit(path: Path, **sections: Any) -> Path:
    tree = json.loads(path.read_text())
    for name, content in sections.items():
        tree[name].update(content)
    path.write_text(json.dumps(tree))
    return path


def test_workers_take_it_without_a_restart(tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    path = write_workers(tmp_path, 2, exporters={"otlp_grpc": to_grpc(backend_endpoint)})
    other = Backend()
    with grpc_backend(other) as other_endpoint, supervised(path) as collector:
        api = Api(collector.endpoints["api"])
        before = pids(api.status())
        strict = {"thresholds": {"error_rate": {"warning": "1%"}}}
        assert put(api.endpoint, "/api/v1/profiles/A", strict) == 200
        grpc, http = collector.endpoints["otlp/grpc"], collector.endpoints["otlp/http"]
        with GrpcClient(grpc) as client:
            client.export(Signal.TRACES, otlp.tasks("A", 1))
            # another backend, and one protocol less
            edit(path, exporters={"otlp_grpc": to_grpc(other_endpoint)})
            edit(path, receivers={"otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}}})
            collector.reload(load_config([path]))
            assert collector.endpoints["otlp/grpc"] == grpc, "whoever asked for any port keeps the one he has"
            with pytest.raises(OSError, match="refused"):
                post(http, Signal.TRACES, b"")
            sent: list[bytes] = []
            for n in range(20):
                body = otlp.tasks(f"A{n}", 1)
                sent += span_ids(body)
                with GrpcClient(grpc) as another:
                    another.export(Signal.TRACES, body)
        status = api.status()
        assert pids(status) == before
        assert [worker["restarts"] for worker in status["workers"]] == [0, 0]
        assert status["config"]["generation"] == 2
        assert all(worker["status"]["config"]["generation"] == 2 for worker in status["workers"])
        assert status["profiles"]["registered"] == ["A"], "what a program registered stays"
        eventually(lambda: {s for b in other.bodies(Signal.TRACES) for s in span_ids(b)} == set(sent))
        assert len(backend.bodies(Signal.TRACES)) == 1


def test_what_one_worker_cannot_start_none_has(tmp_path: Path) -> None:
    path = write_workers(tmp_path, 2)
    with supervised(path) as collector, socket.socket() as taken:
        api = Api(collector.endpoints["api"])
        endpoints = dict(collector.endpoints)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        text = path.read_text()
        wrong: list[dict[str, Any]] = [
            {"exporters": {"file": {"path": str(tmp_path / "nowhere" / "t.json")}}},
            {"receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{taken.getsockname()[1]}"}}}}},
            {"extensions": {"api": {"endpoint": f"127.0.0.1:{taken.getsockname()[1]}"}}},
        ]
        for change in wrong:
            path.write_text(text)
            edit(path, **change)
            with pytest.raises(StartError):
                collector.reload(load_config([path]))
            assert {name: at for name, at in collector.endpoints.items() if name != "api"} == {
                name: at for name, at in endpoints.items() if name != "api"
            }
            api = Api(collector.endpoints["api"])
            for n in range(4):
                with GrpcClient(endpoints["otlp/grpc"]) as client:
                    client.export(Signal.TRACES, otlp.tasks(f"A{n}", 1))
            assert api.status()["config"]["generation"] == 1
        assert [api.tasks_of(f"A{n}") for n in range(4)] == [3] * 4


def test_the_number_of_workers_and_the_store_need_a_restart(tmp_path: Path) -> None:
    path = write_workers(tmp_path, 2)
    with supervised(path) as collector:
        edit(path, service={"workers": 3})
        with pytest.raises(ReloadRefused, match=r"the number of workers \(2\) cannot become 3"):
            collector.reload(load_config([path]))
        edit(path, service={"workers": 2}, extensions={"sqlite": {"path": str(tmp_path / "other.db")}})
        with pytest.raises(ReloadRefused, match="the store cannot be exchanged"):
            collector.reload(load_config([path]))


@pytest.mark.faults
def test_a_signal_reloads_all(tmp_path: Path) -> None:
    path = write_workers(tmp_path, 2)
    with Process(path, log=tmp_path / "log") as collector:
        api = Api(collector.endpoints()["api"])
        edit(
            path, processors={"agent_performance": {**FAST, "profiles": ["everyone.yaml"], "commit_interval": "200ms"}}
        )
        collector.signal(signals.SIGHUP)
        eventually(lambda: api.status()["config"]["generation"] == 2)
        path.write_text("{")
        collector.signal(signals.SIGHUP)
        eventually(lambda: api.status()["config"]["reloads"]["rejected"] == 1)
        assert all(worker["is_listening"] for worker in api.status()["workers"])
        assert collector.stop() == 0
