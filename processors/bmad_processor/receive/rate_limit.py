"""A log line at a bounded rate: a bug that strikes on every request must not fill the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

INTERVAL_S: Final = 10.0
"""One line in ten seconds is seen by a person and costs nothing."""


class LimitedLog:
    """Logs an error with its traceback, at most once per interval; says how many were left out."""

    def __init__(
        self, logger: logging.Logger, interval_s: float = INTERVAL_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._interval_s = interval_s
        self._clock = clock
        self._lock = threading.Lock()
        self._next = float("-inf")
        self._left_out = 0

    def error(self, message: str, error: BaseException) -> None:
        """Log ``message`` with the traceback of ``error`` unless a line was written just now."""
        with self._lock:
            now = self._clock()
            if now < self._next:
                self._left_out += 1
                return
            left_out, self._left_out = self._left_out, 0
            self._next = now + self._interval_s
        more = f" ({left_out} more since the last line)" if left_out else ""
        self._logger.error("%s%s", message, more, exc_info=error)
