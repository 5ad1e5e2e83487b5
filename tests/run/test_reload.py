"""A configuration changed while the collector runs: only what differs is touched, and a bad one changes nothing."""

from __future__ import annotations

import json
import logging
import os
import pty
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bmad_processor.config import load_config
from bmad_processor.errors import ConfigError, Overloaded, ReloadRefused, StartError
from bmad_processor.model import Signal
from bmad_processor.run.collector import Collector

from . import otlp
from .backends import Backend, grpc_backend
from .collectors import FAST, PROGRAM, Api, Process, embedded, eventually, to_grpc, write_config
from .otlp import GrpcClient, post

Edit = Callable[[dict[str, Any]], None]


def edit(path: Path, change: Edit) -> Path:
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))
    return path


def reload(collector: Collector, path: Path, change: Edit) -> list[str]:
    return collector.reload(load_config([edit(path, change)]))


def ids(bodies: list[bytes]) -> list[bytes]:
    """Span ids in the order they arrived, doubles included."""
    return [
        span.span_id
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def backend() -> Iterator[tuple[Backend, str]]:
    kept = Backend()
    with grpc_backend(kept) as endpoint:
        yield kept, endpoint


def test_nothing_differs(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    with embedded(path) as collector:
        before = collector.endpoints
        assert reload(collector, path, lambda tree: None) == []
        status = collector.status()["config"]
        assert collector.endpoints == before
        assert status["generation"] == 2
        assert status["reloads"] == {"applied": 1, "rejected": 0, "refused": 0, "failed": 0}
        assert status["last_reload"]["outcome"] == "applied"


def test_connections_alerts_and_baselines_stay(tmp_path: Path) -> None:
    """Also over a change of the interval, for which the engine starts again from the store."""
    now_ns = 1_700_000_000 * otlp.SECOND
    path = write_config(tmp_path)
    with embedded(path, clock=lambda: now_ns) as collector:
        api = Api(collector.endpoints["api"])
        with GrpcClient(collector.endpoints["otlp/grpc"]) as client:

            def pane(is_error: bool, n: int = 10) -> None:
                nonlocal now_ns
                client.export(Signal.TRACES, otlp.tasks("Planner", n, end_ns=now_ns, is_error=is_error))
                api.intake()  # the engine has it before the clock moves on
                now_ns += otlp.SECOND

            for _ in range(6):
                pane(is_error=False)
            for _ in range(4):
                pane(is_error=True)
            eventually(api.alerts)
            before = api.alerts()
            assert {alert["status"] for alert in before} == {"firing"}
            assert api.tasks_of("Planner") == 100

            def cooldown(tree: dict[str, Any]) -> None:
                tree["processors"]["agent_performance"]["alerts"]["cooldown"] = "1h"
                tree["processors"]["agent_performance"]["history"] = {"size": 10}
                tree["processors"]["agent_performance"]["commit_interval"] = "200ms"

            assert reload(collector, path, cooldown) == ["engine changed"]
            assert [a["alert_id"] for a in api.alerts()] == [a["alert_id"] for a in before]

            def interval(tree: dict[str, Any]) -> None:
                tree["processors"]["agent_performance"]["monitoring_interval"] = "3s"

            assert reload(collector, path, interval) == ["engine changed"]
            assert [a["alert_id"] for a in api.alerts()] == [a["alert_id"] for a in before]
            assert api.tasks_of("Planner") == 100
            pane(is_error=True)  # over the connection of before
            assert api.tasks_of("Planner") == 110
            assert {alert["status"] for alert in api.alerts()} == {"firing"}


def test_a_profile_directory_is_exchanged(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    (tmp_path / "strict.yaml").write_text("agent: Planner\nthresholds: {error_rate: {warning: 1%}}\n")
    with embedded(path) as collector:

        def profiles(tree: dict[str, Any]) -> None:
            tree["processors"]["agent_performance"]["profiles"] = ["everyone.yaml", "strict.yaml"]

        assert reload(collector, path, profiles) == ["engine changed"]
        assert collector.status()["profiles"]["files"] == 2


def test_a_queue_stays_while_its_backend_is_down(tmp_path: Path) -> None:
    """An exporter that did not change keeps what waits; one that did hands it to its successor, in order."""
    dead = f"127.0.0.1:{free_port()}"
    kept, moved = Backend(), Backend()
    exporters = {"otlp_grpc/moved": to_grpc(dead), "otlp_grpc/kept": to_grpc(dead)}
    path = write_config(tmp_path, exporters=exporters)
    with grpc_backend(moved) as endpoint, embedded(path) as collector:
        sent = []
        with GrpcClient(collector.endpoints["otlp/grpc"]) as client:
            for n in range(5):
                body = otlp.tasks("Planner", n + 1)
                client.export(Signal.TRACES, body)
                sent.append(body)

        def move(tree: dict[str, Any]) -> None:
            tree["exporters"]["otlp_grpc/moved"]["endpoint"] = endpoint

        assert reload(collector, path, move) == ["exporter otlp_grpc/moved changed"]
        expected = sorted(ids(sent))
        eventually(lambda: sorted(ids(moved.bodies(Signal.TRACES))) == expected)
        assert collector.status()["exporters"]["otlp_grpc/kept"]["queue_requests"] >= 5
        with grpc_backend(kept, at=dead):
            eventually(lambda: sorted(ids(kept.bodies(Signal.TRACES))) == expected)
            eventually(lambda: collector.status()["exporters"]["otlp_grpc/kept"]["queue_requests"] == 0)


@pytest.mark.parametrize("way", ["memory to disk", "disk to disk", "disk to memory and back"])
def test_a_durable_queue_is_handed_over(tmp_path: Path, way: str, backend: tuple[Backend, str]) -> None:
    kept, endpoint = backend
    stored, plain = {"sending_queue": {"storage": "sqlite"}}, {"sending_queue": {}}
    before = plain if way.startswith("memory") else stored
    path = write_config(tmp_path, exporters={"otlp_grpc": to_grpc(f"127.0.0.1:{free_port()}", **before)})
    with embedded(path) as collector:
        sent = [otlp.tasks("Planner", n + 1) for n in range(5)]
        with GrpcClient(collector.endpoints["otlp/grpc"]) as client:
            for body in sent:
                client.export(Signal.TRACES, body)
        if way.endswith("back"):

            def to_memory(tree: dict[str, Any]) -> None:
                tree["exporters"]["otlp_grpc"] |= plain

            reload(collector, path, to_memory)

        def alive(tree: dict[str, Any]) -> None:
            tree["exporters"]["otlp_grpc"] |= {"endpoint": endpoint, **stored}

        said = reload(collector, path, alive)
        assert "exporter otlp_grpc changed" in said
        eventually(lambda: sorted(ids(kept.bodies(Signal.TRACES))) == sorted(ids(sent)))
        eventually(lambda: collector.status()["exporters"]["otlp_grpc"]["queue_requests"] == 0)


def test_components_come_and_go(tmp_path: Path, backend: tuple[Backend, str]) -> None:
    kept, endpoint = backend
    path = write_config(tmp_path)
    with embedded(path) as collector:
        port = free_port()

        def second(tree: dict[str, Any]) -> None:
            tree["exporters"]["otlp_grpc"] = to_grpc(endpoint)
            tree["receivers"]["otlp/second"] = {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}
            for pipeline in tree["service"]["pipelines"].values():
                pipeline["exporters"] = ["file", "otlp_grpc"]
                pipeline["receivers"] = ["otlp", "otlp/second"]

        assert reload(collector, path, second) == ["exporter otlp_grpc added", "receiver otlp/second/http added"]
        for at in (collector.endpoints["otlp/http"], f"127.0.0.1:{port}"):
            assert post(at, Signal.TRACES, otlp.tasks("Planner", 3))[0] == 200
        eventually(lambda: len(ids(kept.bodies(Signal.TRACES))) == 6)

        def without(tree: dict[str, Any]) -> None:
            del tree["exporters"]["file"], tree["receivers"]["otlp"]
            for pipeline in tree["service"]["pipelines"].values():
                pipeline["exporters"], pipeline["receivers"] = ["otlp_grpc"], ["otlp/second"]

        gone = collector.endpoints["otlp/http"]
        said = reload(collector, path, without)
        assert said == ["exporter file removed", "receiver otlp/grpc removed", "receiver otlp/http removed"]
        with pytest.raises(ConnectionRefusedError):
            post(gone, Signal.TRACES, otlp.tasks("Planner", 1))
        assert post(f"127.0.0.1:{port}", Signal.TRACES, otlp.tasks("Planner", 1))[0] == 200
        eventually(lambda: len(ids(kept.bodies(Signal.TRACES))) == 7)
        assert {name for name in collector.endpoints if name.startswith("otlp")} == {"otlp/second/http"}


def test_the_engine_and_its_store_go_and_come_back(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    whole = path.read_text()
    with embedded(path) as collector:
        http = collector.endpoints["otlp/http"]
        post(http, Signal.TRACES, otlp.tasks("Planner", 3))

        def without(tree: dict[str, Any]) -> None:
            for pipeline in tree["service"]["pipelines"].values():
                pipeline["processors"] = []
            tree["service"]["extensions"] = []

        assert reload(collector, path, without) == ["engine removed", "extension api removed"]
        assert post(http, Signal.TRACES, otlp.tasks("Planner", 3))[0] == 200, "passed on, not learned"
        path.write_text(whole)
        assert collector.reload(load_config([path])) == ["engine added", "extension api added"]
        assert post(http, Signal.TRACES, otlp.tasks("Planner", 4))[0] == 200
        assert Api(collector.endpoints["api"]).tasks_of("Planner") == 7


@pytest.mark.parametrize("what", ["a port in use", "a file that cannot be written"])
def test_what_cannot_start_changes_nothing(tmp_path: Path, what: str, backend: tuple[Backend, str]) -> None:
    kept, endpoint = backend
    dead = f"127.0.0.1:{free_port()}"
    path = write_config(tmp_path, exporters={"otlp_grpc": to_grpc(dead)})
    with embedded(path) as collector, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        before = collector.endpoints
        with GrpcClient(before["otlp/grpc"]) as client:
            sent = [otlp.tasks("Planner", 3)]
            client.export(Signal.TRACES, sent[0])

            def broken(tree: dict[str, Any]) -> None:
                tree["exporters"]["otlp_grpc"]["timeout"] = "3s"  # exchanged first, and brought back with its queue
                tree["processors"]["agent_performance"]["alerts"]["cooldown"] = "1h"
                if what == "a port in use":
                    protocols = tree["receivers"]["otlp"]["protocols"]
                    protocols["http"]["endpoint"] = f"127.0.0.1:{taken.getsockname()[1]}"
                else:
                    tree["exporters"]["file"] = {"path": str(tmp_path / "no" / "folder")}
                    tree["service"]["pipelines"]["traces"]["exporters"] = ["otlp_grpc", "file"]

            whole = path.read_text()
            with pytest.raises(StartError):
                reload(collector, path, broken)
            assert collector.endpoints["otlp/grpc"] == before["otlp/grpc"]
            assert set(collector.endpoints) == set(before)
            sent.append(otlp.tasks("Planner", 4))
            client.export(Signal.TRACES, sent[1])  # over the connection of before
            assert post(collector.endpoints["otlp/http"], Signal.TRACES, otlp.tasks("Other", 1))[0] == 200
        status = collector.status()["config"]
        assert (status["generation"], status["last_reload"]["outcome"]) == (1, "failed")
        assert collector.config.engine is not None
        assert collector.config.engine.cooldown_ns == otlp.SECOND
        path.write_text(whole)

        def mended(tree: dict[str, Any]) -> None:
            tree["exporters"]["otlp_grpc"]["endpoint"] = endpoint

        reload(collector, path, mended)
        eventually(lambda: set(ids(sent)) <= set(ids(kept.bodies(Signal.TRACES))))


def test_a_listener_is_exchanged_at_its_address(tmp_path: Path) -> None:
    """Two that change places as well; what cannot start gives the addresses back."""
    first, second = (f"127.0.0.1:{free_port()}" for _ in range(2))
    path = write_config(tmp_path)

    def places(grpc_at: str, http_at: str, **more: Any) -> Edit:
        def change(tree: dict[str, Any]) -> None:
            tree["receivers"]["otlp"]["protocols"] = {
                "grpc": {"endpoint": grpc_at, **more},
                "http": {"endpoint": http_at},
            }

        return change

    edit(path, places(first, second))
    with embedded(path) as collector:
        for change, expected in (
            (places(first, second, max_recv_msg_size="1MiB"), (first, second)),
            (places(second, first), (second, first)),
        ):
            reload(collector, path, change)
            assert (collector.endpoints["otlp/grpc"], collector.endpoints["otlp/http"]) == expected
            with GrpcClient(expected[0]) as client:
                client.export(Signal.TRACES, otlp.tasks("Planner", 1))
            assert post(expected[1], Signal.TRACES, otlp.tasks("Planner", 1))[0] == 200
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            with pytest.raises(StartError):
                reload(collector, path, places(first, f"127.0.0.1:{taken.getsockname()[1]}"))
        assert (collector.endpoints["otlp/grpc"], collector.endpoints["otlp/http"]) == (second, first)
        with GrpcClient(second) as client:
            client.export(Signal.TRACES, otlp.tasks("Planner", 1))
        assert post(first, Signal.TRACES, otlp.tasks("Planner", 1))[0] == 200
        assert Api(collector.endpoints["api"]).tasks_of("Planner") == 6


def test_the_store_cannot_be_exchanged(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    with embedded(path) as collector:

        def other(tree: dict[str, Any]) -> None:
            tree["extensions"]["sqlite"]["path"] = str(tmp_path / "other.db")
            tree["processors"]["agent_performance"]["alerts"]["cooldown"] = "1h"
            tree["service"]["workers"] = 2

        with pytest.raises(ReloadRefused, match=r"other\.db.*from 1 to 2.*restart the collector"):
            reload(collector, path, other)
        assert collector.config.engine is not None
        assert collector.config.engine.cooldown_ns == otlp.SECOND
        assert collector.status()["config"]["reloads"]["refused"] == 1


def test_a_reload_beside_a_stop_starts_nothing(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    config = load_config([path])
    for _ in range(5):
        collector = Collector(config)
        collector.start()
        stopping = threading.Thread(target=collector.stop)
        reloads = [threading.Thread(target=collector.reload, args=(config,)) for _ in range(4)]
        threads = random.sample([*reloads, stopping], 5)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert collector.endpoints == {}
        assert collector.reload(config) == []
        assert collector.endpoints == {}


def test_fifty_reloads_under_load_lose_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every acknowledged span arrives: exporters, routes, engine and the other listener change all the time."""
    caplog.set_level(logging.CRITICAL, "bmad_otel.collector")
    kept = Backend()
    acknowledged: list[bytes] = []
    refusals: set[grpc.StatusCode] = set()
    is_over = threading.Event()
    performance = {**FAST, "commit_interval": "10s"}
    with grpc_backend(kept) as endpoint:
        path = write_config(tmp_path, performance=performance, exporters={"otlp_grpc": to_grpc(endpoint)})
        edit(path, lambda tree: tree["receivers"]["otlp"]["protocols"].pop("http"))
        with embedded(path) as collector:

            def send() -> None:
                with GrpcClient(collector.endpoints["otlp/grpc"]) as client:
                    while not is_over.is_set():
                        body = otlp.tasks("Planner", 5)
                        try:
                            client.export(Signal.TRACES, body)
                        except grpc.RpcError as error:
                            refusals.add(error.code())  # type: ignore[attr-defined]
                            time.sleep(0.005)
                        else:
                            acknowledged.append(body)
                        if len(acknowledged) % 10 == 0:
                            kept.answer = None if kept.answer else Overloaded("flapping", retry_after_s=0)

            senders = [threading.Thread(target=send) for _ in range(3)]
            for sender in senders:
                sender.start()
            for n in range(50):

                def change(tree: dict[str, Any], n: int = n) -> None:
                    tree["exporters"]["otlp_grpc"]["timeout"] = f"{10 + n % 3}s"
                    performance = tree["processors"]["agent_performance"]
                    performance["alerts"]["cooldown"] = f"{1 + n % 4}s"
                    performance["monitoring_interval"] = "1s" if n % 10 else "3s"

                reload(collector, path, change)
            is_over.set()
            for sender in senders:
                sender.join()
            kept.answer = None
            assert len(acknowledged) > 100, "there was load"
            assert refusals <= {grpc.StatusCode.UNAVAILABLE}, "always told to come again"
            expected = set(ids(acknowledged))
            eventually(lambda: expected <= set(ids(kept.bodies(Signal.TRACES))))
            # whatever was acknowledged was learned too, once
            assert Api(collector.endpoints["api"]).tasks_of("Planner") == len(expected)
            assert collector.status()["config"]["reloads"]["applied"] == 50


def test_the_process_reloads_on_sighup(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    with Process(path, log=tmp_path / "log") as process:
        endpoints = process.endpoints()
        api = Api(endpoints["api"])
        with GrpcClient(endpoints["otlp/grpc"]) as client:
            client.export(Signal.TRACES, otlp.tasks("Planner", 3))
            good = path.read_text()
            path.write_text('{"receivers": {"otlp": {"protocol": {}}}}')
            process.signal(signal.SIGHUP)
            rejected = eventually(lambda: api.status()["config"]["last_reload"])
            assert rejected["outcome"] == "rejected"
            assert "unknown key 'protocol'" in process.log
            assert "there is no service" in process.log
            client.export(Signal.TRACES, otlp.tasks("Planner", 3))
            path.write_text(good)
            edit(path, lambda tree: tree["processors"]["agent_performance"]["alerts"].update(cooldown="2s"))
            process.signal(signal.SIGHUP)
            eventually(lambda: api.status()["config"]["generation"] == 2)
            client.export(Signal.TRACES, otlp.tasks("Planner", 3))
            assert api.tasks_of("Planner") == 9
            assert "engine changed" in process.log
        assert api.status()["pid"] == process.pid != os.getpid()
        assert process.stop() == 0


def test_a_terminal_that_is_closed_ends_what_runs_in_it(tmp_path: Path) -> None:
    """The same signal as a reload, but nobody is there any more who could stop it."""
    path = write_config(tmp_path)
    here, there = pty.openpty()
    log = tmp_path / "log"
    with (
        log.open("wb") as out,
        subprocess.Popen(
            ["setsid", "--ctty", str(PROGRAM), "collector", "--config", str(path)], stdin=there, stdout=out, stderr=out
        ) as child,
    ):
        os.close(there)
        try:
            eventually(lambda: " ready: " in log.read_text())
            child.send_signal(signal.SIGHUP)
            eventually(lambda: "configuration 2 is in force" in log.read_text())
            os.close(here)
            assert child.wait(20) == 0
        finally:
            child.kill()
    assert "the terminal is gone" in log.read_text()


def test_a_wrong_file_is_every_problem_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_config(tmp_path)
    with embedded(path) as collector:

        def broken(tree: dict[str, Any]) -> None:
            tree["processors"]["agent_performance"]["monitoring_interval"] = 5
            tree["exporters"]["nothing"] = {}

        with pytest.raises(ConfigError) as wrong:
            reload(collector, path, broken)
        collector.reject(wrong.value)
        assert "monitoring_interval" in caplog.text
        assert "nothing" in caplog.text
        assert collector.status()["config"]["reloads"]["rejected"] == 1
