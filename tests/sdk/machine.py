"""Recorded machines, and their metrics as a reader of a real meter provider sees them.

`machines/*.txt` hold files of /proc and /sys, one after the other below lines ``==> path <==``; ``==> path/ <==`` is an
empty directory and ``==> path -> target <==`` a symbolic link.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace as Record
from typing import Any

import psutil
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from bmad_otel._host import Mode, Sources, observe_host

MACHINES = Path(__file__).parent / "machines"


def unpack(name: str, root: Path) -> Path:
    """The files of the recorded machine ``name`` below ``root``."""
    text = (MACHINES / f"{name}.txt").read_text()
    pieces = re.split(r"^==> (.*) <==\n", text, flags=re.MULTILINE)[1:]
    for path, content in zip(pieces[::2], pieces[1::2], strict=True):
        name, _, target = path.partition(" -> ")
        where = root / name
        if name.endswith("/"):
            where.mkdir(parents=True)
            continue
        where.parent.mkdir(parents=True, exist_ok=True)
        if target:
            where.symlink_to(target)
        else:
            where.write_text(content.rstrip("\n") + "\n")
    return root


class Probe:
    """What psutil would say of a machine with four CPUs; a test changes what it needs."""

    def __init__(self) -> None:
        self.process_cpu = Record(user=1.0, system=0.5, children_user=9.0, children_system=9.0, iowait=0.25)
        self.cpu = Record(
            user=100.0, nice=1.0, system=50.0, idle=1000.0, iowait=5.0, irq=1.0, softirq=2.0, steal=0.0, guest=10.0
        )
        self.memory: Any = Record(total=8_000, free=2_000, available=3_000)
        self.swap: Any = Record(used=1_000, free=3_000, total=4_000)
        self.disks: Any = {"sda": Record(read_bytes=10, write_bytes=20), "sdb": Record(read_bytes=1, write_bytes=2)}
        self.disk: Any = Record(read_bytes=11, write_bytes=22)
        self.interfaces: Any = {
            "lo": Record(bytes_recv=1_000_000, bytes_sent=1_000_000),
            "eth0": Record(bytes_recv=30, bytes_sent=40),
            "docker0": Record(bytes_recv=3, bytes_sent=4),
        }
        self.process: Any = Record(
            oneshot=contextlib.nullcontext,
            cpu_times=lambda: self.process_cpu,
            memory_info=lambda: Record(rss=400, vms=9_999),
            num_threads=lambda: 7,
            num_fds=lambda: 13,
            io_counters=lambda: Record(read_bytes=5, write_bytes=6),
            create_time=lambda: 1_000.0,
        )
        self.asked_for: list[int] = []

    def Process(self, pid: int) -> Any:  # noqa: N802
        self.asked_for.append(pid)
        return self.process

    def boot_time(self) -> float:
        return 400.0

    def cpu_count(self) -> int | None:
        return 4

    def cpu_times(self) -> Any:
        return self.cpu

    def virtual_memory(self) -> Any:
        return self.memory

    def swap_memory(self) -> Any:
        return self.swap

    def disk_usage(self, path: str) -> Any:
        return Record(total=1_000, used=600, free=350, percent=63.2)

    def disk_io_counters(self, perdisk: bool = False, nowrap: bool = True) -> Any:
        return self.disks if perdisk else self.disk

    def net_io_counters(self, pernic: bool = False, nowrap: bool = True) -> Any:
        return self.interfaces


class PsutilOf:
    """psutil itself, reading a recorded /proc; what it asks the kernel instead of files is fixed."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(psutil, "PROCFS_PATH", str(root / "proc"), raising=False)

    def __getattr__(self, name: str) -> Any:
        return getattr(psutil, name)

    def Process(self, pid: int) -> Any:  # noqa: N802
        return psutil.Process(4711)

    def cpu_count(self) -> int | None:
        return 2

    def disk_usage(self, path: str) -> Any:
        return Record(total=1_000, used=600, free=350, percent=63.2)


class Observed:
    """`observe_host` on a machine whose clock the test moves."""

    def __init__(self, root: Path, probe: Any = None, *, mode: Mode = True, **sources: Any) -> None:
        self.now_s = 100.0
        self.probe = probe if probe is not None else Probe()
        self.garbage = [{"collections": 30 - g, "collected": 3 * g, "uncollectable": g} for g in range(3)]
        defaults = Sources(
            probe=self.probe, root=root, clock_s=lambda: self.now_s, uptime_s=lambda: 1_000.0 + self.now_s,
            own_cpus=lambda: 4, garbage=lambda: self.garbage, filesystem="/", lock_directory=lambda: root,
            own_usage=lambda: Record(ru_nvcsw=8, ru_nivcsw=9, ru_majflt=1, ru_minflt=2),
        )  # fmt: skip
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)
        self.sources = dataclasses.replace(defaults, **sources)
        self.host = observe_host(self.provider.get_meter("bmad_otel"), mode, self.sources)

    def metrics(self, after_s: float = 10.0) -> dict[str, Any]:
        """Metrics by name, ``after_s`` seconds later."""
        self.now_s += after_s
        data = self.reader.get_metrics_data()
        if data is None or not data.resource_metrics:
            return {}
        return {m.name: m for m in data.resource_metrics[0].scope_metrics[0].metrics}

    def values(self, after_s: float = 10.0) -> dict[str, dict[str, float]]:
        """Values by metric and its first attribute."""
        return {
            name: {str(next(iter(p.attributes.values()), "")): p.value for p in metric.data.data_points}
            for name, metric in self.metrics(after_s).items()
        }
