"""One owner per database file."""

from __future__ import annotations

import fcntl
import os
import time
from typing import Final

from bmad_processor.errors import StoreError

_ORPHANS_S: Final = 8.0
"""Workers whose collector was killed end by themselves within less."""

_POLL_S: Final = 0.05


class OwnerLock:
    """An advisory lock on ``path + ".lock"``, held until `release` or the end of the process, however it ends.

    A process that inherits the descriptor (`fileno`) holds it too. When the owner has been killed and processes that
    inherited it are just ending, they are waited for. The file stays behind: removing it would let two processes lock
    two files of the same name. Raises StoreError when another process, or another store in this one, owns ``path``.
    """

    def __init__(self, path: str) -> None:
        name = path + ".lock"
        try:
            # os.open makes it close-on-exec: a child started by the collector must not keep the lock unasked
            self._fd: int | None = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StoreError(
                f"cannot open {name}: {error.strerror}; the directory must exist and be writable"
            ) from error
        deadline = time.monotonic() + _ORPHANS_S
        while not _lock(self._fd):
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            if owner.isdigit() and not _runs(int(owner)) and time.monotonic() < deadline:
                time.sleep(_POLL_S)
                continue
            os.close(self._fd)
            by = f" (process {owner})" if owner.isdigit() else ""
            raise StoreError(f"{path} is in use by another collector{by}; stop it or name another file")
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def fileno(self) -> int:
        """For processes that are to hold it too."""
        assert self._fd is not None, "released"
        return self._fd

    def release(self) -> None:
        """Gives the file free; safe to call twice."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's, but there
    return True
