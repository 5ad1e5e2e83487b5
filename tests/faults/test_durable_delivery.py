"""Nothing acknowledged is lost: real collectors with durable queues, killed, stopped, without a backend or a disk.

Ids are counted, not counters: every acknowledged span arrives, and none arrives twice without a mark.
"""

from __future__ import annotations

import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.run.collectors import Process, embedded, eventually, to_grpc, write_config
from tests.run.lossless import CountingBackend, Load

from .zygote import Zygote

pytestmark = pytest.mark.faults

KILLS = 200


def durable(folder: Path, backend: str, **queue: object) -> Path:
    """A configuration whose only exporter keeps its queue on disk."""
    exporter = to_grpc(backend, sending_queue={"storage": "sqlite", "num_consumers": 2, **queue})
    return write_config(folder, exporters={"otlp_grpc": exporter})


def port_of_nobody() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.timeout(600)
def test_killed_at_random_moments_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    draw = random.Random(5)
    acknowledged: set[bytes] = set()
    with CountingBackend() as backend:
        config = durable(tmp_path, backend.endpoint)
        n_with_load = 0
        with Zygote() as zygote:
            for _ in range(KILLS):
                # most of the time the backend takes everything; sometimes it takes its time, or nothing
                slow_s, refuses = draw.choice([0.0, 0.0, 0.02]), draw.random() < 0.2
                backend.decide = lambda s=slow_s, no=refuses: (
                    time.sleep(s) or (grpc.StatusCode.UNAVAILABLE if no else None)
                )
                pid = zygote.start(config)
                if draw.random() < 0.1:  # in the middle of starting, with what is to be recovered
                    time.sleep(draw.uniform(0.0, 0.2))
                    zygote.end(pid)
                    continue
                with Load(zygote.endpoints()["otlp/grpc"]) as load:
                    time.sleep(draw.uniform(0.0, 0.2))
                    zygote.end(pid)
                    load.end()
                n_with_load += bool(load.acknowledged)
                acknowledged |= load.acknowledged
            backend.decide = lambda: None
            pid = zygote.start(config)
            zygote.endpoints()
            eventually(lambda: acknowledged <= backend.arrived.keys(), timeout_s=60)
            zygote.end(pid, signal.SIGTERM)
        assert n_with_load > KILLS * 0.7
        assert backend.unmarked_repeats == []
        assert backend.n_marked_calls, "something was in flight at one kill at least"
    assert not list(tmp_path.glob("*.queue-*.db")), "delivered and stopped, it leaves an empty queue"


@pytest.mark.timeout(180)
def test_stopped_while_the_backend_is_down_the_rest_is_kept(tmp_path: Path) -> None:
    endpoint = port_of_nobody()
    config = durable(tmp_path, endpoint)
    with Process(config, log=tmp_path / "log") as process:
        with Load(process.endpoints()["otlp/grpc"]) as load:
            eventually(lambda: len(load.acknowledged) > 200)
        began_s = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - began_s < 13
        kept = re.search(
            r"(\d+) items in \d+ requests were not delivered at shutdown and are kept on disk", process.log
        )
        assert kept
        assert int(kept[1]) >= len(load.acknowledged)
    with CountingBackend(endpoint) as backend, Process(config, log=tmp_path / "log") as process:
        process.endpoints()
        eventually(lambda: load.acknowledged <= backend.arrived.keys())
        assert process.stop() == 0
        assert set(backend.arrived.values()) == {1}


@pytest.mark.timeout(180)
def test_stopped_in_the_middle_of_a_backlog_the_rest_is_kept(tmp_path: Path) -> None:
    """The backend is there and slow, and nothing is in a backoff wait: that rest must be kept just as well."""
    with CountingBackend() as backend:
        backend.decide = lambda: time.sleep(4)
        exporter = to_grpc(backend.endpoint, timeout="30s", sending_queue={
            "storage": "sqlite", "num_consumers": 1, "batch": {"min_size": 1, "max_size": 1, "sizer": "requests"},
        })  # fmt: skip
        config = write_config(tmp_path, exporters={"otlp_grpc": exporter})
        with Process(config, log=tmp_path / "log") as process:
            with Load(process.endpoints()["otlp/grpc"]) as load:
                eventually(lambda: len(load.acknowledged) > 200)
            assert process.stop() == 0
            assert "kept on disk" in process.log
        backend.decide = lambda: None
        with Process(config, log=tmp_path / "log") as process:
            process.endpoints()
            eventually(lambda: load.acknowledged <= backend.arrived.keys())
            assert process.stop() == 0
        assert backend.unmarked_repeats == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """24 MiB of memory as a file system. Needs root, as CI has it; without it the test fails and does not skip."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.timeout(180)
def test_a_full_disk_refuses_delivers_on_and_recovers(tmp_path: Path, small_disk: Path) -> None:
    with CountingBackend() as backend:
        backend.decide = lambda: grpc.StatusCode.UNAVAILABLE
        exporter = to_grpc(backend.endpoint, sending_queue={"storage": "sqlite"})
        config = write_config(tmp_path, exporters={"otlp_grpc": exporter})
        config.write_text(config.read_text().replace(str(tmp_path / "state.db"), str(small_disk / "state.db")))
        with embedded(config) as collector:
            exporter_status = lambda: collector.status()["exporters"]["otlp_grpc"]  # noqa: E731
            with Load(collector.endpoints["otlp/grpc"], n_spans=500) as load:
                eventually(lambda: exporter_status()["refused_requests_disk"] > 3, timeout_s=60)
                assert load.acknowledged
                at_full = len(load.acknowledged)
                # deliveries go on although the disk is full, and make room for more
                backend.decide = lambda: None
                eventually(lambda: len(load.acknowledged) > at_full + 5000, timeout_s=60)
                # full because of somebody else: refused, and nothing crashes
                stranger = small_disk / "stranger"
                with stranger.open("wb") as out:
                    try:
                        while out.write(bytes(100_000)):
                            out.flush()
                    except OSError:
                        pass
                refused = exporter_status()["refused_requests_disk"]
                eventually(lambda: exporter_status()["refused_requests_disk"] > refused + 3, timeout_s=60)
                stranger.unlink()
                at_full = len(load.acknowledged)
                eventually(lambda: len(load.acknowledged) > at_full + 5000, timeout_s=60)
            eventually(lambda: load.acknowledged <= backend.arrived.keys(), timeout_s=60)
            eventually(lambda: exporter_status()["queue_requests"] == 0)
        assert backend.unmarked_repeats == []


@pytest.mark.timeout(120)
def test_a_backend_that_refuses_seven_of_ten(tmp_path: Path) -> None:
    draw = random.Random(7)
    with CountingBackend() as backend:
        backend.decide = lambda: grpc.StatusCode.UNAVAILABLE if draw.random() < 0.7 else None
        # the defaults of retry_on_failure, and a queue in memory
        exporter = {"endpoint": backend.endpoint, "tls": {"insecure": True}}
        with embedded(write_config(tmp_path, exporters={"otlp_grpc": exporter})) as collector:
            with Load(collector.endpoints["otlp/grpc"], n_threads=1, n_spans=100, pause_s=0.005) as load:
                time.sleep(5)
            eventually(lambda: load.acknowledged <= backend.arrived.keys(), timeout_s=10)
        assert load.refusals == []
        assert len(load.acknowledged) > 10_000
        assert backend.unmarked_repeats == []
