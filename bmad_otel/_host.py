"""Process and host metrics from psutil, under the names of the conventions.

Every reading is a quick look at kernel counters, none waits. Utilization is the difference between two observations
divided by the time between them; the first is compared with a reading taken at the start.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

import psutil
from opentelemetry.metrics import Meter, Observation

from bmad_otel import semconv
from bmad_otel._instruments import observe

_CPU_MODES: Final = {
    "user": ("user",),
    "system": ("system",),
    "nice": ("nice",),
    "idle": ("idle",),
    "iowait": ("iowait",),
    "interrupt": ("irq", "softirq"),
    "steal": ("steal",),
}
"""cpu.mode and the fields of psutil that make it up. Guest time is left out: Linux counts it in user already."""

_MIN_ELAPSED_S: Final = 0.1
"""Shortest time a utilization is computed over: below it the kernel's 10 ms clock ticks are most of the result. Two
readers observing in turn see the last value instead."""


class Probe(Protocol):
    """The part of psutil that is read; a recorded machine stands in for it in tests."""

    def Process(self, pid: int) -> Any: ...  # noqa: N802 - psutil's name
    def cpu_times(self) -> Any: ...
    def virtual_memory(self) -> Any: ...
    def disk_io_counters(self) -> Any: ...
    def net_io_counters(self) -> Any: ...


def observe_host(
    meter: Meter,
    probe: Probe = psutil,
    *,
    clock_s: Callable[[], float] = time.monotonic,
    wall_clock_s: Callable[[], float] = time.time,
    available_cpus: Callable[[], int] | None = None,
) -> None:
    """Create the instruments of `semconv.PROCESS_METRICS` and `semconv.SYSTEM_METRICS` on ``meter``."""
    process = _Process(probe, clock_s, wall_clock_s, available_cpus or _available_cpus)
    host = _Host(probe, clock_s)
    process.begin()
    host.begin()
    for metric, measure in {**process.measures(), **host.measures()}.items():
        observe(meter, metric, measure)


class _Process:
    """Readings of the process we are in, found anew after a fork."""

    def __init__(
        self,
        probe: Probe,
        clock_s: Callable[[], float],
        wall_clock_s: Callable[[], float],
        available_cpus: Callable[[], int],
    ) -> None:
        self._probe = probe
        self._wall_clock_s = wall_clock_s
        self._available_cpus = available_cpus
        self._clock_s = clock_s
        self._pid = 0

    def begin(self) -> None:
        """Take the reading that the first observation is compared with."""
        self._rate_of_now()

    def measures(self) -> dict[semconv.Metric, Callable[[], Iterable[Observation]]]:
        return {
            semconv.PROCESS_CPU_TIME: self._cpu_time,
            semconv.PROCESS_CPU_UTILIZATION: self._cpu_utilization,
            semconv.PROCESS_MEMORY_USAGE: lambda: [Observation(self._current().memory_info().rss)],
            semconv.PROCESS_MEMORY_UTILIZATION: self._memory_utilization,
            semconv.PROCESS_THREAD_COUNT: lambda: [Observation(self._current().num_threads())],
            semconv.PROCESS_UPTIME: self._uptime,
        }

    def _current(self) -> Any:
        pid = os.getpid()
        if pid != self._pid:
            self._process = self._probe.Process(pid)
            self._rate = _Rate(self._clock_s)
            self._pid = pid
        return self._process

    def _times(self) -> dict[str, float]:
        times = self._current().cpu_times()
        return {"user": times.user, "system": times.system}

    def _cpu_time(self) -> Iterable[Observation]:
        return _by(semconv.CPU_MODE, self._times())

    def _cpu_utilization(self) -> Iterable[Observation]:
        cpus = self._available_cpus()
        return _by(semconv.CPU_MODE, {mode: rate / cpus for mode, rate in self._rate_of_now().items()})

    def _rate_of_now(self) -> dict[str, float]:
        times = self._times()  # first: it finds the process after a fork, and with it a new rate
        return self._rate.per_second(times)

    def _memory_utilization(self) -> Iterable[Observation]:
        return [Observation(self._current().memory_info().rss / self._probe.virtual_memory().total)]

    def _uptime(self) -> Iterable[Observation]:
        return [Observation(max(0.0, self._wall_clock_s() - self._current().create_time()))]


class _Host:
    """Readings of the machine. A source that is missing, or None as psutil says it, gives no points."""

    def __init__(self, probe: Probe, clock_s: Callable[[], float]) -> None:
        self._probe = probe
        self._rate = _Rate(clock_s)

    def begin(self) -> None:
        """Take the reading that the first observation is compared with."""
        self._rate.per_second(self._times())

    def measures(self) -> dict[semconv.Metric, Callable[[], Iterable[Observation]]]:
        return {
            semconv.SYSTEM_CPU_TIME: lambda: _by(semconv.CPU_MODE, self._times()),
            semconv.SYSTEM_CPU_UTILIZATION: self._cpu_utilization,
            semconv.SYSTEM_MEMORY_USAGE: lambda: _by(semconv.MEMORY_STATE, self._memory()),
            semconv.SYSTEM_MEMORY_UTILIZATION: self._memory_utilization,
            semconv.SYSTEM_DISK_IO: self._disk_io,
            semconv.SYSTEM_NETWORK_IO: self._network_io,
        }

    def _times(self) -> dict[str, float]:
        times = self._probe.cpu_times()
        return {
            mode: sum(getattr(times, field, 0.0) for field in fields)
            for mode, fields in _CPU_MODES.items()
            if any(hasattr(times, field) for field in fields)
        }

    def _cpu_utilization(self) -> Iterable[Observation]:
        rates = self._rate.per_second(self._times())
        total = sum(rates.values())
        if total <= 0:
            return ()
        return _by(semconv.CPU_MODE, {mode: rate / total for mode, rate in rates.items()})

    def _memory(self) -> dict[str, int]:
        """Bytes by state. The states add up to the total: used is what is in none of the others."""
        memory = self._probe.virtual_memory()
        states = {
            state: getattr(memory, field)
            for state, field in (("free", "free"), ("buffers", "buffers"), ("cached", "cached"))
            if getattr(memory, field, None) is not None
        }
        return {"used": max(0, memory.total - sum(states.values())), **states}

    def _memory_utilization(self) -> Iterable[Observation]:
        states = self._memory()
        total = sum(states.values())
        if total <= 0:
            return ()
        return _by(semconv.MEMORY_STATE, {state: used / total for state, used in states.items()})

    def _disk_io(self) -> Iterable[Observation]:
        counters = self._probe.disk_io_counters()
        if counters is None:
            return ()
        return _by(semconv.DISK_IO_DIRECTION, {"read": counters.read_bytes, "write": counters.write_bytes})

    def _network_io(self) -> Iterable[Observation]:
        counters = self._probe.net_io_counters()
        if counters is None:
            return ()
        io = {"receive": counters.bytes_recv, "transmit": counters.bytes_sent}
        return _by(semconv.NETWORK_IO_DIRECTION, io)


class _Rate:
    """Change of counters per second since the observation before; empty at the first."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._before: Mapping[str, float] | None = None
        self._before_s = 0.0
        self._last: dict[str, float] = {}

    def per_second(self, now: Mapping[str, float]) -> dict[str, float]:
        now_s = self._clock_s()
        elapsed_s = now_s - self._before_s
        if self._before is not None and elapsed_s < _MIN_ELAPSED_S:
            return self._last
        if self._before is not None:
            # a counter may step back (hibernation, a CPU taken offline): that is no negative use
            self._last = {key: max(0.0, value - self._before.get(key, 0.0)) / elapsed_s for key, value in now.items()}
        self._before, self._before_s = now, now_s
        return self._last


def _by(attribute: str, values: Mapping[str, float]) -> list[Observation]:
    return [Observation(value, {attribute: key}) for key, value in values.items()]


def _available_cpus() -> int:
    """CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
