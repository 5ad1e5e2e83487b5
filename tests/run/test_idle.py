"""A collector to which nobody sends anything: it costs nothing, and time passes for it all the same."""

from __future__ import annotations

import signal as signals
import time
from pathlib import Path

import psutil

from bmad_processor.model import Signal

from . import otlp
from .collectors import FAST, Api, Process, eventually, write_config
from .otlp import GrpcClient

WINDOW_S = 2.0
"""Long enough for twenty commit intervals."""


def test_an_idle_collector_does_not_spin(tmp_path: Path) -> None:
    config = write_config(tmp_path, performance=FAST, exporters={"debug": {}})
    with Process(config, log=tmp_path / "log") as process:
        process.endpoints()
        watched = psutil.Process(process.pid)
        before = watched.cpu_times()
        time.sleep(WINDOW_S)
        after = watched.cpu_times()
        assert (after.user - before.user) + (after.system - before.system) < WINDOW_S / 4
        assert process.stop() == 0


def test_an_open_alert_ends_after_a_restart_although_nothing_arrives(tmp_path: Path) -> None:
    performance = {**FAST, "alerts": {"min_tasks": 1, "no_data_after": "3s"}}
    config = write_config(tmp_path, performance=performance, exporters={"debug": {}})
    with Process(config, log=tmp_path / "first.log") as first:
        endpoints = first.endpoints()
        api = Api(endpoints["api"])
        with GrpcClient(endpoints["otlp/grpc"]) as client:

            def fired() -> bool:
                client.export(Signal.TRACES, otlp.tasks("Failing", 5, is_error=True))
                return bool(api.alerts())

            eventually(fired)
        first.signal(signals.SIGKILL)
        first.wait()
    with Process(config, log=tmp_path / "second.log") as second:
        api = Api(second.endpoints()["api"])
        eventually(lambda: all(alert["status"] == "resolved" for alert in api.alerts()))
        assert "no data for" in api.alerts()[0]["message"]
        assert second.stop() == 0
