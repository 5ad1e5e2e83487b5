"""`trends` and `predict` against a store file that an engine filled."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bmad_processor import engine
from bmad_processor.model import Batch, HistoryPoint, PartitionKey, Reading
from bmad_processor.settings import SECOND, EngineSettings
from bmad_processor.state import EngineState
from bmad_processor.state_json import dump_partition
from bmad_processor.store import Commit, SqliteStore

from .conftest import Run

KEY = PartitionKey("agent", "", "ProductOwner")


def rising(until_ns: int) -> Iterator[Batch]:
    """Two instances whose CPU usage rises from 20 % to 60 % within 30 minutes, told every 5 s."""
    for i in range(360):
        at_ns = until_ns - (359 - i) * 5 * SECOND
        value = 0.2 + 0.4 * i / 359
        yield Batch(at_ns, tuple(Reading(KEY, name, "cpu_usage", "", at_ns, value) for name in ("a", "b")))


@pytest.fixture
def watched(tmp_path: Path) -> str:
    """The file of a collector that has heard those two until now."""
    path, settings = str(tmp_path / "watched.db"), EngineSettings()
    history: list[HistoryPoint] = []
    state = EngineState()
    for batch in rising(time.time_ns()):
        history += engine.step(state, batch, settings).outputs.history
    with SqliteStore(path) as store:
        store.save_settings(settings, state.now_ns)
        partitions = {str(p.key): dump_partition(p) for p in state.partitions.values()}
        store.commit(Commit(now_ns=state.now_ns, partitions=partitions, history=history))
    return path


def test_trends(run: Run, watched: str) -> None:
    shown = run("trends", "product-owner", "--window", "45m", "--state", watched)
    assert shown.returncode == 0
    head, row = shown.stdout.splitlines()[:2]
    assert head.split() == ["Metric", "Direction", "Per", "hour", "95", "%", "n", "Over", "Why"]
    assert row.split()[:2] == ["cpu_usage", "increasing"]
    assert float(row.split()[2].strip("+%")) == pytest.approx(80, rel=0.02)
    as_json = run("trends", "ProductOwner", "--metric", "cpu_usage", "--json", "--state", watched)
    trend = json.loads(as_json.stdout)["trends"]["cpu_usage"]
    assert {"trend", "direction", "magnitude"} < trend.keys()
    assert trend["significant"]


def test_predict(run: Run, watched: str) -> None:
    shown = run("predict", "ProductOwner", "--horizon", "25m", "--state", watched)
    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
    assert lines[0] == "ProductOwner: scale_up, 2 -> 3 instances, urgency medium"
    assert lines[1].startswith("cpu_usage rising, so at the highest of the next 25m: cpu_usage ")
    assert lines[3].split()[:5] == ["Metric", "Now", "Per", "hour", "In"]
    found = json.loads(run("predict", "ProductOwner", "--json", "--state", watched).stdout)
    assert {"action", "reason", "urgency", "current", "desired", "max_instances", "evidence"} < found.keys()


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["trends", "ProductOwnr"], 2),
        (["trends", "ProductOwner", "--window", "3"], 2),
        (["trends", "ProductOwner", "--metric", "cpu"], 2),
        (["predict", "ProductOwner", "--horizon", "2d"], 2),
        (["predict", " "], 2),
        (["trends"], 2),
    ],
)
def test_wrong_usage(run: Run, watched: str, args: list[str], code: int) -> None:
    found = run(*args, "--state", watched)
    assert (found.returncode, found.stdout) == (code, "")
    assert found.stderr


@pytest.mark.parametrize("command", ["trends", "predict"])
def test_no_data(run: Run, state: str, closed_endpoint: str, command: str) -> None:
    """An agent without history, and nobody to ask."""
    found = run(command, "team/x", "--state", state)
    assert found.returncode == 3
    assert found.stdout.strip().startswith("No values yet." if command == "trends" else "team/x: maintain")
    assert run(command, "x", "--endpoint", closed_endpoint).returncode == 3
