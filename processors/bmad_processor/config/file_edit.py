"""Replaces one file in one step, among programs that do so at the same time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bmad_processor.errors import ProfileError

_FILE_MODE: Final = 0o644
"""Of new files."""


def read_bytes(file: Path) -> bytes:
    """The content. Raises ProfileError."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise ProfileError(f"{file} cannot be read: {error.strerror}") from error


def replace_file(file: Path, before: bytes, content: bytes, *, is_new: bool) -> bool:
    """Replaces the file in one step; False when somebody has changed it since it was read."""
    real = file.resolve()  # a link stays a link
    try:
        mode = _FILE_MODE if is_new else real.stat().st_mode & 0o7777
        # the suffix keeps it from being read as a profile, should the process end right here
        descriptor, temporary = tempfile.mkstemp(prefix=f".{real.name}.", suffix=".tmp", dir=real.parent)
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(content)
                os.fchmod(out.fileno(), mode)
                out.flush()
                os.fsync(out.fileno())
            if is_new:
                os.link(temporary, real)  # unlike a rename, never over a file that came in between
                return True
            if real.read_bytes() != before:
                return False
            Path(temporary).replace(real)
            return True
        finally:
            Path(temporary).unlink(missing_ok=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise ProfileError(f"{file} cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def locked(directory: Path | None, timeout_s: float) -> Iterator[None]:
    """Holds the directory's lock; it ends with the process, and leaves no file behind."""
    if directory is None:
        yield
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ProfileError(f"{directory} cannot be read: {error.strerror}") from error
    try:
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline_s:
                    raise ProfileError(f"{directory} is being changed by another program") from None
                time.sleep(0.02)
            except OSError as error:
                raise ProfileError(f"{directory} cannot be locked: {error.strerror}") from error
        yield
    finally:
        os.close(descriptor)
