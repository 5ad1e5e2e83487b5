"""Process and host metrics of a machine that psutil describes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace as Record
from typing import Any

import psutil
import pytest

from bmad_otel import semconv
from bmad_otel._host import observe_host

from .machine import Observed, Probe, PsutilOf, unpack


@pytest.fixture(autouse=True)
def _loud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMAD_OTEL_RAISE_INTERNAL", "1")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Observed]:
    """A machine without /proc and /sys, as macOS and Windows are."""
    observed = Observed(tmp_path)
    yield observed
    observed.host.close()


def test_readings_of_psutil(host: Observed) -> None:
    values = host.values()
    assert values["process.cpu.time"] == {"user": 1.0, "system": 0.5, "wait": 0.25}
    assert values["process.memory.usage"] == {"": 400}
    assert values["process.memory.virtual"] == {"": 9_999}
    assert values["process.memory.utilization"] == {"": 0.05}
    assert values["process.disk.io"] == {"read": 5, "write": 6}
    assert values["process.thread.count"] == {"": 7}
    assert values["process.context_switches"] == {"voluntary": 8, "involuntary": 9}
    assert values["process.paging.faults"] == {"major": 1, "minor": 2}
    assert values["process.uptime"] == {"": 1_110.0 - 600.0}  # it started 600 s after the machine
    assert values["cpython.gc.collections"] == {"0": 30, "1": 29, "2": 28}
    assert values["cpython.gc.collected_objects"] == {"0": 0, "1": 3, "2": 6}
    assert values["cpython.gc.uncollectable_objects"] == {"0": 0, "1": 1, "2": 2}
    assert values["system.cpu.time"] == {
        "user": 100.0, "nice": 1.0, "system": 50.0, "idle": 1000.0, "iowait": 5.0, "interrupt": 3.0, "steal": 0.0,
    }  # fmt: skip
    assert values["system.cpu.logical.count"] == {"": 4}
    assert values["system.memory.usage"] == {"used": 5_000, "free": 2_000}
    assert values["system.memory.utilization"] == {"used": 0.625, "free": 0.25}
    assert values["system.memory.limit"] == {"": 8_000}
    assert values["system.paging.usage"] == {"used": 1_000, "free": 3_000}
    assert values["system.paging.utilization"] == {"used": 0.25, "free": 0.75}
    assert values["system.disk.io"] == {"read": 11, "write": 22}
    assert values["system.network.io"] == {"receive": 33, "transmit": 44}
    assert values["system.filesystem.usage"] == {"used": 600, "free": 350, "reserved": 50}
    assert values["system.filesystem.utilization"] == {"used": 0.6, "free": 0.35, "reserved": 0.05}
    assert values["system.uptime"] == {"": 1_110.0}
    assert not [name for name in values if name.startswith("container.") or "linux" in name]


def test_readings_of_a_recorded_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = PsutilOf(unpack("v1-nested", tmp_path), monkeypatch)
    host = Observed(tmp_path, probe, uptime_s=lambda: 13_200.0)
    values = host.values()
    assert values["process.cpu.time"] == {"user": 0.17, "system": 0.06}  # this kernel does not count waiting
    assert values["process.memory.usage"] == {"": 10_354 * os.sysconf("SC_PAGE_SIZE")}
    assert values["process.memory.virtual"] == {"": 66_304 * os.sysconf("SC_PAGE_SIZE")}
    assert values["process.memory.utilization"] == {"": 10_354 * os.sysconf("SC_PAGE_SIZE") / 2**29}
    assert values["process.thread.count"] == {"": 4}
    assert values["process.unix.file_descriptor.count"] == {"": 9}  # the recorded list has the one used to list
    assert values["process.uptime"] == {"": pytest.approx(13_200.0 - 13_132.27)}
    assert values["system.cpu.time"] == {
        "user": 9130.32, "nice": 316.77, "system": 1112.25, "idle": 15359.71, "iowait": 73.6, "interrupt": 57.98,
        "steal": 145.39,
    }  # fmt: skip
    kib = 1024
    states = {"used": 24_684_096 - 23_726_344, "free": 22_909_060, "buffers": 15_420, "cached": 828_060 + 277_020}
    assert values["system.memory.usage"] == {state: value * kib for state, value in states.items()}
    assert values["system.memory.limit"] == {"": 24_684_096 * kib}
    assert values["system.memory.linux.available"] == {"": 23_726_344 * kib}
    assert values["system.paging.usage"] == {"used": 0, "free": 0}
    assert "system.paging.utilization" not in values  # no swap, no share of it
    assert values["system.disk.io"] == {"read": 15_784_290 * 512, "write": 16_341_352 * 512}
    assert values["system.network.io"] == {"receive": 2_232_623_258, "transmit": 6_919_771}


def test_utilization_is_the_change_since_the_last_observation(host: Observed) -> None:
    host.probe.process_cpu.user += 20  # of 40 CPU seconds there were
    host.probe.cpu.user += 10
    host.probe.cpu.idle += 30
    values = host.values()
    assert values["process.cpu.utilization"] == {"user": 0.5, "system": 0.0, "wait": 0.0}
    assert values["system.cpu.utilization"]["user"] == 0.25
    assert values["system.cpu.utilization"]["idle"] == 0.75
    assert sum(values["system.cpu.utilization"].values()) == pytest.approx(1)
    # looking again at once gives the same instead of the noise of a few clock ticks
    host.probe.cpu.user += 1
    assert host.values(after_s=0.05)["system.cpu.utilization"] == values["system.cpu.utilization"]


def test_all_instruments_of_a_collection_show_one_reading(host: Observed) -> None:
    reads = []
    host.probe.process.memory_info = lambda: reads.append(1) or Record(rss=len(reads), vms=len(reads))
    values = host.values()
    assert values["process.memory.usage"] == values["process.memory.virtual"] == {"": 1}
    assert values["process.memory.utilization"] == {"": 1 / 8_000}


def test_a_counter_that_steps_back_is_no_negative_use(host: Observed) -> None:
    host.probe.cpu.idle -= 5
    host.probe.cpu.user += 5
    values = host.values()["system.cpu.utilization"]
    assert values["user"] == 1.0
    assert min(values.values()) == 0


def test_windows_counts_handles_and_switches_of_one_kind(tmp_path: Path) -> None:
    probe = Probe()
    del probe.process.num_fds
    probe.process.num_handles = lambda: 99
    probe.process.num_ctx_switches = lambda: Record(voluntary=12, involuntary=0)
    values = Observed(tmp_path, probe, own_usage=lambda: None).values()
    assert values["process.windows.handle.count"] == {"": 99}
    assert values["process.context_switches"] == {"voluntary": 12}
    assert "process.unix.file_descriptor.count" not in values
    assert "process.paging.faults" not in values


def test_a_machine_without_disks_network_and_linux_fields(tmp_path: Path) -> None:
    probe = Probe()
    probe.disks, probe.disk, probe.interfaces = None, None, None
    probe.cpu = Record(user=1.0, nice=0.0, system=1.0, idle=8.0)
    probe.process_cpu = Record(user=1.0, system=0.5)
    del probe.process.io_counters
    values = Observed(tmp_path, probe).values()
    assert not {"system.disk.io", "system.network.io", "process.disk.io"} & values.keys()
    assert values["system.cpu.time"] == {"user": 1.0, "nice": 0.0, "system": 1.0, "idle": 8.0}
    assert values["process.cpu.time"] == {"user": 1.0, "system": 0.5}


@pytest.mark.parametrize("error", [PermissionError("/proc"), NotImplementedError("no"), psutil.AccessDenied(1)])
def test_what_may_not_be_read_gives_no_points_and_no_error(tmp_path: Path, error: Exception) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    def no_directory() -> Path:
        raise FileNotFoundError("no temporary directory")

    probe = Probe()
    probe.process.io_counters = probe.process.num_fds = refuse
    for source in ("cpu_times", "disk_io_counters", "net_io_counters", "disk_usage", "virtual_memory", "cpu_count"):
        setattr(probe, source, refuse)
    values = Observed(tmp_path, probe, lock_directory=no_directory, mode="auto").values()
    assert {name for name in values if name.startswith("system.")} == {"system.uptime"}
    assert values["process.thread.count"] == {"": 7}
    assert not {"process.disk.io", "process.unix.file_descriptor.count", "process.memory.utilization"} & values.keys()


def test_without_proc_there_are_no_process_metrics(tmp_path: Path) -> None:
    class NoProcess(Probe):
        def Process(self, pid: int) -> Any:  # noqa: N802
            raise psutil.NoSuchProcess(pid)

    names = {name for name in Observed(tmp_path, NoProcess()).values() if name.startswith("process.")}
    assert names == set()


def test_one_failing_source_costs_only_its_metrics(host: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMAD_OTEL_RAISE_INTERNAL", "0")

    def fail() -> Any:
        raise ValueError("a file of another format")

    host.probe.process.memory_info = fail
    values = host.values()
    assert not [name for name in values if name.startswith("process.")]
    assert values["system.network.io"] == {"receive": 33, "transmit": 44}


def test_partitions_volumes_and_bridges_are_not_counted_twice(tmp_path: Path) -> None:
    unpack("v1-nested", tmp_path)  # vda and eth0 have hardware behind them
    probe = Probe()
    probe.disks = {
        "vda": Record(read_bytes=100, write_bytes=200), "vda1": Record(read_bytes=100, write_bytes=200),
        "dm-0": Record(read_bytes=90, write_bytes=190), "loop0": Record(read_bytes=5, write_bytes=0),
    }  # fmt: skip
    values = Observed(tmp_path, probe).values()
    assert values["system.disk.io"] == {"read": 100, "write": 200}
    assert values["system.network.io"] == {"receive": 30, "transmit": 40}


def test_a_network_interface_that_goes_is_no_restart_of_the_counter(host: Observed) -> None:
    assert host.values()["system.network.io"] == {"receive": 33, "transmit": 44}
    del host.probe.interfaces["docker0"]
    host.probe.interfaces["eth0"].bytes_recv += 5
    assert host.values()["system.network.io"] == {"receive": 38, "transmit": 44}
    host.probe.interfaces["docker0"] = Record(bytes_recv=2, bytes_sent=0)  # a new one: from 0
    assert host.values()["system.network.io"] == {"receive": 40, "transmit": 44}


def test_true_reports_everything_although_another_does_too(tmp_path: Path) -> None:
    values = [Observed(tmp_path, mode=True).values() for _ in range(2)]
    assert values[0].keys() == values[1].keys() >= {"system.cpu.time", "process.cpu.time"}


def test_false_reports_nothing(tmp_path: Path) -> None:
    assert Observed(unpack("v2-docker", tmp_path), mode=False).metrics() == {}


def test_any_other_mode_is_refused(host: Observed) -> None:
    with pytest.raises(ValueError, match="host_metrics must be True, False or 'auto', not 'yes'"):
        observe_host(host.provider.get_meter("x"), "yes")  # type: ignore[arg-type]


def test_this_machine() -> None:
    """Nothing recorded: what the machine of this test says is as it must be."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    host = observe_host(provider.get_meter("bmad_otel"), True)

    def values() -> dict[str, dict[str, float]]:
        data = reader.get_metrics_data()
        assert data is not None
        return {
            m.name: {str(next(iter(p.attributes.values()), "")): p.value for p in m.data.data_points}
            for m in data.resource_metrics[0].scope_metrics[0].metrics
        }

    me = psutil.Process()
    before = me.num_threads()  # a thread of another test may end in this moment
    first = values()
    assert first["process.memory.usage"][""] == pytest.approx(me.memory_info().rss, rel=0.2)
    assert me.num_threads() <= first["process.thread.count"][""] <= before
    assert 0 < first["process.uptime"][""] < first["system.uptime"][""]
    assert first["system.memory.limit"][""] == psutil.virtual_memory().total
    assert sum(first["system.filesystem.utilization"].values()) == pytest.approx(1)
    assert set(first) <= {
        row.name for row in semconv.PROCESS_METRICS + semconv.CONTAINER_METRICS + semconv.SYSTEM_METRICS
    }
    host.close()


def test_open_files_are_counted_without_the_one_that_counts(tmp_path: Path) -> None:
    host = Observed(tmp_path, psutil)

    def count() -> float:
        return host.values()["process.unix.file_descriptor.count"][""]

    before = count()
    files = [(tmp_path / "file").open("w") for _ in range(10)]
    assert count() == before + 10
    for file in files:
        file.close()
    assert count() == before
    # each descriptor can be asked for; those that cannot are not open
    opened = 0
    for descriptor in range(4096):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        opened += 1
    assert before == opened
