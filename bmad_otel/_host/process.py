"""Metrics of this process. A forked child finds itself anew and starts with nothing of its parent's."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.metrics import Observation

from bmad_otel import semconv
from bmad_otel._host import files
from bmad_otel._host.allowance import Allowances
from bmad_otel._host.readings import Rate, Recent, by, one
from bmad_otel._host.sources import MISSING, Sources

_STARTED: Final = 22
"""Number of the field ``starttime`` in /proc/[pid]/stat, in clock ticks since the machine started; proc_pid_stat(5)."""

_LISTING_ITSELF: Final = 1 if sys.platform == "linux" else 0
"""File descriptors that psutil opens to list those that are open."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the process. What the platform does not say is None or empty."""

    cpu_s: dict[str, float]
    cpu_per_s: dict[str, float]
    resident_bytes: int | None
    virtual_bytes: int | None
    threads: int | None
    descriptors: int | None
    handles: int | None
    io_bytes: dict[str, int]
    context_switches: dict[str, int]
    faults: dict[str, int]
    uptime_s: float | None


_NOTHING: Final = Reading({}, {}, None, None, None, None, None, {}, {}, {}, None)
"""Of a process that cannot be read at all, as where /proc is not mounted."""


class Process:
    """The process we are in. CPU and memory utilization are shares of what it may use, not of the whole machine."""

    def __init__(self, sources: Sources, allowances: Allowances) -> None:
        self._sources = sources
        self._allowances = allowances
        self._pid = 0
        self._reading = Recent(self._read, sources.clock_s)

    def begin(self) -> None:
        """Take the reading that the first utilization is compared with."""
        self._reading()

    def measures(self) -> dict[semconv.Metric, Callable[[], Iterable[Observation]]]:
        def now() -> Reading:
            return self._reading()

        return {
            semconv.PROCESS_CPU_TIME: lambda: by(semconv.CPU_MODE, now().cpu_s),
            semconv.PROCESS_CPU_UTILIZATION: self._cpu_utilization,
            semconv.PROCESS_MEMORY_USAGE: lambda: one(now().resident_bytes),
            semconv.PROCESS_MEMORY_VIRTUAL: lambda: one(now().virtual_bytes),
            semconv.PROCESS_MEMORY_UTILIZATION: self._memory_utilization,
            semconv.PROCESS_DISK_IO: lambda: by(semconv.DISK_IO_DIRECTION, now().io_bytes),
            semconv.PROCESS_THREAD_COUNT: lambda: one(now().threads),
            semconv.PROCESS_UNIX_FILE_DESCRIPTOR_COUNT: lambda: one(now().descriptors),
            semconv.PROCESS_WINDOWS_HANDLE_COUNT: lambda: one(now().handles),
            semconv.PROCESS_CONTEXT_SWITCHES: lambda: by(semconv.CONTEXT_SWITCH_TYPE, now().context_switches),
            semconv.PROCESS_PAGING_FAULTS: lambda: by(semconv.PAGING_FAULT_TYPE, now().faults),
            semconv.PROCESS_UPTIME: lambda: one(now().uptime_s),
        }

    def _cpu_utilization(self) -> Iterable[Observation]:
        cpus = self._allowances.now().cpus
        return by(semconv.CPU_MODE, {mode: rate / cpus for mode, rate in self._reading().cpu_per_s.items()})

    def _memory_utilization(self) -> Iterable[Observation]:
        used, allowed = self._reading().resident_bytes, self._allowances.now().memory_bytes
        return one(used / allowed if used is not None and allowed else None)

    def _find(self) -> Any:
        pid = os.getpid()
        if pid != self._pid:
            self._process = self._sources.probe.Process(pid)
            self._started_s = self._find_start()
            self._counts_waiting = files.number(self._sources.root / "proc/sys/kernel/task_delayacct") != 0
            self._rate = Rate(self._sources.clock_s)
            self._pid = pid
        return self._process

    def _find_start(self) -> float:
        """When the process started, in seconds after the machine did."""
        stat = files.text(self._sources.root / "proc/self/stat") or ""
        fields = stat.rpartition(")")[2].split()  # the name before it may hold anything; the first after it is field 3
        ticks = files.whole(fields[_STARTED - 3]) if len(fields) > _STARTED - 3 else None
        if ticks is not None:
            return ticks / os.sysconf("SC_CLK_TCK")
        # in whole seconds only on Linux, as the time of its start is
        return float(self._process.create_time()) - self._sources.probe.boot_time()

    def _read(self) -> Reading:
        try:
            process = self._find()
            with process.oneshot():
                return self._look_at(process)
        except MISSING:
            return _NOTHING

    def _look_at(self, process: Any) -> Reading:
        cpu_s, sizes, usage = self._cpu_s(process), process.memory_info(), self._sources.own_usage()
        descriptors = _maybe(process, "num_fds")
        return Reading(
            cpu_s=cpu_s,
            cpu_per_s=self._rate.per_second(cpu_s),
            resident_bytes=sizes.rss,
            virtual_bytes=sizes.vms,
            threads=_maybe(process, "num_threads"),
            descriptors=None if descriptors is None else descriptors - _LISTING_ITSELF,
            handles=_maybe(process, "num_handles"),
            io_bytes=_io_bytes(process),
            context_switches=_context_switches(process, usage),
            faults={} if usage is None else {"major": usage.ru_majflt, "minor": usage.ru_minflt},
            uptime_s=max(0.0, self._sources.uptime_s() - self._started_s),
        )

    def _cpu_s(self, process: Any) -> dict[str, float]:
        times = process.cpu_times()
        modes = {"user": times.user, "system": times.system}
        # waiting for disks: only where the kernel counts it, else it is 0 for ever
        if self._counts_waiting and hasattr(times, "iowait"):
            modes["wait"] = times.iowait
        return modes


def _maybe(process: Any, method: str) -> Any:
    """What the method says; None if the platform has none or it may not be read."""
    try:
        return getattr(process, method)() if hasattr(process, method) else None
    except MISSING:
        return None


def _io_bytes(process: Any) -> dict[str, int]:
    counters = _maybe(process, "io_counters")
    return {} if counters is None else {"read": counters.read_bytes, "write": counters.write_bytes}


def _context_switches(process: Any, usage: Any) -> dict[str, int]:
    if usage is not None:  # of all threads; what psutil reads on Linux is of the main thread alone
        return {"voluntary": usage.ru_nvcsw, "involuntary": usage.ru_nivcsw}
    counters = _maybe(process, "num_ctx_switches")
    # Windows counts no kinds and psutil puts all of them under the first; the convention has no point without a kind
    return {} if counters is None else {"voluntary": counters.voluntary}
