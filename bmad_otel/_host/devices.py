"""Bytes through disks and network interfaces, each counted once.

Partitions, volumes, bridges and tunnels lie on other devices whose counters hold the same bytes. On Linux the devices
with hardware (or a hypervisor's) behind them have a link ``device`` in /sys, and only those are added up. Where there
are none, as in a container's network, it is every device but the loopback interface.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from bmad_otel._host.readings import Recent, RunningTotal
from bmad_otel._host.sources import Sources

_LOOPBACK: Final = re.compile(r"lo\d*|Loopback.*")

_AGE_S: Final = 60.0
"""How long a new device may go uncounted: to ask /sys about each would be most of the cost of a reading."""


class Disks:
    """Bytes read from and written to all disks."""

    def __init__(self, sources: Sources) -> None:
        # psutil would keep a copy of all counters, for wraps of 32 bits which the running total knows how to take
        self._counters: Callable[[], Any] = lambda: sources.probe.disk_io_counters(perdisk=True, nowrap=False) or {}
        self._whole: Callable[[], Any] = lambda: sources.probe.disk_io_counters(nowrap=False)
        self._real = Recent(lambda: _real(sources.root / "sys/block", self._counters()), sources.clock_s, _AGE_S)
        self._total = RunningTotal()

    def read(self) -> dict[str, int]:
        """Bytes by direction; empty if the machine has no disks that it knows of."""
        real = self._real()
        if not real:
            whole = self._whole()
            return {} if whole is None else {"read": whole.read_bytes, "write": whole.write_bytes}
        each = self._counters()
        return self._total.add({
            name: {"read": each[name].read_bytes, "write": each[name].write_bytes} for name in real if name in each
        })  # fmt: skip


class Network:
    """Bytes received and sent by all network interfaces."""

    def __init__(self, sources: Sources) -> None:
        self._counters: Callable[[], Any] = lambda: sources.probe.net_io_counters(pernic=True, nowrap=False) or {}
        self._real = Recent(lambda: _real(sources.root / "sys/class/net", self._counters()), sources.clock_s, _AGE_S)
        self._total = RunningTotal()

    def read(self) -> dict[str, int]:
        """Bytes by direction; empty if there is no interface."""
        real, each = self._real(), self._counters()
        outward = [name for name in each if name in real or (not real and not _LOOPBACK.fullmatch(name))]
        return self._total.add({
            name: {"receive": each[name].bytes_recv, "transmit": each[name].bytes_sent} for name in outward
        })  # fmt: skip


def _real(directory: Path, names: Iterable[str]) -> frozenset[str]:
    """Those with hardware behind them."""
    return frozenset(name for name in names if (directory / name.replace("/", "!") / "device").exists())
