"""The `file` exporter: one line of OTLP/JSON per request, in files of bounded number and size.

The format is that of the Collector's file exporter, which its otlpjsonfile receiver reads.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Final

from google.protobuf.message import DecodeError

from bmad_processor.errors import StartError

from .config import FileConfig
from .otlp_json import to_json
from .outcome import Permanent, Transient
from .request import ExportRequest

_MEGABYTE: Final = 1_000_000


class FileSender:
    """Appends; a line is in the file completely or not at all."""

    can_join = False  # a line for each request

    def __init__(self, config: FileConfig) -> None:
        self._path = Path(config.path)
        self._max_bytes = config.max_megabytes * _MEGABYTE
        self._max_backups = config.max_backups
        self._fd = -1
        self._size = 0
        self._is_regular = True
        self._busy = threading.Lock()

    def open(self) -> None:
        """Open the file. Raises StartError when it cannot be written."""
        try:
            self._open()
        except OSError as error:
            raise StartError(f"cannot write {self._path}: {error.strerror}") from error

    def send(self, request: ExportRequest) -> int:
        """Append one line and hand it to the operating system."""
        try:
            line = to_json(request.signal, request.body).encode() + b"\n"
        except DecodeError as error:
            raise Permanent(f"request cannot be decoded: {error}") from error
        try:
            with self._busy:
                if self._is_regular and self._size and self._size + len(line) > self._max_bytes:
                    self._rotate()
                self._append(line)
        except OSError as error:
            raise Transient(f"cannot write {self._path}: {error.strerror}") from error
        return 0

    def close(self) -> None:
        """Close the file, unless a write hangs: its descriptor must not be given to another file meanwhile."""
        if self._busy.acquire(blocking=False):
            self._close()
            self._busy.release()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        status = os.fstat(self._fd)
        # a device or a pipe has no size, and set aside (root may do that to /dev/null) it would be gone for everybody
        self._is_regular = stat.S_ISREG(status.st_mode)
        self._size = status.st_size

    def _append(self, line: bytes) -> None:
        if self._fd < 0:
            self._open()
        written = 0
        try:
            while written < len(line):
                written += os.write(self._fd, line[written:] if written else line)
        except OSError:
            if written and self._is_regular:
                os.ftruncate(self._fd, self._size)  # disk full in the middle of a line: take the piece back
            raise
        self._size += len(line)

    def _rotate(self) -> None:
        self._close()
        if not self._max_backups:
            self._path.unlink()
        for n in range(self._max_backups, 0, -1):
            older = self._backup(n)
            newer = self._backup(n - 1) if n > 1 else self._path
            if newer.exists():
                newer.replace(older)
        self._open()

    def _backup(self, n: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{n}")
