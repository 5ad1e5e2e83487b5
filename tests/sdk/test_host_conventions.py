"""Every metric of the process, container and host is one of the registry, in name, unit, kind, type and attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import Gauge, Sum

from bmad_otel import semconv

from .machine import Observed, PsutilOf, unpack
from .registry import REGISTRY, REQUIRED, VALUES

MOST_SERIES = 71
"""As docs/sdk.md says: at most this many of one process, whatever the machine."""

EMITTED = semconv.PROCESS_METRICS + semconv.CONTAINER_METRICS + semconv.SYSTEM_METRICS

INSTRUMENTS = {"counter": "counter", "up_down_counter": "updowncounter", "gauge": "gauge"}


def instrument_of(data: Any) -> str:
    if isinstance(data, Gauge):
        return "gauge"
    assert isinstance(data, Sum)
    return "counter" if data.is_monotonic else "updowncounter"


def violations(metrics: dict[str, Any]) -> list[str]:
    found = []
    for name, metric in metrics.items():
        row = REGISTRY.get(name)
        if row is None:
            found.append(f"{name}: not in the registry")
            continue
        if metric.unit != row.unit:
            found.append(f"{name}: unit {metric.unit}, not {row.unit}")
        if instrument_of(metric.data) != row.instrument:
            found.append(f"{name}: {instrument_of(metric.data)}, not {row.instrument}")
        for point in metric.data.data_points:
            keys = set(point.attributes)
            found += [f"{name}: attribute {key} is not of it" for key in keys - row.attributes.keys()]
            found += [
                f"{name}: lacks {key}" for key, level in row.attributes.items() if level == REQUIRED and key not in keys
            ]
            if type(point.value) is not row.value:
                found.append(f"{name}: {point.value!r} is no {row.value.__name__}")
            for key, value in point.attributes.items():
                allowed = row.modes if key == "cpu.mode" else VALUES.get(key)
                if allowed is not None and value not in allowed:
                    found.append(f"{name}: {key}={value}")
    return found


@pytest.mark.parametrize("row", EMITTED, ids=lambda row: row.name)
def test_the_table_of_names_follows_the_registry(row: semconv.Metric) -> None:
    wanted = REGISTRY[row.name]
    assert row.unit == wanted.unit
    assert INSTRUMENTS[row.instrument] == wanted.instrument
    assert set(row.attributes) <= wanted.attributes.keys()
    assert {key for key, level in wanted.attributes.items() if level == REQUIRED} <= set(row.attributes)


MACHINES = ("hybrid-host", "v1-nested", "v1-docker", "v2-docker", "v2-nested", "v2-host", "v2-unlimited-container")


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_emitted_violates_the_registry(machine: str, tmp_path: Path) -> None:
    host = Observed(unpack(machine, tmp_path))
    host.probe.cpu.user += 1
    metrics = host.metrics()
    assert violations(metrics) == []
    assert sum(len(metric.data.data_points) for metric in metrics.values()) <= MOST_SERIES
    assert {row.description for row in EMITTED} >= {metric.description for metric in metrics.values()}
    host.host.close()


@pytest.mark.parametrize("machine", ["hybrid-host", "v1-nested"])
def test_nor_anything_of_psutil_itself(machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Observed(tmp_path, PsutilOf(unpack(machine, tmp_path), monkeypatch))
    metrics = host.metrics()
    assert violations(metrics) == []
    assert set(metrics) >= {"process.cpu.time", "process.cpu.utilization", "process.disk.io", "system.cpu.time"}


def test_every_metric_of_the_table_is_emitted_somewhere(tmp_path: Path) -> None:
    host = Observed(unpack("v2-docker", tmp_path))
    host.probe.cpu.user += 1
    host.probe.process.num_handles = lambda: 1  # on Windows instead of file descriptors
    metrics = host.metrics()
    assert set(metrics) == {row.name for row in EMITTED}
    for row in EMITTED:
        for point in metrics[row.name].data.data_points:
            assert set(point.attributes) == set(row.attributes)
    # this machine has everything at once, which none really has
    assert sum(len(metric.data.data_points) for metric in metrics.values()) == MOST_SERIES + 1
