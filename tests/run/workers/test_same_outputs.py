"""The law of one process holds for several: the same stream, whoever of them gets which part, has the same outputs."""

from __future__ import annotations

import random
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from bmad_processor.model import Signal
from bmad_processor.store import StoreReader
from tests.run import otlp
from tests.run.collectors import FAST, write_config
from tests.run.otlp import SECOND, GrpcClient

from .together import together

START_NS = 1_800_000_000 * SECOND

Request = tuple[Signal, bytes]


def requests_of(second: int) -> list[Request]:
    """What seven agents of two programs send in a second of a minute in which some of them get into trouble and out."""
    now_ns = START_NS + second * SECOND
    bad = 15 <= second < 30
    found: list[Request] = []
    for instance in ("one", "two"):
        for agent in ("A", "B", "C"):
            n_failed = 3 if bad and agent != "C" else 0
            for n, is_error in ((4, False), (n_failed, True)):
                spans = [
                    otlp.task_span(agent, end_ns=now_ns, duration_s=0.1 + 0.01 * k, is_error=is_error) for k in range(n)
                ]
                found += [(Signal.TRACES, otlp.traces(spans, instance=instance))] if spans else []
        values: list[Metric] = []
        for agent in ("D", "E"):
            failed = max(0, 4 * (min(second, 30) - 15)) if agent == "D" else 0
            values.append(
                otlp.task_totals(
                    agent,
                    ok=(START_NS, 5 * (second + 1)),
                    errors=(START_NS + 15 * SECOND, failed),
                    time_ns=now_ns,
                )
            )
        values.append(otlp.gauge("bmad.agent.queue.size", "E", [float(second % 7)], time_ns=now_ns))
        found.append((Signal.METRICS, otlp.metrics(*values, instance=instance)))
        # exemplars of what the metric counts
        found.append((Signal.TRACES, otlp.tasks("E", 5, end_ns=now_ns, instance=instance)))
    return found


def outputs(path: Path) -> dict[str, Any]:
    with StoreReader(str(path.with_name("state.db"))).snapshot() as snapshot:
        partitions = {str(partition.key): partition for partition in snapshot.partitions()}
        return {
            "tasks": {key: (p.tasks_total, p.errors_total) for key, p in partitions.items()},
            "baselines": {key: {name: (b.n, pytest.approx(b.mean)) for name, b in p.baselines.items()}
                          for key, p in partitions.items()},
            "history": {(key, name): [(at, pytest.approx(v), n) for at, v, n in snapshot.history(key, name, 999)]
                        for key in partitions for name in snapshot.metric_types(key)},
            "alerts": sorted((a["alert_id"], a["level"], a["status"], a["resolved_ns"]) for a in snapshot.alerts()),
            "hints": sorted(hint["agent"] + hint["reason"] for hint in snapshot.hint_log(999)),
            "unsent": snapshot.unsent(),
        }  # fmt: skip


def run(folder: Path, n: int, *, seed: int, also: int | None = None) -> dict[str, Any]:
    """Outputs of ``n`` workers; after half of the time of ``also`` workers on the same store, when it is given."""
    folder.mkdir()
    path = write_config(folder, performance={**FAST, "commit_interval": "1m"}, is_scaling=True)
    chance = random.Random(seed)
    now = [START_NS]
    parts = [range(50)] if also is None else [range(25), range(25, 50)]
    for part, workers in zip(parts, (n, also), strict=False):
        assert workers is not None
        with together(path, workers, clock=lambda: now[0]) as running, ExitStack() as stack:
            clients = [stack.enter_context(GrpcClient(endpoint)) for endpoint in running.endpoints]
            for second in part:
                now[0] = START_NS + second * SECOND + SECOND // 2
                for signal, body in requests_of(second):
                    chance.choice(clients).export(signal, body)
                running.settle()
    return outputs(path)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = run(tmp_path_factory.mktemp("one") / "run", 1, seed=0)
    assert {alert_id.partition("_")[0] for alert_id, *_ in found["alerts"]} == {"A", "B", "D"}
    assert all(status == "resolved" for _, _, status, _ in found["alerts"])
    assert found["tasks"]["agent//E"] == (2 * 5 * 50, 0), "metrics are the truth: spans are not counted beside them"
    return found


@pytest.mark.parametrize("n", [2, 3])
def test_any_number_of_workers_says_the_same(n: int, tmp_path: Path, expected: dict[str, Any]) -> None:
    assert run(tmp_path / "run", n, seed=n) == expected


@pytest.mark.parametrize(("before", "after"), [(2, 3), (3, 1)])
def test_another_number_of_workers_goes_on(before: int, after: int, tmp_path: Path, expected: dict[str, Any]) -> None:
    assert run(tmp_path / "run", before, seed=7, also=after) == expected
