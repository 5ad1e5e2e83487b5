"""What became of every span, metric point and log record: exported, or dropped for a reason."""

from __future__ import annotations

import threading
import time
from collections import Counter
from enum import StrEnum
from typing import Final

ITEMS: Final = {"traces": "spans", "metrics": "metric points", "logs": "log records"}
"""What is counted of each signal, in words."""


class Reason(StrEnum):
    """Why something was dropped."""

    QUEUE_FULL = "queue_full"
    """More ended, or had to wait for the receiver, than is kept in memory."""
    EXPORT_FAILED = "export_failed"
    """The receiver refused it for good, or was not there when the program ended."""
    SHUTDOWN_TIMEOUT = "shutdown_timeout"
    """It was still waiting when the time to shut down was over."""
    ALREADY_SHUTDOWN = "already_shutdown"
    """It ended after the shutdown."""
    NOT_ENCODABLE = "not_encodable"
    """It cannot be written as OTLP, such as text with half a surrogate pair."""
    SPOOL_FULL = "spool_full"
    """It was the oldest on a disk spool that needed its place, or larger than the whole spool."""
    SPOOL_FAILED = "spool_failed"
    """The disk did not take it."""


class Ledger:
    """Counts of one queue or of one destination since the process began; a forked child counts anew."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Set everything to nothing, with a new lock: after a fork the old one may be held by nobody."""
        self._lock = threading.Lock()
        self.exported = 0
        self.spooled = 0
        self.failed_requests = 0
        self.last_export_unix_ns: int | None = None
        self.last_error: str | None = None
        self._dropped: Counter[tuple[Reason, str]] = Counter()

    def export(self, items: int) -> None:
        """``items`` were taken: by the receiver, or by the next stage if this is the ledger of a queue."""
        with self._lock:
            self.exported += items
            self.last_export_unix_ns = time.time_ns()

    def fail(self, message: str) -> None:
        """A request failed. Whether that costs anything is another matter: it may be tried again."""
        with self._lock:
            self.failed_requests += 1
            self.last_error = message

    def drop(self, items: int, reason: Reason, error_type: str | None = None) -> None:
        """``items`` are lost; ``error_type`` is the more exact cause, if there is one."""
        if items:
            with self._lock:
                self._dropped[reason, error_type or reason.value] += items

    def dropped(self) -> dict[Reason, int]:
        """Items lost, by reason."""
        found: Counter[Reason] = Counter()
        with self._lock:
            for (reason, _), items in self._dropped.items():
                found[reason] += items
        return dict(found)

    def dropped_by_error_type(self) -> dict[str, int]:
        """Items lost, by the value the conventions want in ``error.type``."""
        found: Counter[str] = Counter()
        with self._lock:
            for (_, error_type), items in self._dropped.items():
                found[error_type] += items
        return dict(found)
