"""The process is killed between the numbers of the commit order (`run/commit.py`), and starts again on what is left.

The collector's clock is the test's: seconds pass when the test says so. The sender reports running totals, as SDKs do.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import grpc
import pytest

from bmad_processor.model import Signal
from bmad_processor.store import StoreReader

from . import otlp
from .backends import Backend, grpc_backend
from .collectors import FAST, Api, Process, eventually, learned, stored, to_grpc, unsent, write_config
from .killable import Killable
from .otlp import SECOND, GrpcClient

START_NS = 1_800_000_000 * SECOND

PERFORMANCE = {**FAST, "allowed_lateness": "0s", "commit_interval": "1m", "alerts": {"cooldown": "5s", "min_tasks": 1}}
"""Nothing is committed but alerts, and everything at a stop."""


class Sender:
    """An agent whose running totals outlive every restart of the collector."""

    def __init__(self) -> None:
        self.now_ns = START_NS
        self.n_ok = 0
        self.n_errors = 0
        self._errors_start_ns = 0

    def seconds(self, collector: Killable, n: int, *, n_ok: int = 0, n_errors: int = 0) -> None:
        """Works on for ``n`` seconds, reporting every second. Raises grpc.RpcError when the collector is gone."""
        with GrpcClient(collector.endpoints["otlp/grpc"]) as client:
            for _ in range(n):
                if n_errors and not self.n_errors:
                    self._errors_start_ns = self.now_ns
                self.now_ns += SECOND
                self.n_ok += n_ok
                self.n_errors += n_errors
                collector.tell("clock", self.now_ns + SECOND // 2)
                totals = otlp.task_totals(
                    "Planner",
                    ok=(START_NS, self.n_ok),
                    errors=(self._errors_start_ns, self.n_errors),
                    time_ns=self.now_ns,
                )
                client.export(Signal.METRICS, otlp.metrics(totals))


def alerts_in(config: Path) -> list[dict[str, object]]:
    with StoreReader(str(config.with_name("state.db"))).snapshot() as snapshot:
        return snapshot.alerts()


@pytest.mark.parametrize("step", ["step", "write", "send", "mark"])
def test_killed_at(step: str, tmp_path: Path, backend_endpoint: str, backend: Backend) -> None:
    config = write_config(tmp_path, performance=PERFORMANCE, exporters={"otlp_grpc": to_grpc(backend_endpoint)})
    sender = Sender()
    with Killable(config, sender.now_ns) as first:
        sender.seconds(first, 6, n_ok=10)
    before = learned(config, "Planner")
    assert before["response_time"][0] >= 3

    with Killable(config, sender.now_ns) as second:
        if step == "send":
            # the backend has the event, the collector does not know it yet
            backend.on_event = lambda: os.kill(second.pid, signal.SIGKILL)
        second.tell("kill", "later" if step == "send" else step)
        with pytest.raises((grpc.RpcError, BrokenPipeError, AssertionError)):
            sender.seconds(second, 100, n_errors=30)
        assert second.wait() == -signal.SIGKILL
    backend.on_event = None

    is_written = step != "step"
    assert unsent(config) == (step in ("write", "send"))
    assert len(alerts_in(config)) == is_written
    assert len(backend.said("bmad.alert.fired")) == (step in ("send", "mark"))
    committed = learned(config, "Planner")
    if not is_written:
        assert committed == before
    for name, (n, _) in before.items():
        assert committed[name][0] >= n

    with Killable(config, sender.now_ns) as third:
        api = Api(third.endpoints["api"])
        if is_written:
            # what was written and not confirmed is said without waiting for anything to arrive
            eventually(lambda: not unsent(config))
        sender.seconds(third, 3, n_errors=30)
        eventually(lambda: backend.said("bmad.alert.fired"))
        alert = eventually(api.alerts)[0]
    events = backend.said("bmad.alert.fired")
    assert len(events) == (2 if step == "send" else 1)
    assert len({event.event_id for event in events}) == 1, "said again under the same id"
    assert {event.attributes["bmad.alert.id"] for event in events} == {alert["alert_id"]}
    if is_written:
        assert [row["alert_id"] for row in alerts_in(config)] == [alert["alert_id"]]
    after = learned(config, "Planner")
    for name, (n, _) in committed.items():
        assert after[name][0] >= n
    assert after["throughput"][0] > committed["throughput"][0], "learning went on"
    # running totals lose nothing, whenever the process was killed
    partition = stored(config, "Planner")
    assert (partition.tasks_total, partition.errors_total) == (sender.n_ok + sender.n_errors, sender.n_errors)

    with Killable(config, sender.now_ns) as fourth:
        sender.seconds(fourth, 8, n_ok=10)
        eventually(lambda: backend.said("bmad.alert.resolved"))
    (resolved,) = backend.said("bmad.alert.resolved")
    assert resolved.attributes["bmad.alert.id"] == alert["alert_id"]
    assert len(backend.said("bmad.alert.fired")) == len(events), "nothing is said after it was confirmed"
    assert unsent(config) == 0


def test_an_undelivered_event_is_said_after_the_restart(tmp_path: Path, backend: Backend) -> None:
    nowhere = {"otlp_grpc": to_grpc("127.0.0.1:1", retry_on_failure={"enabled": False})}
    config = write_config(tmp_path, performance=PERFORMANCE, exporters=nowhere)
    sender = Sender()
    with Killable(config, sender.now_ns) as first:
        sender.seconds(first, 3, n_errors=10)
        eventually(lambda: unsent(config))
    assert unsent(config) == 1
    alert_id = alerts_in(config)[0]["alert_id"]

    with grpc_backend(backend) as endpoint:
        config = write_config(tmp_path, performance=PERFORMANCE, exporters={"otlp_grpc": to_grpc(endpoint)})
        for _ in range(2):
            with Killable(config, sender.now_ns):
                eventually(lambda: not unsent(config))
    (event,) = backend.said("bmad.alert")
    assert event.attributes["bmad.alert.id"] == alert_id


def test_killed_at_any_moment_running_totals_stay_complete(
    tmp_path: Path, backend_endpoint: str, backend: Backend
) -> None:
    # An agent that had worked for longer than the window before anybody listened would rightly not have its tasks so
    # far counted. Killed before its first commit, the next process is the first who listens, and on a busy machine it
    # takes its time to start: a long window. Nor may anything be too late to be counted.
    performance = {**FAST, "evaluation_window": "2m", "allowed_lateness": "2m"}
    config = write_config(tmp_path, performance=performance, exporters={"otlp_grpc": to_grpc(backend_endpoint)})
    start_ns = 0
    n_ok = 0

    def report(client: GrpcClient) -> None:
        nonlocal n_ok
        n_ok += 7
        totals = otlp.task_totals("Planner", ok=(start_ns, n_ok), errors=(0, 0), time_ns=time.time_ns())
        client.export(Signal.METRICS, otlp.metrics(totals))

    for round_number in range(4):
        with Process(config, log=tmp_path / "log") as process:
            endpoints = process.endpoints()
            api = Api(endpoints["api"])
            start_ns = start_ns or time.time_ns()
            with GrpcClient(endpoints["otlp/grpc"]) as client:
                report(client)
                if round_number == 0:
                    eventually(lambda at=api: at.tasks_of("Planner"))
                # another moment of the commit interval in every round
                until_s = time.monotonic() + 0.2 + 0.033 * round_number
                while time.monotonic() < until_s:
                    report(client)
                if round_number == 3:
                    eventually(lambda at=api: at.tasks_of("Planner") == n_ok)
            process.signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            assert "Traceback" not in process.log
