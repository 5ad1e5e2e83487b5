"""How a collector of several processes ends: asked to, killed, or because a worker cannot be kept running."""

from __future__ import annotations

import os
import signal as signals
import time
from collections import Counter
from pathlib import Path

import grpc
import pytest

from bmad_processor.model import Signal
from tests.run import otlp
from tests.run.backends import Backend
from tests.run.collectors import FAST, Api, Process, eventually, stored, to_grpc
from tests.run.otlp import GrpcClient

from .several import is_alive, pids, write_workers
from .test_workers import span_ids


def test_asked_to_stop_it_drains_all_workers(tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    exporters = {"otlp_grpc": to_grpc(backend_endpoint)}
    path = write_workers(tmp_path, 2, performance={**FAST, "commit_interval": "1m"}, exporters=exporters)
    sent: list[bytes] = []
    with Process(path, log=tmp_path / "log") as collector:
        endpoints = collector.endpoints()
        workers = pids(Api(endpoints["api"]).status())
        for n in range(40):
            with GrpcClient(endpoints["otlp/grpc"]) as client:
                body = otlp.tasks(f"A{n % 5}", 2)
                client.export(Signal.TRACES, body)
                sent += span_ids(body)
        began_s = time.monotonic()
        assert collector.stop() == 0, collector.log
        assert time.monotonic() - began_s < 8
    assert not any(map(is_alive, workers))
    assert [stored(path, f"A{n}").tasks_total for n in range(5)] == [16] * 5
    arrived = [span for body in backend.bodies(Signal.TRACES) for span in span_ids(body)]
    assert Counter(arrived) == Counter(sent)


@pytest.mark.faults
def test_killed_it_leaves_nothing_behind_and_the_next_start_takes_over(tmp_path: Path) -> None:
    path = write_workers(tmp_path, 2, performance={**FAST, "commit_interval": "1m"})
    with Process(path, log=tmp_path / "log") as collector:
        endpoints = collector.endpoints()
        workers = pids(Api(endpoints["api"]).status())
        for n in range(10):
            with GrpcClient(endpoints["otlp/grpc"]) as client:
                client.export(Signal.TRACES, otlp.tasks(f"A{n % 5}", 2))
        collector.signal(signals.SIGKILL)
        collector.wait()
        # at once, while the workers of the killed one are still ending
        with Process(path, log=tmp_path / "second.log") as second:
            api = Api(second.endpoints()["api"])
            assert not any(map(is_alive, workers))
            assert [api.tasks_of(f"A{n}") for n in range(5)] == [4] * 5, "they committed before they ended"
            assert second.stop() == 0


@pytest.mark.faults
def test_a_worker_that_keeps_dying_ends_the_collector(tmp_path: Path) -> None:
    path = write_workers(tmp_path, 2)
    with Process(path, log=tmp_path / "log") as collector:
        api = Api(collector.endpoints()["api"])
        workers: list[int] = []
        killed: set[int] = set()
        while collector.is_running and len(killed) < 10:
            try:
                workers = pids(api.status())
            except OSError:
                break
            if workers[1] is not None and workers[1] not in killed:
                os.kill(workers[1], signals.SIGKILL)
                killed.add(workers[1])
            time.sleep(0.02)
        assert collector.wait() == 1
        assert len(killed) == 5
        assert "worker 1 has ended 5 times in a row within 10 s of its start: the collector ends" in collector.log
    assert not any(is_alive(pid) for pid in [*workers, *killed] if pid is not None)


@pytest.mark.faults
def test_a_worker_that_hangs_does_not_keep_a_collector_from_ending(tmp_path: Path) -> None:
    path = write_workers(tmp_path, 2)
    with Process(path, log=tmp_path / "log") as collector:
        api = Api(collector.endpoints()["api"])
        workers = pids(api.status())
        os.kill(workers[0], signals.SIGSTOP)
        health = api.status()["health"]
        assert health["is_ready"] is False
        assert [trouble["reason"] for trouble in health["troubles"]] == ["not_answering"]
        began_s = time.monotonic()
        assert collector.stop() == 0
        assert time.monotonic() - began_s < 14
        assert "worker 0 has not ended in time and is killed" in collector.log
    assert not any(map(is_alive, workers))


@pytest.mark.faults
def test_workers_killed_under_load(tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    """Senders send again what was not acknowledged; whatever was is counted and alerts are said once each.

    Samples that a worker had not committed when it was killed are learned again from running totals.
    """
    path = write_workers(tmp_path, 3, exporters={"otlp_grpc": to_grpc(backend_endpoint)})
    agents = [f"A{n}" for n in range(9)]
    with Process(path, log=tmp_path / "log") as collector:
        endpoints = collector.endpoints()
        api = Api(endpoints["api"])
        start_ns = time.time_ns()
        n = 0
        began_s = time.monotonic()
        killed: list[int] = []
        while time.monotonic() - began_s < 12:
            n += 1
            for agent in agents:
                totals = otlp.task_totals(agent, ok=(start_ns, n), errors=(0, 0), time_ns=time.time_ns())
                while True:
                    try:
                        with GrpcClient(endpoints["otlp/grpc"]) as client:
                            client.export(Signal.METRICS, otlp.metrics(totals))
                        break
                    except grpc.RpcError as error:
                        if error.code() is not grpc.StatusCode.UNAVAILABLE:
                            raise
            if len(killed) < 3 and time.monotonic() - began_s > 2 * (len(killed) + 1):
                victim = pids(api.status())[len(killed)]
                os.kill(victim, signals.SIGKILL)
                killed.append(victim)
        assert len(killed) == 3
        eventually(lambda: all(worker["is_listening"] for worker in api.status()["workers"]))
        assert [worker["restarts"] for worker in api.status()["workers"]] == [1, 1, 1]
        found: dict[str, int] = {}

        def all_counted() -> bool:
            found.update({agent: api.tasks_of(agent) for agent in agents})
            return found == dict.fromkeys(agents, n)

        eventually(all_counted)
        assert collector.stop() == 0
    said = Counter(event.event_id for event in backend.said("bmad.alert"))
    assert set(said.values()) <= {1}
