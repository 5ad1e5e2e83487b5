"""Whether there is room on the disk for what comes, and a reserve for what must be deleted.

A deletion needs room for its log. So a file beside the queue keeps some; on a full disk it is given up, and insertions
begin again when it can be laid aside anew.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

_LOG: Final = logging.getLogger("bmad_otel.collector")

RESERVE_SUFFIX: Final = ".reserve"

RESERVE_BYTES: Final = (8 * 2**20, 4 * 2**20, 2 * 2**20, 2**20)
"""Room for the log of deletions and for one checkpoint: the largest that fits."""

RETRY_S: Final = 1.0
"""Between two attempts to write to a disk that was full."""

_LOG_INTERVAL_S: Final = 30.0


class Room:
    """Of the file at ``path``. Not thread-safe, but for `is_worth_trying`."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._reserve = path.with_name(path.name + RESERVE_SUFFIX)
        self._clock = clock
        self._retry_at_s: float | None = None
        """Set while nothing can be inserted."""
        self._last_line_s = float("-inf")

    @property
    def is_short(self) -> bool:
        """Whether the last attempt failed, however long ago."""
        return self._retry_at_s is not None

    @property
    def is_worth_trying(self) -> bool:
        """Whether an insertion may be tried now."""
        retry_at_s = self._retry_at_s
        return retry_at_s is None or self._clock() >= retry_at_s

    def lay(self) -> bool:
        """Lays the reserve aside: then there is room. False when it does not fit, to be tried again later."""
        self._retry_at_s = None if self._try_to_lay() else self._clock() + RETRY_S
        return self._retry_at_s is None

    def wait(self) -> None:
        """Nothing is tried for a while."""
        self._retry_at_s = self._clock() + RETRY_S

    def failed(self, reason: str) -> None:
        """Gives the reserve up; nothing is inserted for a while. Says so, now and then."""
        self.wait()
        if self._clock() - self._last_line_s >= _LOG_INTERVAL_S:
            self._last_line_s = self._clock()
            _LOG.error("nothing can be stored in %s: %s; senders are told to try again", self._path, reason)
        self.give_up()

    def give_up(self) -> None:
        """Deletes the reserve. Raises OSError."""
        self._reserve.unlink(missing_ok=True)

    def _try_to_lay(self) -> bool:
        for size in RESERVE_BYTES:
            try:
                fd = os.open(self._reserve, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    os.posix_fallocate(fd, 0, size)
                finally:
                    os.close(fd)
            except OSError:
                with suppress(OSError):
                    self.give_up()
            else:
                return True
        return False
