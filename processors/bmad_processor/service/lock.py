"""One start or stop at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bmad_processor.errors import StartError

from .home import Home

_POLL_S: Final = 0.05


@contextmanager
def exclusive(home: Home, timeout_s: float) -> Iterator[None]:
    """Holds the lock of ``home``; another start or stop is waited for. Raises StartError after ``timeout_s``.

    The kernel lets go of it however the holder ends. The file stays behind: removing it would let two processes lock
    two files of the same name.
    """
    try:
        # close-on-exec: a service that is started must not keep it
        fd = os.open(home.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StartError(f"cannot open {home.lock_file}: {error.strerror}") from error
    try:
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    detail = f"another command has been starting or stopping the service for {timeout_s:g} s"
                    raise StartError(f"{detail} ({home.lock_file})") from None
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(fd)
