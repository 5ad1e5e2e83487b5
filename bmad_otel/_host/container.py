"""Metrics of the container this process is in, read from its control groups.

The container is the nearest control group with a limit, or else the outermost group we can see if that is not the
host's. A process on the host itself that nobody limits is in no container and has none of these metrics.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from opentelemetry.metrics import Observation

from bmad_otel import semconv
from bmad_otel._host import cgroup, files
from bmad_otel._host.allowance import AGE_S, Allowance, Allowances, Level, cpu_quota, memory_limit
from bmad_otel._host.cgroup import Group
from bmad_otel._host.leader import Leader
from bmad_otel._host.readings import Recent, one
from bmad_otel._host.sources import Sources

_MICROSECONDS: Final = 1e-6
_NANOSECONDS: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Place:
    """Where the container's use of CPU and memory is counted."""

    cpu: Level | None
    memory: tuple[Level, ...]
    """The container's group and those around it, whose limits are on it too; empty where memory is not counted."""


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds by mode, under the empty name if modes are not told apart; memory in bytes."""

    cpu_s: dict[str, float]
    memory_bytes: int | None
    memory_available_bytes: int | None


class Container:
    """Reports while ``leader`` is this process: what is read belongs to all processes of the container together."""

    def __init__(self, sources: Sources, allowances: Allowances, leader: Leader | None) -> None:
        self._leader = leader
        self._place = Recent(lambda: place(allowances.now()), sources.clock_s, AGE_S)
        self._reading = Recent(self._read, sources.clock_s)

    def measures(self) -> dict[semconv.Metric, Callable[[], Iterable[Observation]]]:
        return {
            semconv.CONTAINER_CPU_TIME: self._cpu_time,
            semconv.CONTAINER_MEMORY_USAGE: lambda: one(self._reading().memory_bytes),
            semconv.CONTAINER_MEMORY_AVAILABLE: lambda: one(self._reading().memory_available_bytes),
        }

    def _cpu_time(self) -> Iterable[Observation]:
        return [
            Observation(seconds, {semconv.CPU_MODE: mode} if mode else {})
            for mode, seconds in self._reading().cpu_s.items()
        ]

    def _read(self) -> Reading:
        where = self._place()
        anywhere = where.memory[0] if where.memory else where.cpu
        if anywhere is None or not (self._leader is None or self._leader.leads(anywhere.path)):
            return Reading({}, None, None)
        return Reading(
            cpu_s={} if where.cpu is None else _cpu_s(where.cpu),
            memory_bytes=_used(where.memory[0]) if where.memory else None,
            memory_available_bytes=min(
                (found for found in map(_available, where.memory) if found is not None), default=None
            ),
        )


def place(allowance: Allowance) -> Place:
    """The container of a process with this allowance."""
    memory, counted = allowance.groups.get(cgroup.MEMORY), allowance.groups.get(cgroup.CPUACCT)
    limited = [
        path.relative_to(group.point)
        for group, limit in ((memory, memory_limit), (allowance.groups.get(cgroup.CPU), cpu_quota))
        if group is not None
        for path in group.levels
        if limit(Level(group.version, path)) is not None
    ]
    nearest = max(limited, key=lambda path: len(path.parts), default=None)
    # version 1 has a tree for each controller, and the process may be further down in one than in another
    return Place(next(iter(_levels(counted, nearest)), None), _levels(memory, nearest))


def _levels(group: Group | None, nearest: Path | None) -> tuple[Level, ...]:
    """The group at the path ``nearest``, or else the outermost we see, and those around it."""
    if group is None:
        return ()
    begin = group.container_root if nearest is None else group.point / nearest
    if begin not in group.levels:
        return ()
    return tuple(Level(group.version, path) for path in group.levels[group.levels.index(begin) :])


def _cpu_s(level: Level) -> dict[str, float]:
    if level.version == 2:
        stat = files.table(level.path / "cpu.stat")
        modes = {mode: stat.get(f"{mode}_usec") for mode in ("user", "system")}
        unit_s, total = _MICROSECONDS, stat.get("usage_usec")
    else:
        modes = dict[str, int | None](files.table(level.path / "cpuacct.stat"))
        unit_s, total = 1 / os.sysconf("SC_CLK_TCK"), None
        if not modes:
            unit_s, total = _NANOSECONDS, files.number(level.path / "cpuacct.usage")
    found = {mode: modes[mode] for mode in ("user", "system") if modes.get(mode) is not None}
    if len(found) < 2:  # the modes only if they are all there, as they must add up to the total
        found = {"": total}
    return {mode: value * unit_s for mode, value in found.items() if value is not None}


def _used(level: Level) -> int | None:
    return files.number(level.path / ("memory.current" if level.version == 2 else "memory.usage_in_bytes"))


def _available(level: Level) -> int | None:
    """The limit less the working set, which is what is in use without file pages that were not touched lately."""
    limit = memory_limit(level)
    used = None if limit is None else _used(level)
    if limit is None or used is None:
        return None
    name = "inactive_file" if level.version == 2 else "total_inactive_file"
    idle = files.table(level.path / "memory.stat").get(name, 0)
    return max(0, limit - max(0, used - idle))
