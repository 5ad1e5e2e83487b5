"""Which of the processes that share a machine or a container reports it.

Whoever holds an advisory lock (flock(2)) on a file they all know. The kernel releases it when its holder ends, however
it ends, and another process gets it at one of its next collections. Nobody ever waits for the lock.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import weakref
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # Windows: nobody can be elected, so everybody reports
    fcntl = None  # type: ignore[assignment]

_FLAGS: Final = os.O_NONBLOCK | os.O_NOFOLLOW if fcntl is not None else 0
"""The temporary directory is everybody's: neither wait at a pipe put in the place of the file nor follow a link."""


class Leader:
    """Our candidacy for one report.

    ``makes_file``: what is locked is a file, made by whoever comes first; else a directory that is there. Where no lock
    can be had at all (no such directory, the file is another user's, a file system without locks) every process
    reports: twice is better than not at all.
    """

    def __init__(self, *, makes_file: bool) -> None:
        self._makes_file = makes_file
        self._guard = threading.RLock()
        self._path: Path | None = None
        self._file: int | None = None
        self._leads = False
        self._is_closed = False
        if hasattr(os, "register_at_fork"):
            _follow_forks(weakref.ref(self))

    def leads(self, path: Path) -> bool:
        """Whether this process reports now what the lock on ``path`` stands for."""
        with self._guard:
            if self._is_closed:
                return False
            try:
                return self._elect(path)
            except OSError:
                self._let_go()
                return True

    def close(self) -> None:
        """Leave the report to another process, for good."""
        with self._guard:
            self._is_closed = True
            self._let_go()

    def _elect(self, path: Path) -> bool:
        if self._file is not None and not (path == self._path and _is_at(self._file, path)):
            self._let_go()  # tidied away by somebody: those who come later meet at the new file
        if self._leads:
            return True
        if self._file is None:
            self._file, self._path = self._opened(path), path
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._leads = _is_at(self._file, path)
        return self._leads

    def _opened(self, path: Path) -> int:
        if not self._makes_file:
            return os.open(path, os.O_RDONLY | _FLAGS)
        file = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o600)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            os.close(file)
            raise PermissionError(f"{path} is not a file of this user")
        return file

    def _let_go(self) -> None:
        file, self._file, self._leads = self._file, None, False
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file)

    def before_fork(self) -> None:
        """No fork between opening the file and knowing that it is open: the child would keep the lock unknowingly."""
        self._guard.acquire()

    def after_fork_in_parent(self) -> None:
        with contextlib.suppress(RuntimeError):  # created by another thread while this one was about to fork
            self._guard.release()

    def after_fork_in_child(self) -> None:
        """A lock belongs to the open file, which parent and child share: our copy must go, or the lock of the parent
        would outlive it. The child stands for election as every other process."""
        self._guard = threading.RLock()
        self._let_go()


def _is_at(file: int, path: Path) -> bool:
    """Whether ``path`` still names the open file."""
    try:
        return os.path.samestat(os.fstat(file), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _follow_forks(leader: weakref.ref[Leader]) -> None:
    def call(method: str) -> None:
        found = leader()
        if found is not None:
            getattr(found, method)()

    os.register_at_fork(
        before=lambda: call("before_fork"),
        after_in_parent=lambda: call("after_fork_in_parent"),
        after_in_child=lambda: call("after_fork_in_child"),
    )
