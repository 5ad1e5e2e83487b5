"""Memory and swap of the machine.

Linux is read from /proc/meminfo itself: psutil reads further files for its figures, and warns on the program's standard
error where one of them is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from bmad_otel._host import files
from bmad_otel._host.sources import Sources

_KIB = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes. ``available`` is what programs could get without swapping; ``is_linux`` if it is the kernel's estimate."""

    total: int
    available: int
    states: dict[str, int]
    swap: dict[str, int]
    is_linux: bool


def read(sources: Sources) -> Memory:
    """Memory now. Raises one of `sources.MISSING` if the machine does not say."""
    kib = files.table(sources.root / "proc/meminfo")
    if {"MemTotal", "MemFree"} <= kib.keys():
        return _of_linux({name: value * _KIB for name, value in kib.items()})
    memory, swap = sources.probe.virtual_memory(), sources.probe.swap_memory()
    states = {"used": max(0, memory.total - memory.available), "free": memory.free}
    return Memory(memory.total, memory.available, states, {"used": swap.used, "free": swap.free}, is_linux=False)


def _of_linux(found: dict[str, int]) -> Memory:
    total, free = found["MemTotal"], found["MemFree"]
    buffers = found.get("Buffers", 0)
    cached = found.get("Cached", 0) + found.get("SReclaimable", 0)  # as free(1) and psutil have it
    # kernels before 3.14 and some containers make no estimate
    available = found.get("MemAvailable", free + buffers + cached)
    states = {"used": max(0, total - available), "free": free, "buffers": buffers, "cached": cached}
    swap_total, swap_free = found.get("SwapTotal", 0), found.get("SwapFree", 0)
    swap = {"used": max(0, swap_total - swap_free), "free": swap_free}
    return Memory(total, available, states, swap, is_linux="MemAvailable" in found)
