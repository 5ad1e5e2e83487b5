"""Which process is meant: its number and when it began, since numbers are given again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_TOLERANCE_S: Final = 2.0
"""The system derives start times from the time of boot, which moves a little when the clock is set. No other process
gets the same number within so short a time."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A process. ``created_s`` is in seconds since the epoch, as psutil gives it."""

    pid: int
    created_s: float

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has the number now; None when none has, or when it has ended and only its entry is left."""
        # imported here: most commands meet no process
        import psutil

        try:
            process = psutil.Process(pid)
            with process.oneshot():
                if process.status() == psutil.STATUS_ZOMBIE:
                    return None
                return cls(pid, process.create_time())
        except (psutil.NoSuchProcess, ValueError, OverflowError):
            return None
        except psutil.AccessDenied:
            return None

    @property
    def is_running(self) -> bool:
        """Whether this very process still runs."""
        now = Identity.of(self.pid)
        return now is not None and abs(now.created_s - self.created_s) <= _TOLERANCE_S
