"""The log of a process that runs for months: at most two files of a known size.

Everything the process prints goes there, by Python's streams or past them (gRPC, a crash), for the file is standard
output and error of the process. When it is full it is renamed, and a new one takes its place under the same numbers.
"""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 5 * 2**20
"""Of each of the two files. A line per life event fills it in months; a line per request (`debug`) in an hour."""


def previous(path: Path) -> Path:
    """The file that was full before ``path``."""
    return path.with_name(path.name + ".1")


class BoundedLog(io.TextIOBase):
    """A text stream to ``path`` that also is file descriptors 1 and 2 of the process. Safe from several threads."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        super().__init__()
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            for standard in (1, 2):
                os.dup2(fd, standard)
        finally:
            os.close(fd)

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """Standard error's."""
        return 2

    def write(self, text: str, /) -> int:
        """Writes at once: what a process said before it was killed must be there."""
        data = text.encode("utf-8", "backslashreplace")
        with self._lock:
            try:
                while data:
                    data = data[os.write(2, data) :]
                if os.fstat(2).st_size > self._max_bytes:
                    self._path.replace(previous(self._path))
                    self._open()
            except OSError:
                # a full disk must not stop the collector; the line is lost
                return len(text)
        return len(text)
