"""What this process may use of the machine: CPUs and memory, by its control groups, cpuset and affinity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bmad_otel._host import cgroup, files
from bmad_otel._host.cgroup import Group
from bmad_otel._host.memory import read as read_memory
from bmad_otel._host.readings import Recent
from bmad_otel._host.sources import MISSING, Sources

AGE_S: Final = 60.0
"""Limits are changed by people and controllers, and a process is moved to another group once or never: a look every
minute costs nothing and is soon enough."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The groups of the process, and the tightest limits on the way from its own group to the outermost we see."""

    groups: Mapping[str, Group]
    cpus: float
    memory_bytes: int | None
    """At most what the machine has; None if not even that is known."""


class Allowances:
    """The allowance now, looked up again from time to time and in a forked child."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._mounts = cgroup.mounts(sources.root)
        self.now = Recent(self._read, sources.clock_s, AGE_S)

    def _read(self) -> Allowance:
        groups = cgroup.groups(self._sources.root, self._mounts)
        cpus = [float(self._sources.own_cpus()), *_quotas(groups), *_set_sizes(groups)]
        memory = [*_memory_limits(groups), *self._machine_bytes()]
        return Allowance(groups, min(cpus), min(memory, default=None))

    def _machine_bytes(self) -> list[int]:
        try:
            return [read_memory(self._sources).total]
        except MISSING:
            return []


@dataclass(frozen=True, slots=True)
class Level:
    """One control group of the hierarchy of one controller."""

    version: int
    path: Path


def _of(groups: Mapping[str, Group], controller: str) -> list[Level]:
    group = groups.get(controller)
    return [] if group is None else [Level(group.version, path) for path in group.levels]


def _quotas(groups: Mapping[str, Group]) -> list[float]:
    return [quota for quota in map(cpu_quota, _of(groups, cgroup.CPU)) if quota is not None]


def _set_sizes(groups: Mapping[str, Group]) -> list[float]:
    """The size of the process's CPU set, which lies within those of the groups around it."""
    for level in _of(groups, cgroup.CPUSET):
        names = ("cpuset.cpus.effective",) if level.version == 2 else ("cpuset.effective_cpus", "cpuset.cpus")
        for name in names:
            size = set_size(files.text(level.path / name) or "")
            if size:
                return [float(size)]
    return []


def _memory_limits(groups: Mapping[str, Group]) -> list[int]:
    levels = _of(groups, cgroup.MEMORY)
    limits = list(map(memory_limit, levels))
    if levels and levels[0].version == 1:  # knows of the groups around a container, which the container cannot see
        limits.append(_set_limit(files.table(levels[0].path / "memory.stat").get("hierarchical_memory_limit")))
    return [limit for limit in limits if limit is not None]


def memory_limit(level: Level) -> int | None:
    """Bytes that the processes of this group together may use."""
    return _set_limit(files.number(level.path / ("memory.max" if level.version == 2 else "memory.limit_in_bytes")))


def _set_limit(limit: int | None) -> int | None:
    """None for no limit, which version 1 writes as a number near 2**63."""
    return limit if limit is not None and 0 < limit < 1 << 62 else None


def cpu_quota(level: Level) -> float | None:
    """CPU seconds per second that the processes of this group together may use."""
    if level.version == 2:
        first, _, second = (files.text(level.path / "cpu.max") or "").partition(" ")
        quota, period = files.whole(first), files.whole(second)
    else:
        quota = files.number(level.path / "cpu.cfs_quota_us")
        period = files.number(level.path / "cpu.cfs_period_us")
    return quota / period if quota is not None and period is not None and quota > 0 and period > 0 else None


def set_size(cpus: str) -> int:
    """How many CPUs a list such as ``0-3,8`` names; 0 for none or what is no such list."""
    size = 0
    for part in cpus.split(","):
        first, _, last = part.strip().partition("-")
        begin = files.whole(first)
        end = files.whole(last) if last else begin
        if begin is None or end is None or end < begin:
            return 0
        size += end - begin + 1
    return size
