"""Nothing acknowledged is lost, whichever worker acknowledged it and whatever became of it since. Ids are counted."""

from __future__ import annotations

import os
import random
import signal as signals
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.run.collectors import Api, Process, eventually, to_grpc
from tests.run.lossless import CountingBackend, Load

from .several import change, pids, write_workers

pytestmark = pytest.mark.faults

KILLS = 12
"""Four of each worker: a fifth one in a row ends the collector."""


def durable(folder: Path, workers: int, backend: str) -> Path:
    exporter = to_grpc(backend, sending_queue={"storage": "sqlite"})
    return write_workers(folder, workers, exporters={"otlp_grpc": exporter})


def test_workers_are_killed_under_load_and_everything_arrives(tmp_path: Path) -> None:
    draw = random.Random(3)
    acknowledged: set[bytes] = set()
    with CountingBackend() as backend:
        backend.decide = lambda: grpc.StatusCode.UNAVAILABLE if draw.random() < 0.3 else None
        with Process(durable(tmp_path, 3, backend.endpoint), log=tmp_path / "log") as collector:
            endpoints = collector.endpoints()
            api = Api(endpoints["api"])
            for n in range(KILLS):
                with ExitStack() as stack:
                    loads = [stack.enter_context(Load(endpoints["otlp/grpc"])) for _ in range(4)]
                    time.sleep(draw.uniform(0.1, 0.5))
                    os.kill(pids(api.status())[n % 3], signals.SIGKILL)
                    for load in loads:
                        load.end()
                    acknowledged |= set().union(*(load.acknowledged for load in loads))
                eventually(lambda: all(worker["is_listening"] for worker in api.status()["workers"]))
            assert sum(worker["restarts"] for worker in api.status()["workers"]) == KILLS
            backend.decide = lambda: None
            eventually(lambda: acknowledged <= backend.arrived.keys(), timeout_s=60)
            assert collector.stop() == 0
    assert acknowledged
    assert not [each for each in backend.unmarked_repeats if each in acknowledged]


def has_waiting(worker: dict[str, Any]) -> bool:
    """Whether something waits in the queue of this worker."""
    return bool(worker["status"]["exporters"]["otlp_grpc"]["queue_requests"])


@pytest.mark.parametrize("after", [1, 2])
def test_what_waits_in_more_workers_than_there_are_then_is_delivered(after: int, tmp_path: Path) -> None:
    with CountingBackend() as backend:
        backend.decide = lambda: grpc.StatusCode.UNAVAILABLE
        path = durable(tmp_path, 3, backend.endpoint)
        acknowledged: set[bytes] = set()
        with Process(path, log=tmp_path / "log") as collector:
            endpoints = collector.endpoints()
            with ExitStack() as stack:
                api = Api(endpoints["api"])
                loads: list[Load] = []

                def everywhere() -> bool:
                    # the kernel spreads connections by chance: as many as it takes until each worker has one
                    if not all(has_waiting(worker) for worker in api.status()["workers"]):
                        loads.append(stack.enter_context(Load(endpoints["otlp/grpc"])))
                        return False
                    return True

                eventually(everywhere)
                for load in loads:
                    load.end()
                acknowledged |= set().union(*(load.acknowledged for load in loads))
            assert all(has_waiting(worker) for worker in api.status()["workers"])
            collector.signal(signals.SIGKILL)
            collector.wait()
        assert acknowledged
        backend.decide = lambda: None
        with Process(change(path, workers=after), log=tmp_path / "second.log") as collector:
            collector.endpoints()
            eventually(lambda: acknowledged <= backend.arrived.keys(), timeout_s=60)
            assert collector.stop() == 0
        assert not backend.unmarked_repeats
