"""Process and host metrics against a recorded machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace as Reading
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from bmad_otel import semconv
from bmad_otel._host import observe_host


class RecordedMachine:
    """Four CPUs, 8 GB; a test changes what it needs and moves the clock."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.process_cpu = Reading(user=1.0, system=0.5, children_user=9.0, children_system=9.0)
        self.cpu = Reading(
            user=100.0, nice=1.0, system=50.0, idle=1000.0, iowait=5.0, irq=1.0, softirq=2.0, steal=0.0, guest=10.0
        )
        self.memory: Any = Reading(
            total=8_000, free=2_000, buffers=500, cached=1_500, available=3_800, percent=52.5, used=4_000
        )
        self.disk: Any = Reading(read_bytes=10, write_bytes=20, read_count=1, write_count=2)
        self.network: Any = Reading(bytes_recv=30, bytes_sent=40)
        self.asked_for_pids: list[int] = []

    def Process(self, pid: int) -> Any:  # noqa: N802
        self.asked_for_pids.append(pid)
        return Reading(
            cpu_times=lambda: self.process_cpu,
            memory_info=lambda: Reading(rss=400, vms=9_999),
            num_threads=lambda: 7,
            create_time=lambda: 1_000.0,
        )

    def cpu_times(self) -> Any:
        return self.cpu

    def virtual_memory(self) -> Any:
        return self.memory

    def disk_io_counters(self) -> Any:
        return self.disk

    def net_io_counters(self) -> Any:
        return self.network


class Host:
    def __init__(self) -> None:
        self.machine = RecordedMachine()
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)
        observe_host(
            self.provider.get_meter("bmad_otel"), self.machine, clock_s=lambda: self.machine.now_s,
            wall_clock_s=lambda: 1_060.0, available_cpus=lambda: 4,
        )  # fmt: skip

    def metrics(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return {m.name: m for m in data.resource_metrics[0].scope_metrics[0].metrics}

    def values(self) -> dict[str, dict[str, float]]:
        return {
            name: {str(next(iter(p.attributes.values()), "")): p.value for p in metric.data.data_points}
            for name, metric in self.metrics().items()
        }


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setenv("BMAD_OTEL_RAISE_INTERNAL", "1")
    return Host()


def test_every_metric_of_the_table_with_its_unit_and_kind(host: Host) -> None:
    host.machine.now_s += 1
    host.machine.cpu.user += 1
    found = host.metrics()
    rows = semconv.PROCESS_METRICS + semconv.SYSTEM_METRICS
    assert set(found) == {row.name for row in rows}
    for row in rows:
        metric = found[row.name]
        assert metric.unit == row.unit
        assert metric.description == row.description
        for point in metric.data.data_points:
            assert set(point.attributes) == set(row.attributes)
        monotonic = getattr(metric.data, "is_monotonic", None)
        assert monotonic == {"counter": True, "up_down_counter": False, "gauge": None}[row.instrument]


def test_readings(host: Host) -> None:
    values = host.values()
    assert values["process.cpu.time"] == {"user": 1.0, "system": 0.5}
    assert values["process.memory.usage"] == {"": 400}
    assert values["process.memory.utilization"] == {"": 0.05}
    assert values["process.thread.count"] == {"": 7}
    assert values["process.uptime"] == {"": 60.0}
    assert values["system.cpu.time"] == {
        "user": 100.0, "nice": 1.0, "system": 50.0, "idle": 1000.0, "iowait": 5.0, "interrupt": 3.0, "steal": 0.0,
    }  # fmt: skip
    assert values["system.memory.usage"] == {"used": 4_000, "free": 2_000, "buffers": 500, "cached": 1_500}
    assert sum(values["system.memory.usage"].values()) == host.machine.memory.total
    assert values["system.memory.utilization"] == {"used": 0.5, "free": 0.25, "buffers": 0.0625, "cached": 0.1875}
    assert values["system.disk.io"] == {"read": 10, "write": 20}
    assert values["system.network.io"] == {"receive": 30, "transmit": 40}


def test_utilization_is_the_change_since_the_last_observation(host: Host) -> None:
    host.machine.now_s += 10
    host.machine.process_cpu.user += 20  # of 40 CPU seconds there were
    host.machine.cpu.user += 10
    host.machine.cpu.idle += 30
    values = host.values()
    assert values["process.cpu.utilization"] == {"user": 0.5, "system": 0.0}
    assert values["system.cpu.utilization"]["user"] == 0.25
    assert values["system.cpu.utilization"]["idle"] == 0.75
    assert sum(values["system.cpu.utilization"].values()) == pytest.approx(1)
    # looking again at once gives the same instead of the noise of a few clock ticks
    assert host.values()["system.cpu.utilization"] == values["system.cpu.utilization"]


def test_a_counter_that_steps_back_is_no_negative_use(host: Host) -> None:
    host.machine.now_s += 10
    host.machine.cpu.idle -= 5
    host.machine.cpu.user += 5
    values = host.values()["system.cpu.utilization"]
    assert values["user"] == 1.0
    assert min(values.values()) == 0


def test_a_machine_without_disks_network_and_linux_fields(host: Host) -> None:
    host.machine.disk = None
    host.machine.network = None
    host.machine.cpu = Reading(user=1.0, nice=0.0, system=1.0, idle=8.0)
    host.machine.memory = Reading(total=100, free=25, available=50)
    values = host.values()
    assert "system.disk.io" not in values
    assert "system.network.io" not in values
    assert values["system.cpu.time"] == {"user": 1.0, "nice": 0.0, "system": 1.0, "idle": 8.0}
    assert values["system.memory.usage"] == {"used": 75, "free": 25}


def test_one_failing_source_costs_only_its_metric(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMAD_OTEL_RAISE_INTERNAL", "0")

    def refuse() -> Any:
        raise PermissionError("/proc/diskstats")

    monkeypatch.setattr(host.machine, "disk_io_counters", refuse)
    values = host.values()
    assert "system.disk.io" not in values
    assert values["system.network.io"] == {"receive": 30, "transmit": 40}


def test_the_process_is_found_again_after_a_fork(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.values()
    child: Callable[[], int] = lambda: 4711  # noqa: E731
    monkeypatch.setattr(os, "getpid", child)
    host.values()
    assert host.machine.asked_for_pids[-1] == 4711
    assert len(host.machine.asked_for_pids) == 2
