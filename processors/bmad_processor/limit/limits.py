"""From what is configured to bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .config import MemoryLimiterConfig

_MIB: Final = 2**20

_SPIKE_RATIO: Final = 0.2
"""Of the limit, when no spike limit is configured; the Collector's."""

_COPIES: Final = 3
"""A request in hand takes about three times its size: as it was received, as one piece, as it is decoded."""


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Bytes of resident set."""

    hard_bytes: int
    """Above it also caches are emptied."""
    spike_bytes: int
    """What may come between two looks."""

    @property
    def soft_bytes(self) -> int:
        """Above it requests are refused."""
        return self.hard_bytes - self.spike_bytes

    @property
    def in_hand_bytes(self) -> int:
        """What request bodies may hold together, so that with their copies they stay within the spike."""
        return self.spike_bytes // _COPIES


def limits_of(config: MemoryLimiterConfig, total_bytes: int) -> MemoryLimits:
    """``total_bytes`` is what the process may use at all, see `memory.allowed_bytes`."""
    if config.limit_mib:
        hard = config.limit_mib * _MIB
        spike = config.spike_limit_mib * _MIB
    else:
        hard = total_bytes * config.limit_percentage // 100
        spike = total_bytes * config.spike_limit_percentage // 100
    return MemoryLimits(hard, spike or int(hard * _SPIKE_RATIO))
