"""Metrics of the machine: totals of all CPUs, disks and interfaces, so that their number is the same everywhere."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from opentelemetry.metrics import Observation

from bmad_otel import semconv
from bmad_otel._host import files, memory
from bmad_otel._host.devices import Disks, Network
from bmad_otel._host.leader import Leader
from bmad_otel._host.memory import Memory
from bmad_otel._host.readings import Rate, Recent, by, one, shares
from bmad_otel._host.sources import MISSING, Sources

T = TypeVar("T")

_CPU_MODES: Final = {
    "user": ("user",),
    "system": ("system",),
    "nice": ("nice",),
    "idle": ("idle",),
    "iowait": ("iowait",),
    "interrupt": ("irq", "softirq", "interrupt", "dpc"),
    "steal": ("steal",),
}
"""cpu.mode and the fields of psutil, on any platform, that make it up. Guest time is left out: Linux counts it in user
already."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the machine. What it does not say is None or empty; bytes, seconds and shares of 1."""

    cpu_s: dict[str, float]
    cpu_share: dict[str, float]
    cpus: int | None
    memory: Memory | None
    disk_bytes: dict[str, int]
    network_bytes: dict[str, int]
    filesystem_bytes: dict[str, int]
    uptime_s: float | None


_NOTHING: Final = Reading({}, {}, None, None, {}, {}, {}, None)


class System:
    """The machine, while ``leader`` says that this process is the one that reports it."""

    def __init__(self, sources: Sources, leader: Leader | None) -> None:
        self._sources = sources
        self._leader = leader
        self._machine = machine(sources)
        self._rate = Rate(sources.clock_s)
        self._disks = Disks(sources)
        self._network = Network(sources)
        self._reading = Recent(self._read, sources.clock_s)

    def begin(self) -> None:
        """Take the reading that the first utilization is compared with."""
        self._reading()

    def measures(self) -> dict[semconv.Metric, Callable[[], Iterable[Observation]]]:
        def now() -> Reading:
            return self._reading()

        return {
            semconv.SYSTEM_CPU_TIME: lambda: by(semconv.CPU_MODE, now().cpu_s),
            semconv.SYSTEM_CPU_UTILIZATION: lambda: by(semconv.CPU_MODE, now().cpu_share),
            semconv.SYSTEM_CPU_LOGICAL_COUNT: lambda: one(now().cpus),
            semconv.SYSTEM_DISK_IO: lambda: by(semconv.DISK_IO_DIRECTION, now().disk_bytes),
            semconv.SYSTEM_NETWORK_IO: lambda: by(semconv.NETWORK_IO_DIRECTION, now().network_bytes),
            semconv.SYSTEM_FILESYSTEM_USAGE: lambda: self._filesystem(now().filesystem_bytes),
            semconv.SYSTEM_FILESYSTEM_UTILIZATION: lambda: self._filesystem(_of_sum(now().filesystem_bytes)),
            semconv.SYSTEM_UPTIME: lambda: one(now().uptime_s),
            **self._memory_measures(),
        }

    def _memory_measures(self) -> dict[semconv.Metric, Callable[[], Iterable[Observation]]]:
        def of_memory(points: Callable[[Memory], Iterable[Observation]]) -> Callable[[], Iterable[Observation]]:
            def measure() -> Iterable[Observation]:
                found = self._reading().memory
                return () if found is None else points(found)

            return measure

        return {
            semconv.SYSTEM_MEMORY_USAGE: of_memory(lambda m: by(semconv.MEMORY_STATE, m.states)),
            semconv.SYSTEM_MEMORY_LIMIT: of_memory(lambda m: one(m.total)),
            semconv.SYSTEM_MEMORY_UTILIZATION: of_memory(lambda m: by(semconv.MEMORY_STATE, shares(m.states, m.total))),
            semconv.SYSTEM_MEMORY_LINUX_AVAILABLE: of_memory(lambda m: one(m.available if m.is_linux else None)),
            semconv.SYSTEM_PAGING_USAGE: of_memory(lambda m: by(semconv.PAGING_STATE, m.swap)),
            semconv.SYSTEM_PAGING_UTILIZATION: of_memory(lambda m: by(semconv.PAGING_STATE, _of_sum(m.swap))),
        }

    def _filesystem(self, states: Mapping[str, float]) -> Iterable[Observation]:
        mountpoint = {semconv.FILESYSTEM_MOUNTPOINT: self._sources.filesystem}
        return [Observation(value, {semconv.FILESYSTEM_STATE: state, **mountpoint}) for state, value in states.items()]

    def _read(self) -> Reading:
        if not self._reports():
            self._rate.restart()  # whoever takes over later must not show the mean of all the time before
            return _NOTHING
        cpu_s = _known(self._cpu_s) or {}
        rates = self._rate.per_second(cpu_s)
        return Reading(
            cpu_s=cpu_s,
            cpu_share=_of_sum(rates),
            cpus=_known(self._sources.probe.cpu_count),
            memory=_known(lambda: memory.read(self._sources)),
            disk_bytes=_known(self._disks.read) or {},
            network_bytes=_known(self._network.read) or {},
            filesystem_bytes=_known(self._filesystem_bytes) or {},
            uptime_s=_known(self._sources.uptime_s),
        )

    def _reports(self) -> bool:
        if self._leader is None:
            return True
        try:
            return self._leader.leads(self._sources.lock_directory() / meeting_place(self._machine))
        except OSError:
            return True

    def _cpu_s(self) -> dict[str, float]:
        times = self._sources.probe.cpu_times()
        return {
            mode: sum(getattr(times, field, 0.0) for field in fields)
            for mode, fields in _CPU_MODES.items()
            if any(hasattr(times, field) for field in fields)
        }

    def _filesystem_bytes(self) -> dict[str, int]:
        """Bytes by state, which add up to the size: what is neither used nor free to us is kept for root."""
        usage = self._sources.probe.disk_usage(self._sources.filesystem)
        return {"used": usage.used, "free": usage.free, "reserved": max(0, usage.total - usage.used - usage.free)}


def machine(sources: Sources) -> str:
    """The machine's identity for its own processes: the id of its kernel's boot, which containers on it share, or its
    name."""
    return files.text(sources.root / "proc/sys/kernel/random/boot_id") or platform.node()


def meeting_place(machine: str) -> str:
    """Name of the file whose lock decides which process of this user reports ``machine``. A temporary directory may be
    shared between machines, and a process may change its user."""
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    return f"bmad-otel-{user}-{re.sub(r'[^A-Za-z0-9.-]', '-', machine)[:64]}.lock"


def _known(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except MISSING:
        return None


def _of_sum(values: Mapping[str, float]) -> dict[str, float]:
    return shares(values, sum(values.values()))
