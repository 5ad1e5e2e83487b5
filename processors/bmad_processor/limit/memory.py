"""The memory of this process: how much it holds, how much it may hold, and giving back what is free."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from bmad_otel._host.allowance import Allowances
from bmad_otel._host.sources import Sources

_STATM: Final = Path("/proc/self/statm")


def rss_bytes() -> int:
    """Resident set of the process. One read of a small file on Linux, some 10 us."""
    try:
        return int(_STATM.read_bytes().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return int(psutil.Process().memory_info().rss)


_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def allowed_bytes(sources: Sources | None = None) -> int:
    """What this process may use: the limit of its container (control groups 1 or 2), else what the machine has."""
    allowance = Allowances(sources or Sources()).now()
    return allowance.memory_bytes or int(psutil.virtual_memory().total)


def _malloc_trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # musl has none
        return None
    trim.argtypes = [ctypes.c_size_t]
    trim.restype = ctypes.c_int
    return trim


_TRIM: Final = _malloc_trim()


def trim() -> None:
    """Gives free memory back to the system where the C library can (glibc); it keeps it otherwise."""
    if _TRIM is not None:
        _TRIM(0)
