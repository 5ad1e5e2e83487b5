"""What happens to an alert when the disk is full, when the state file is damaged, and when the clock is set back."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bmad_processor.model import Signal

from . import otlp
from .backends import Backend
from .collectors import FAST, Api, Process, embedded, eventually, to_grpc, unsent, write_config
from .killable import Killable
from .otlp import SECOND, GrpcClient

EARLY = {
    "monitoring_interval": "5s",
    "evaluation_window": "60s",
    "commit_interval": "100ms",
    "alerts": {"min_tasks": 1, "early_interval": "20ms"},
}
"""A pane end is seconds away: what is said at once was judged as it arrived."""


def test_an_alert_is_said_long_before_the_pane_ends(tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    config = write_config(tmp_path, performance=EARLY, exporters={"otlp_grpc": to_grpc(backend_endpoint)})
    with embedded(config) as collector, GrpcClient(collector.endpoints["otlp/grpc"]) as client:
        for n in range(3):
            client.export(Signal.TRACES, otlp.tasks(f"Failing{n}", 5, is_error=True))
            began = time.monotonic()
            eventually(lambda n=n: len(backend.said("bmad.alert.fired")) == n + 1)  # type: ignore[misc]
            # lateness alone is 6 s; this is generous for a busy machine
            assert time.monotonic() - began < 3
    for event in backend.said("bmad.alert.fired"):
        assert "as it arrived" in event.reason["note"]


@contextmanager
def no_room(path: Path) -> Iterator[Callable[[], None]]:
    """Files of this process stop growing, as on a full disk, until the returned function is called."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    size = max((file.stat().st_size for file in path.parent.glob(path.name + "*")), default=0)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_on_a_full_disk_nothing_is_said_that_is_not_written(
    tmp_path: Path, backend_endpoint: str, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    config = write_config(tmp_path, performance=EARLY, exporters={"otlp_grpc": to_grpc(backend_endpoint)})
    with embedded(config) as collector, GrpcClient(collector.endpoints["otlp/grpc"]) as client:
        client.export(Signal.TRACES, otlp.tasks("Planner", 5))
        with no_room(tmp_path / "state.db-wal") as make_room:
            client.export(Signal.TRACES, otlp.tasks("Failing", 5, is_error=True))
            eventually(lambda: "could not commit" in caplog.text)
            client.export(Signal.TRACES, otlp.tasks("Failing too", 5, is_error=True))
            time.sleep(0.5)  # several commit intervals
            assert backend.said() == []
            assert len(backend.bodies(Signal.TRACES)) == 3, "telemetry goes on"
            make_room()
            eventually(lambda: len(backend.said("bmad.alert.fired")) == 2)
        api = Api(collector.endpoints["api"])
        eventually(lambda: len(api.alerts()) == 2)
    assert len(backend.said("bmad.alert.fired")) == 2, "once each"
    assert unsent(config) == 0


def test_a_file_cut_short_between_two_runs(tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    config = write_config(tmp_path, performance=EARLY, exporters={"otlp_grpc": to_grpc(backend_endpoint)})
    with embedded(config) as collector, GrpcClient(collector.endpoints["otlp/grpc"]) as client:
        for n in range(40):
            client.export(Signal.TRACES, otlp.tasks(f"Planner{n}", 5))
    state = tmp_path / "state.db"
    with state.open("r+b") as file:
        file.truncate(state.stat().st_size - 3 * 4096)
    with embedded(config) as collector, GrpcClient(collector.endpoints["otlp/grpc"]) as client:
        client.export(Signal.TRACES, otlp.tasks("Failing", 5, is_error=True))
        eventually(lambda: backend.said("bmad.alert.fired"))
        api = Api(collector.endpoints["api"])
        assert api.status()["engine"]["store_rescued"] == 1
    assert (tmp_path / "state.db.damaged-1").exists()


@pytest.mark.faults
def test_the_process_starts_on_a_file_cut_short_anywhere(tmp_path: Path) -> None:
    config = write_config(tmp_path, exporters={"debug": {}})
    state = tmp_path / "state.db"
    for part in range(1, 8):
        with Process(config, log=tmp_path / "log") as process:
            with GrpcClient(process.endpoints()["otlp/grpc"]) as client:
                for n in range(30):
                    client.export(Signal.TRACES, otlp.tasks(f"Planner{n}", 5))
            assert process.stop() == 0
            assert "Traceback" not in process.log
        with state.open("r+b") as file:
            file.truncate(state.stat().st_size * part // 8)
    with Process(config, log=tmp_path / "log") as process:
        assert Api(process.endpoints()["api"]).status()["engine"]["store_rescued"] >= 1
        assert "could be read" in process.log
        assert process.stop() == 0


def test_a_clock_set_back_by_an_hour_with_a_restart_in_between(
    tmp_path: Path, backend_endpoint: str, backend: Backend
) -> None:
    performance: dict[str, Any] = {**FAST, "alerts": {"cooldown": "1s", "min_tasks": 1, "early_interval": "100ms"}}
    config = write_config(tmp_path, performance=performance, exporters={"otlp_grpc": to_grpc(backend_endpoint)})
    now_ns = 1_800_000_000 * SECOND

    def seconds(collector: Killable, n: int, *, is_error: bool) -> None:
        nonlocal now_ns
        with GrpcClient(collector.endpoints["otlp/grpc"]) as client:
            for _ in range(n):
                now_ns += SECOND
                collector.tell("clock", now_ns)
                span = otlp.task_span("Planner", end_ns=now_ns, is_error=is_error)
                client.export(Signal.TRACES, otlp.traces([span]))
                Api(collector.endpoints["api"]).status()  # the engine has it now, at this time

    def said(collector: Killable, event_name: str) -> int:
        """How often that was said, a moment later."""
        nonlocal now_ns
        now_ns += SECOND // 10
        collector.tell("clock", now_ns)
        return len(backend.said(event_name))

    with Killable(config, now_ns) as first:
        seconds(first, 5, is_error=True)
        eventually(lambda: said(first, "bmad.alert.fired"))
        eventually(lambda: not unsent(config))
    now_ns -= 3600 * SECOND
    with Killable(config, now_ns) as second:
        seconds(second, 3, is_error=True)
        assert Api(second.endpoints["api"]).status()["engine"]["clock_set_back"] == 1
        assert said(second, "bmad.alert.fired") == 1, "the alert that is open is not said again"
        seconds(second, 10, is_error=False)
        # not an hour later
        eventually(lambda: said(second, "bmad.alert.resolved"))
        seconds(second, 5, is_error=False)
        seconds(second, 3, is_error=True)
        eventually(lambda: said(second, "bmad.alert.fired") == 2)
