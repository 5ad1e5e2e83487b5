"""One owner per database file."""

from __future__ import annotations

import fcntl
import os

from bmad_processor.errors import StoreError


class OwnerLock:
    """An advisory lock on ``path + ".lock"``, held until `release` or the end of the process, however it ends.

    The file stays behind: removing it would let two processes lock two files of the same name. Raises StoreError when
    another process, or another store in this one, owns ``path``.
    """

    def __init__(self, path: str) -> None:
        name = path + ".lock"
        try:
            # os.open makes it close-on-exec: a child started by the collector must not keep the lock
            self._fd: int | None = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(
                f"cannot open {name}: {error.strerror}; the directory must exist and be writable"
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(self._fd, 32).decode("ascii", "replace").strip()
            os.close(self._fd)
            by = f" (process {owner})" if owner.isdigit() else ""
            raise StoreError(f"{path} is in use by another collector{by}; stop it or name another file") from error
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Gives the file free; safe to call twice."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
