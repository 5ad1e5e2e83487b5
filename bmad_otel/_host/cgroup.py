"""Where in the control groups of Linux this process is, versions 1 and 2, in containers and on the host itself.

`/proc/self/cgroup` says the process's path in each hierarchy and `/proc/self/mountinfo` which part of the hierarchy is
mounted where. In a container with a cgroup namespace of its own the path is ``/``; without one it is the host's path,
and the mount shows only the container's part of it. See cgroups(7), cgroup_namespaces(7) and proc_pid_mountinfo(5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from bmad_otel._host import files

CPU: Final = "cpu"
CPUACCT: Final = "cpuacct"
CPUSET: Final = "cpuset"
MEMORY: Final = "memory"

_CONTROLLERS: Final = (CPU, CPUACCT, CPUSET, MEMORY)
_DEEPEST: Final = 32
"""Levels looked at; real trees have up to eight or so."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A mounted hierarchy: ``root`` is the path in the hierarchy that is seen at ``point``."""

    version: int
    controllers: frozenset[str]
    root: str
    point: Path


@dataclass(frozen=True, slots=True)
class Group:
    """The control group of this process for one controller, and those around it."""

    version: int
    point: Path
    levels: tuple[Path, ...]
    """Directories from the process's own group up to the mount point."""

    @property
    def container_root(self) -> Path | None:
        """The outermost group we can see, if it is a container's; None if it is the root of the host."""
        top = self.levels[-1]
        # files that the kernel gives to every group but the root in version 2, and only to the root in version 1
        is_container = (top / "cgroup.events").exists() if self.version == 2 else not (top / "release_agent").exists()
        return top if is_container and top.is_dir() else None


def mounts(root: Path) -> tuple[Mount, ...]:
    """The hierarchies that are mounted. Reading the whole mount table can take a millisecond: once is enough."""
    return parse_mounts(root, files.text(root / "proc/self/mountinfo") or "")


def parse_mounts(root: Path, table: str) -> tuple[Mount, ...]:
    """The hierarchies in a mount table, their mount points below ``root``."""
    found = []
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        point = root / _unescaped(fields[4]).lstrip("/")
        version = 2 if kind[0] == "cgroup2" else 1
        found.append(Mount(version, frozenset(kind[2].split(",")), _unescaped(fields[3]), point))
    return tuple(found)


def groups(root: Path, mounted: tuple[Mount, ...]) -> dict[str, Group]:
    """The process's group for each controller that limits or counts CPU and memory, where there is one."""
    return parse_groups(files.text(root / "proc/self/cgroup") or "", mounted)


def parse_groups(table: str, mounted: tuple[Mount, ...]) -> dict[str, Group]:
    """The groups that a table of a process's groups names."""
    paths = _paths(table)
    found = {}
    for controller in _CONTROLLERS:
        group = _group(1, controller, paths, mounted) or _group(2, "", paths, mounted)
        if group is not None:
            found[controller] = group
    return found


def _paths(text: str) -> dict[str, str]:
    """Path of the process by controller; of version 2 under the empty name."""
    found = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number.isdigit() and path:
            found.update({name: path.removesuffix(" (deleted)") for name in controllers.split(",")})
    return found


def _group(version: int, controller: str, paths: Mapping[str, str], mounted: tuple[Mount, ...]) -> Group | None:
    path = paths.get(controller)
    candidates = [m for m in mounted if m.version == version and (version == 2 or controller in m.controllers)]
    if path is None or not candidates:
        return None
    for mount in candidates:
        inside = _inside(path, mount.root)
        if inside is not None:
            return Group(version, mount.point, _levels(mount.point, inside))
    # moved to a group outside of the part that is mounted: the mount point is all that can be seen
    return Group(version, candidates[0].point, (candidates[0].point,))


def _inside(path: str, mount_root: str) -> PurePosixPath | None:
    """``path`` of the hierarchy as it is seen below the mount point; None if the mount does not show it."""
    wanted, shown = PurePosixPath(path), PurePosixPath(mount_root)
    if ".." in wanted.parts or ".." in shown.parts:  # outside of our cgroup namespace
        return None
    try:
        return wanted.relative_to(shown)
    except ValueError:
        return None


def _levels(point: Path, inside: PurePosixPath) -> tuple[Path, ...]:
    levels = [point]
    for part in inside.parts[:_DEEPEST]:
        level = levels[0] / part
        if not level.is_dir():
            break
        levels.insert(0, level)
    return tuple(levels)


def _unescaped(field: str) -> str:
    """A field of the mount table, where white space and backslashes are written as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)
