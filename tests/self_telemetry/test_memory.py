"""The memory of a real process: bounded whatever comes, and free again afterwards."""

from __future__ import annotations

import gzip
import json
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from bmad_processor.model import Signal
from tests.run import otlp
from tests.run.collectors import Api, Process, eventually, write_config
from tests.run.otlp import METHODS, GrpcClient, post

from .test_collector import HEALTH, with_service

MIB = 2**20

pytestmark = pytest.mark.faults
"""They hold gigabytes of the test's own and take ten seconds each."""


class Watch:
    """The highest resident set of a process, looked at fifty times a second."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    @property
    def now(self) -> int:
        return int(self._process.memory_info().rss)

    def _look(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, self.now)

    def __enter__(self) -> Watch:
        self.peak = self.now
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


@contextmanager
def running(
    tmp_path: Path, limiter: dict[str, Any], *, threads: int | None = None, **config: Any
) -> Iterator[tuple[Process, dict[str, str]]]:
    to_nowhere = {"path": str(tmp_path / "sent"), "max_megabytes": 1, "max_backups": 0}
    path = write_config(tmp_path, exporters={"file": to_nowhere}, **config)
    if threads:
        tree = json.loads(path.read_text())
        tree["receivers"]["otlp"]["protocols"]["grpc"]["threads"] = threads
        path.write_text(json.dumps(tree))
    path = with_service(path, memory_limiter=limiter, extensions=HEALTH)
    with Process(path, log=tmp_path / "log") as process:
        yield process, process.endpoints()


def filler(n_bytes: int) -> bytes:
    """A valid request of about so many bytes: one span whose name is never looked at by anybody."""
    return otlp.traces([otlp.Span(trace_id=b"t" * 16, span_id=b"s" * 8, name="x" * n_bytes)])


@pytest.mark.parametrize("threads", [None, 16])
def test_many_large_requests_at_once_over_grpc(tmp_path: Path, threads: int | None) -> None:
    body = filler(60 * MIB)
    limit = 600 * MIB
    limiter = {"limit_mib": 600, "spike_limit_mib": 300, "check_interval": "100ms"}
    with running(tmp_path, limiter, threads=threads) as (process, at):
        channels = [
            grpc.insecure_channel(
                at["otlp/grpc"],
                options=(("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)),
            )
            for _ in range(4)
        ]
        with Watch(process.pid) as watch:
            calls = [channels[n % 4].unary_unary(METHODS[Signal.TRACES]).future(body, timeout=100) for n in range(100)]
            codes = [call.code() for call in calls]
        for channel in channels:
            channel.close()
        # all but OK tell a sender to try again; CANCELLED is what was slow to arrive when memory was short
        assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert grpc.StatusCode.OK in codes
        # the limit, and one request with its copies
        assert watch.peak < limit + 3 * len(body), f"{watch.peak / MIB:.0f} MiB"
        _takes_again(at)


def test_many_large_requests_at_once_over_http(tmp_path: Path) -> None:
    body = filler(60 * MIB)
    limit = 600 * MIB
    with running(tmp_path, {"limit_mib": 600, "spike_limit_mib": 300, "check_interval": "100ms"}) as (process, at):
        statuses: list[int] = []

        def send() -> None:
            try:
                statuses.append(post(at["otlp/http"], Signal.TRACES, body)[0])
            except OSError:  # refused while it still sent
                statuses.append(503)

        with Watch(process.pid) as watch:
            threads = [threading.Thread(target=send) for _ in range(30)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert set(statuses) <= {200, 503}
        assert watch.peak < limit + 3 * len(body), f"{watch.peak / MIB:.0f} MiB"
        _takes_again(at)


def test_gzip_bombs(tmp_path: Path) -> None:
    # a gigabyte of zeros in a megabyte
    press = zlib.compressobj(9, wbits=31)
    bomb = b"".join([press.compress(bytes(MIB)) for _ in range(1024)]) + press.flush()
    assert len(bomb) < 2 * MIB
    with running(tmp_path, {"limit_mib": 400, "check_interval": "100ms"}) as (process, at):
        with Watch(process.pid) as watch:
            before = watch.now
            for _ in range(3):
                assert post(at["otlp/http"], Signal.TRACES, bomb, encoding="gzip")[0] in (413, 503)
        assert watch.peak < before + 200 * MIB, f"{watch.peak / MIB:.0f} MiB"
        _takes_again(at)


def test_a_limit_that_is_too_small_refuses_and_says_so_once(tmp_path: Path) -> None:
    with running(tmp_path, {"limit_mib": 10, "check_interval": "50ms"}) as (process, at):
        with GrpcClient(at["otlp/grpc"]) as client:
            error = client.refusal(Signal.TRACES, otlp.tasks("Planner", 1))
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert "grpc-status-details-bin" in dict(error.trailing_metadata())
            client.export(Signal.LOGS, otlp.logs())
        status, headers, _ = post(
            at["otlp/http"], Signal.TRACES, gzip.compress(otlp.tasks("Planner", 1)), encoding="gzip"
        )
        assert status == 503
        assert int(headers["retry-after"]) >= 1
        time.sleep(1.0)
        said = [line for line in process.log.splitlines() if " memory: " in line]
        assert len(said) == 1, said
        assert "above the limit of 10 MiB" in said[0]


def test_a_hundred_thousand_agents_are_bounded_by_overflow(tmp_path: Path) -> None:
    performance = {"monitoring_interval": "5s", "evaluation_window": "10s", "limits": {"max_agents": 200}}
    with running(tmp_path, {"limit_mib": 2000}, performance=performance) as (process, at):
        now_ns = time.time_ns()

        def spans(first: int) -> bytes:
            return otlp.traces([otlp.task_span(f"agent-{n}", end_ns=now_ns) for n in range(first, first + 1000)])

        with GrpcClient(at["otlp/grpc"]) as client, Watch(process.pid) as watch:
            for first in range(0, 10_000, 1000):
                client.export(Signal.TRACES, spans(first))
            settled = watch.now
            for first in range(10_000, 100_000, 1000):
                client.export(Signal.TRACES, spans(first))
            # caches of names and attributes have bounds of their own, which may have to fill up first
            assert watch.now < settled + 100 * MIB, f"{settled / MIB:.0f} to {watch.now / MIB:.0f} MiB"
        api = Api(at["api"])
        assert len(eventually(lambda: api.get("/api/v1/agents")["agents"])) <= 201


def _takes_again(at: dict[str, str]) -> None:
    """Within seconds it is as before."""

    def is_taken() -> bool:
        with GrpcClient(at["otlp/grpc"]) as client:
            try:
                client.export(Signal.TRACES, otlp.tasks("Planner", 1))
                return True
            except grpc.RpcError:
                return False

    eventually(is_taken, timeout_s=30)
