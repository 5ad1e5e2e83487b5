"""Several processes are one collector: real workers, real connections."""

from __future__ import annotations

import http.client
import json
import os
import signal as signals
import socket
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bmad_processor.config import load_config
from bmad_processor.errors import ConfigError, StartError, StoreError
from bmad_processor.model import Signal
from tests.run import otlp
from tests.run.backends import Backend
from tests.run.collectors import FAST, Api, eventually, to_grpc, write_config
from tests.run.otlp import GrpcClient, post

from .several import change, is_alive, pids, supervised, write_workers


def put(endpoint: str, path: str, body: object) -> int:
    connection = http.client.HTTPConnection(endpoint, timeout=30)
    try:
        connection.request("PUT", path, json.dumps(body), {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_two_are_one_collector(tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    """Acknowledged spans of many connections are counted once, in the answer to the next question; alerts are said
    once; a profile that is changed holds in every worker; a stop sends everything on and leaves no process."""
    exporters = {"otlp_grpc": to_grpc(backend_endpoint)}
    path = write_workers(tmp_path, 2, performance={**FAST, "commit_interval": "1m"}, exporters=exporters)
    agents = [f"A{n}" for n in range(6)]
    sent: set[bytes] = set()
    counts: Counter[str] = Counter()
    with supervised(path) as collector, ExitStack() as stack:
        api = Api(collector.endpoints["api"])
        grpc, http_ = collector.endpoints["otlp/grpc"], collector.endpoints["otlp/http"]
        clients = [stack.enter_context(GrpcClient(grpc)) for _ in range(12)]

        def send(agent: str, at: int, *, is_error: bool = False) -> None:
            body = otlp.tasks(agent, 2, is_error=is_error)
            sent.update(span_ids(body))
            if at % 5:
                clients[at % 12].export(Signal.TRACES, body)
            else:
                assert post(http_, Signal.TRACES, body)[0] == 200
            counts[agent] += 2

        def assert_counted() -> None:
            # at the first question, but where a commit takes longer than a question waits for one
            eventually(lambda: {agent: api.tasks_of(agent) for agent in agents} == dict(counts))

        for at in range(120):
            send(agents[at % 6], at)
            if at % 40 == 39:
                assert_counted()
        status = api.status()
        assert status["intake"]["accepted_traces"] == 240
        by_worker = [worker["status"]["intake"].get("accepted_traces", 0) for worker in status["workers"]]
        assert sum(by_worker) == 240
        assert all(by_worker), "connections are spread"
        assert status["router"]["routed_samples"] == status["router"]["received_samples"] > 0
        assert status["pid"] == os.getpid()

        strict = {"thresholds": {"error_rate": {"warning": "1%"}}}
        # profiles for agents of either worker, given while they run
        for agent in agents:
            assert put(api.endpoint, f"/api/v1/profiles/{agent}", strict) == 200

        def fired() -> set[str]:
            for at, agent in enumerate(agents):
                send(agent, at, is_error=True)
            return {str(event.attributes["gen_ai.agent.name"]) for event in backend.said("bmad.alert.fired")}

        eventually(lambda: fired() == set(agents))
        assert {alert["agent_name"] for alert in api.alerts()} == set(agents)
        assert_counted()
        processes = pids(status)
    assert not any(map(is_alive, processes))
    said = Counter(event.event_id for event in backend.said("bmad.alert"))
    assert set(said.values()) == {1}
    assert Counter(str(e.attributes["gen_ai.agent.name"]) for e in backend.said("bmad.alert.fired")) == Counter(agents)
    arrived = [span for body in backend.bodies(Signal.TRACES) for span in span_ids(body)]
    assert Counter(arrived) == Counter(sent)


def span_ids(body: bytes) -> list[bytes]:
    request = ExportTraceServiceRequest.FromString(body)
    return [span.span_id for r in request.resource_spans for scope in r.scope_spans for span in scope.spans]


def test_a_killed_worker_is_replaced_and_goes_on_where_it_was(tmp_path: Path) -> None:
    path = write_workers(tmp_path, 2)
    agents = [f"A{n}" for n in range(6)]
    with supervised(path) as collector:
        api = Api(collector.endpoints["api"])
        for agent in agents:
            with GrpcClient(collector.endpoints["otlp/grpc"]) as client:
                client.export(Signal.TRACES, otlp.tasks(agent, 3))
        assert [api.tasks_of(agent) for agent in agents] == [3] * 6  # committed, since it was asked for
        before = pids(api.status())
        os.kill(before[1], signals.SIGKILL)
        eventually(
            lambda: all(w["is_listening"] and w["pid"] not in (None, before[1]) for w in api.status()["workers"])
        )
        after = api.status()
        assert pids(after)[0] == before[0], "the other one was left alone"
        assert [worker["restarts"] for worker in after["workers"]] == [0, 1]
        assert after["workers"][1]["last_end"] == "killed by signal 9"
        for _ in range(2):
            for agent in agents:
                with GrpcClient(collector.endpoints["otlp/grpc"]) as client:
                    client.export(Signal.TRACES, otlp.tasks(agent, 2))
        assert [api.tasks_of(agent) for agent in agents] == [7] * 6
    assert not any(map(is_alive, [*before, *pids(after)]))


def test_a_port_in_use_is_an_error_at_the_start(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # also where the other one would share it
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        endpoint = f"127.0.0.1:{taken.getsockname()[1]}"
        path = change(write_workers(tmp_path, 2), receivers={"http": {"endpoint": endpoint}})
        with pytest.raises(StartError, match=f"cannot listen on {endpoint}: Address already in use"), supervised(path):
            pass


def test_one_collector_for_ports_and_store(tmp_path: Path) -> None:
    path = write_workers(tmp_path, 2)
    with supervised(path) as collector:
        with pytest.raises(StoreError, match="in use by another collector"), supervised(path):
            pass
        (tmp_path / "other").mkdir()
        other = write_workers(tmp_path / "other", 2)
        change(other, receivers={"grpc": {"endpoint": collector.endpoints["otlp/grpc"]}})
        with pytest.raises(StartError, match="Address already in use"), supervised(other):
            pass


def test_what_keeps_a_worker_from_starting_is_said(tmp_path: Path) -> None:
    path = write_workers(tmp_path, 2, exporters={"file": {"path": str(tmp_path / "nowhere" / "telemetry.json")}})
    with pytest.raises(StartError, match="nowhere"), supervised(path):
        pass


@pytest.mark.parametrize("value", [0, 65, "many", 1.5, True])
def test_how_many_is_checked(value: object, tmp_path: Path) -> None:
    path = write_config(tmp_path)
    tree = json.loads(path.read_text())
    tree["service"]["workers"] = value
    path.write_text(json.dumps(tree))
    with pytest.raises(ConfigError, match="service::workers"):
        load_config([path])


def test_auto_is_one_for_each_cpu(tmp_path: Path) -> None:
    path = write_config(tmp_path)
    assert load_config([path]).workers == 1
    tree = json.loads(path.read_text())
    tree["service"]["workers"] = "auto"
    path.write_text(json.dumps(tree))
    assert load_config([path]).workers == len(os.sched_getaffinity(0))
