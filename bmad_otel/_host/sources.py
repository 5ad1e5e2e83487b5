"""Where facts about the machine come from. The defaults are the machine we run on; tests hand in a recorded one."""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import psutil

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

MISSING: Final = (OSError, NotImplementedError, psutil.Error)
"""What a source raises that this machine does not have or this process may not read: it gives no points then."""


class Probe(Protocol):
    """The part of psutil that is read."""

    def Process(self, pid: int) -> Any: ...  # noqa: N802 - psutil's name
    def boot_time(self) -> float: ...
    def cpu_count(self) -> int | None: ...
    def cpu_times(self) -> Any: ...
    def virtual_memory(self) -> Any: ...
    def swap_memory(self) -> Any: ...
    def disk_usage(self, path: str) -> Any: ...

    # called with and without ``perdisk=True`` and ``pernic=True``, which decides what they return
    @property
    def disk_io_counters(self) -> Callable[..., Any]: ...
    @property
    def net_io_counters(self) -> Callable[..., Any]: ...


def _uptime_s() -> float:
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.time() - psutil.boot_time() if boottime is None else time.clock_gettime(boottime)


def _own_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(os.getpid()))
    return os.cpu_count() or 1


def _own_usage() -> Any:
    return None if resource is None else resource.getrusage(resource.RUSAGE_SELF)


def _lock_directory() -> Path:
    return Path(tempfile.gettempdir())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Every fact from outside that this package looks at."""

    probe: Probe = psutil
    root: Path = Path("/")
    """Directory with ``proc`` and ``sys``; files that are not there, as on macOS and Windows, mean psutil is asked."""
    clock_s: Callable[[], float] = time.monotonic
    uptime_s: Callable[[], float] = _uptime_s
    """Seconds since the machine started, also while it slept, as far as the platform counts them."""
    own_cpus: Callable[[], int] = _own_cpus
    """CPUs this process may be scheduled on."""
    own_usage: Callable[[], Any] = _own_usage
    """``getrusage`` of this process with all its threads; None where there is none."""
    garbage: Callable[[], Sequence[Mapping[str, int]]] = gc.get_stats
    filesystem: str = os.path.abspath(os.sep)  # noqa: PTH100 - what statvfs is given, as text
    """The one file system that is reported."""
    lock_directory: Callable[[], Path] = _lock_directory
    """Where the processes of a user meet to agree on one reporter of the host. Raises OSError where there is none."""
