"""A clock that moves only when it is told to."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bmad_otel import _clock

START_UNIX_NS: Final = 1_735_689_600_000_000_000
"""2025-01-01T00:00:00Z, where every manual clock begins: the same in each run, and recognisable in a failure."""


class ManualClock:
    """Time for a test. Tasks tracked by bmad_otel take as long as `advance` says, to the nanosecond.

    It stands in for the clocks of bmad_otel alone: `asyncio.sleep`, timers, CPU time, and spans that are made with the
    OpenTelemetry API itself go by the real time.
    """

    def __init__(self) -> None:
        self._elapsed_ns = 0
        self._lock = threading.Lock()

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass. Raises ValueError for a negative or infinite time, TypeError for what is no number."""
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(f"advance: seconds must be a number, not {seconds!r}")
        if not math.isfinite(seconds) or seconds < 0:
            raise ValueError(f"advance: seconds must be a finite number of at least 0, not {seconds!r}")
        with self._lock:
            self._elapsed_ns += round(seconds * 1e9)

    @property
    def elapsed_s(self) -> float:
        """Seconds that have passed since the beginning."""
        return self._elapsed_ns / 1e9

    def unix_ns(self) -> int:
        """The time of day, in nanoseconds since the epoch."""
        return START_UNIX_NS + self._elapsed_ns

    def monotonic_ns(self) -> int:
        """Nanoseconds since the beginning."""
        return self._elapsed_ns

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let bmad_otel read this clock, in the whole process, until the end."""
        with _clock.use(_clock.Clock(self.unix_ns, self.monotonic_ns)):
            yield
