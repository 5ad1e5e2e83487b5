"""A directory of requests that could not be delivered, shared by any number of processes, bounded in bytes.

One file is one request with a head that says what it is. A file appears complete under its name (written under another
and renamed) and is sent by whoever has a lock on it, which the system takes from a process that dies. Nothing is forced
to the disk: what a power failure breaks is found out by its checksum and put aside.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bmad_otel import _guard
from bmad_otel._delivery.ledger import Reason
from bmad_otel._settings import SignalName

try:
    import fcntl
except ImportError:  # Windows; `configure` refuses a spool there
    fcntl = None  # type: ignore[assignment]

_HEAD: Final = struct.Struct(">8s8sIQI")
"""What this is, the signal, the number of items, the length of the request and its CRC-32."""
_MAGIC: Final = b"bmadOTL1"

_ENDING: Final = ".otlp"
_UNFINISHED: Final = ".tmp"
_BROKEN: Final = ".corrupt"

_MAX_FILES: Final = 10_000
"""Files of one spool, so that a directory of tiny ones stays quick to list."""

_STALE_S: Final = 60.0
"""Age at which an unfinished file is that of a process which died while writing."""


def is_supported() -> bool:
    """Whether this platform has the file locks a spool needs."""
    return fcntl is not None


class Spool:
    """The directory, as one process uses it.

    ``on_loss`` is told of every file removed to make room: its signal and number of items.
    """

    def __init__(self, directory: Path, max_bytes: int, on_loss: Callable[[str, int], None]) -> None:
        self.directory = directory
        self._max_bytes = max_bytes
        self._on_loss = on_loss
        self.corrupt_files = 0
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
        self.corrupt_files = 0

    def store(self, signal: SignalName, body: bytes, items: int) -> Reason | None:
        """Keep a request; None if it is kept, else why not. Never raises."""
        size = _HEAD.size + len(body)
        if size > self._max_bytes:
            return Reason.SPOOL_FULL
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(self._numbers)}-{signal}"
        head = _HEAD.pack(_MAGIC, signal.encode(), items, len(body), zlib.crc32(body))
        unfinished = self.directory / (name + _UNFINISHED)
        try:
            with self._lock:
                self._make_room(size)
                self._write(unfinished, head, body)
                unfinished.rename(self.directory / (name + _ENDING))
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            _guard.warn_once(
                f"spool {error.errno}", "bmad_otel: the spool %s takes nothing: %s", self.directory, error.strerror
            )
            return Reason.SPOOL_FAILED
        return None

    def claim(self, signal: SignalName) -> Claim | None:
        """The oldest request of ``signal`` that no other process is sending, or None. Never raises."""
        try:
            for path in self._files():
                if path.name.endswith(f"-{signal}{_ENDING}"):
                    claim = self._claim(path, signal)
                    if claim is not None:
                        return claim
        except OSError as error:
            _guard.warn_once(
                f"spool {error.errno}", "bmad_otel: the spool %s cannot be read: %s", self.directory, error.strerror
            )
        return None

    def size_bytes(self) -> int:
        """Bytes in the directory now, of all processes and signals; 0 if it cannot be read."""
        try:
            return sum(size for _, size in self._sizes())
        except OSError:
            return 0

    @staticmethod
    def _write(path: Path, head: bytes, body: bytes) -> None:
        # readable by this user alone: what is inside may be confidential
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(head)
            file.write(body)

    def _claim(self, path: Path, signal: SignalName) -> Claim | None:
        handle = _locked(path)
        if handle is None:
            return None
        try:
            with os.fdopen(os.dup(handle), "rb") as file:
                content = file.read(self._max_bytes + 1)
            found = _opened(content, signal)
        except OSError:
            _unlock(handle)
            raise
        if found is not None:
            return Claim(path, handle, *found)
        self.corrupt_files += 1
        _guard.warn_once("spool corrupt", "bmad_otel: %s is damaged and put aside as *%s", path, _BROKEN)
        with contextlib.suppress(OSError):
            path.rename(path.with_name(path.name + _BROKEN))
        _unlock(handle)
        return None

    def _make_room(self, size: int) -> None:
        """Remove the oldest files until ``size`` more bytes fit; damaged ones and dead processes' first."""
        sizes = self._sizes()
        total, count = sum(size for _, size in sizes), len(sizes)
        for path, length in sorted(sizes, key=lambda item: (item[0].name.endswith(_ENDING), item[0].name)):
            is_stale = path.name.endswith(_UNFINISHED) and _age_s(path) > _STALE_S
            if not is_stale and total + size <= self._max_bytes and count < _MAX_FILES:
                continue
            if path.name.endswith(_UNFINISHED) and not is_stale:
                continue  # somebody is writing it
            if self._remove(path):
                total -= length
                count -= 1

    def _remove(self, path: Path) -> bool:
        if not path.name.endswith(_ENDING):
            path.unlink(missing_ok=True)
            return True
        handle = _locked(path)
        if handle is None:
            return False  # on its way, or gone
        try:
            signal, items = _said(os.read(handle, _HEAD.size))
            path.unlink(missing_ok=True)
        finally:
            _unlock(handle)
        self._on_loss(signal, items)
        return True

    def _files(self) -> Iterator[Path]:
        """Complete files, oldest first."""
        with os.scandir(self.directory) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(_ENDING))
        return (self.directory / name for name in names)

    def _sizes(self) -> list[tuple[Path, int]]:
        found = []
        with os.scandir(self.directory) as entries:
            for entry in entries:
                if entry.name.endswith((_ENDING, _UNFINISHED, _BROKEN)):
                    with contextlib.suppress(FileNotFoundError):
                        found.append((self.directory / entry.name, entry.stat(follow_symlinks=False).st_size))
        return found


class Claim:
    """A request of the spool that is ours to send, until the end of the ``with`` block."""

    def __init__(self, path: Path, handle: int, body: bytes, items: int) -> None:
        self.body = body
        self.items = items
        self._path = path
        self._handle = handle

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        _unlock(self._handle)

    def remove(self) -> None:
        """It is delivered, or will never be."""
        with contextlib.suppress(OSError):
            self._path.unlink()


def _locked(path: Path) -> int | None:
    """The file, opened and locked; None if another has the lock or the file is gone."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_nlink:  # else its sender was done with it just before we had the lock
            return handle
    except BlockingIOError:
        pass
    os.close(handle)
    return None


def _unlock(handle: int) -> None:
    fcntl.flock(handle, fcntl.LOCK_UN)  # explicitly: a child forked meanwhile holds the file open, too
    os.close(handle)


def _opened(content: bytes, signal: SignalName) -> tuple[bytes, int] | None:
    """Request and number of items, or None if the file is not what was written."""
    if len(content) < _HEAD.size:
        return None
    magic, of, items, length, checksum = _HEAD.unpack_from(content)
    body = content[_HEAD.size :]
    is_whole = magic == _MAGIC and len(body) == length and zlib.crc32(body) == checksum
    return (body, items) if is_whole and of.rstrip(b"\0") == signal.encode() else None


def _said(head: bytes) -> tuple[str, int]:
    """Signal and number of items by the head of a file; nothing if it is damaged."""
    if len(head) < _HEAD.size or not head.startswith(_MAGIC):
        return "", 0
    _, signal, items, _, _ = _HEAD.unpack(head)
    return signal.rstrip(b"\0").decode(errors="replace"), items


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0
