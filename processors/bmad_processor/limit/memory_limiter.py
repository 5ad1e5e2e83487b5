"""The memory limiter: looks at the resident set, says when to refuse, and frees what can be freed.

The states and when they change, as `Pressure` has them: above `soft_bytes` SOFT, above `hard_bytes` HARD, and back
below each less a margin. In both, garbage is collected and free memory is given back; in HARD caches are emptied first.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Final

from bmad_processor.model import Signal

from .config import MemoryLimiterConfig
from .limits import MemoryLimits, limits_of
from .memory import allowed_bytes, rss_bytes, trim

_LOG: Final = logging.getLogger("bmad_otel.collector")

_MARGIN_RATIO: Final = 0.02
"""Of the hard limit: a state is left this far below where it was entered, so that it does not flap at the border."""

_BACKOFF: Final = 2
"""Each collection that did not lead out of HARD is followed by a pause that much longer than the last one."""

_FIRST_PAUSE_S: Final = 1.0

_MIB: Final = 2**20


class Pressure(IntEnum):
    """How short of memory the process is."""

    NONE = 0
    SOFT = 1
    """Requests are refused."""
    HARD = 2
    """And caches are emptied."""


class MemoryLimiter:
    """A thread that looks every `check_interval`; tests call `check` themselves.

    ``read`` gives the bytes held now, ``free`` collects and gives back; both and the clock are parameters so that tests
    own memory and time.
    """

    def __init__(
        self,
        config: MemoryLimiterConfig,
        *,
        total_bytes: int | None = None,
        read: Callable[[], int] = rss_bytes,
        free: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self.limits: MemoryLimits = limits_of(config, allowed_bytes() if total_bytes is None else total_bytes)
        self._read = read
        self._free = free or _collect
        self._clock = clock
        self._caches: Mapping[str, Callable[[], object]] = {}
        self.is_limited = False
        """Whether requests are refused now: read by receivers without a lock."""
        self.pressure = Pressure.NONE
        self.held_bytes = 0
        """Resident set at the last look."""
        self._pause_s = 0.0
        self._next_free_s = float("-inf")
        self._n_freed = 0
        self._n_soft = 0
        self._n_hard = 0
        self._refused: dict[Signal, int] = dict.fromkeys(Signal, 0)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def empties(self, caches: Mapping[str, Callable[[], object]]) -> None:
        """Each is called above the hard limit and is to let go of what can be made again; a name is there once."""
        self._caches = {**self._caches, **caches}

    def count_refused(self, signal: Signal) -> None:
        """One request of ``signal`` was refused."""
        self._refused[signal] += 1  # a number that may miss one under a race of threads is worth no lock

    def start(self) -> None:
        """Looks once, then from a thread."""
        self.check()
        self._thread = threading.Thread(target=self._run, name="memory-limiter", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Ends the thread. Safe to call twice."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def check(self) -> None:
        """One look: measure, free when it is time to, measure again, and say what changed."""
        before = self.pressure
        held = self._read()
        pressure = self._judge(held, before)
        if pressure is not Pressure.NONE:
            # refuse at once: freeing takes a while
            self.is_limited = True
            if self._is_time_to_free(pressure, before):
                if pressure is Pressure.HARD:
                    for empty in self._caches.values():
                        empty()
                self._free()
                self._n_freed += 1
                held = self._read()
                pressure = self._judge(held, pressure)
        self._settle(pressure, before, held)

    def counters(self) -> dict[str, int]:
        """Bytes and state now, and how often: requests refused by signal, collections, times each limit was crossed."""
        return {
            "limit_bytes": self.limits.hard_bytes,
            "soft_limit_bytes": self.limits.soft_bytes,
            "held_bytes": self.held_bytes,
            "pressure": int(self.pressure),
            "soft_limited": self._n_soft,
            "hard_limited": self._n_hard,
            "collections": self._n_freed,
            **{f"refused_requests_{signal}": n for signal, n in self._refused.items()},
        }

    def _judge(self, held: int, before: Pressure) -> Pressure:
        margin = int(self.limits.hard_bytes * _MARGIN_RATIO)
        if held > self.limits.hard_bytes - (margin if before is Pressure.HARD else 0):
            return Pressure.HARD
        if held > self.limits.soft_bytes - (margin if before is not Pressure.NONE else 0):
            return Pressure.SOFT
        return Pressure.NONE

    def _is_time_to_free(self, pressure: Pressure, before: Pressure) -> bool:
        now = self._clock()
        if pressure > before:
            self._pause_s = 0.0  # a worse state begins: the pauses of the last one do not count
        elif now < self._next_free_s:
            return False
        if pressure is Pressure.HARD:
            longest = self._config.max_gc_interval_when_hard_limited / 1e9
            self._pause_s = min(max(_FIRST_PAUSE_S, self._pause_s * _BACKOFF), longest)
            pause_s = max(self._pause_s, self._config.min_gc_interval_when_hard_limited / 1e9)
        else:
            pause_s = self._config.min_gc_interval_when_soft_limited / 1e9
        self._next_free_s = now + pause_s
        return True

    def _settle(self, pressure: Pressure, before: Pressure, held: int) -> None:
        self.held_bytes = held
        self.pressure = pressure
        self.is_limited = pressure is not Pressure.NONE
        if pressure is before:
            return
        limits = self.limits
        match pressure:
            case Pressure.NONE:
                _LOG.info("memory: %d MiB, requests are taken again", held // _MIB)
            case Pressure.SOFT:
                self._n_soft += 1
                _LOG.warning(
                    "memory: %d MiB, above the soft limit of %d MiB: requests are refused",
                    held // _MIB, limits.soft_bytes // _MIB,
                )  # fmt: skip
            case Pressure.HARD:
                self._n_hard += 1
                _LOG.error(
                    "memory: %d MiB, above the limit of %d MiB: requests are refused and caches emptied",
                    held // _MIB, limits.hard_bytes // _MIB,
                )  # fmt: skip

    def _run(self) -> None:
        while not self._stopping.wait(self._config.check_interval / 1e9):
            try:
                self.check()
            except Exception:  # noqa: BLE001 - a thread has nobody above it, and the next look may succeed
                _LOG.exception("the memory of the process could not be looked at")


def _collect() -> None:
    gc.collect()
    trim()
