"""Files that are read again when they change."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Generic, TypeVar

from bmad_processor.errors import StartError

T = TypeVar("T")

_LOG: Final = logging.getLogger("bmad_otel.collector")

Signature = tuple[tuple[int, int, int] | None, ...]
"""For each file its time of change, size and inode; a replaced file differs in the last even within one tick."""


class Watched(Generic[T]):
    """What ``load`` makes of some files, kept until they change.

    ``load`` raises OSError or ValueError for what cannot be used; at the beginning that is a StartError, later it is
    logged and what was loaded last stays. Thread-safe.
    """

    def __init__(
        self,
        files: Iterable[str],
        load: Callable[[], T],
        *,
        interval_ns: int | None,
        what: str,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._files = [Path(file) for file in files]
        self._load = load
        self._interval_ns = interval_ns
        self._what = what
        self._clock = clock
        self._lock = threading.Lock()
        self.generation = 0
        """How often something was loaded anew."""
        self._seen = self._signature()
        try:
            self._value = load()
        except (OSError, ValueError) as error:
            raise StartError(f"{what}: {error}") from error
        self._next_ns = clock() + (interval_ns or 0)

    def current(self) -> T:
        """The newest that could be loaded; looks at the files when ``interval_ns`` has passed since the last look."""
        if self._interval_ns is None or self._clock() < self._next_ns:
            return self._value
        with self._lock:
            now = self._clock()
            if now < self._next_ns:
                return self._value
            self._next_ns = now + self._interval_ns
            seen = self._signature()
            if seen == self._seen:
                return self._value
            try:
                value = self._load()
            except (OSError, ValueError) as error:
                _LOG.error("%s changed and cannot be used, what was there before stays: %s", self._what, error)
                self._seen = seen  # said once; looked at again when it changes again
                return self._value
            if self._signature() != seen:
                return self._value  # changed while it was read, so parts of it may be of two times: next look
            self._seen, self._value = seen, value
            self.generation += 1
            _LOG.info("%s changed and was read again", self._what)
            return value

    def _signature(self) -> Signature:
        found: list[tuple[int, int, int] | None] = []
        for file in self._files:
            try:
                stat = file.stat()
            except OSError:
                found.append(None)
            else:
                found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return tuple(found)
