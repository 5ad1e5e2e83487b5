"""Reads the log of a service: its last lines, and what is written from now on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from .bounded_log import previous


def tail(path: Path, count: int) -> list[str]:
    """The last lines, without their ends, from the file before it as well when this one has just begun."""
    lines: list[str] = []
    for file in (path, previous(path)):
        if len(lines) < count:
            with contextlib.suppress(OSError):
                lines = file.read_text(encoding="utf-8", errors="replace").splitlines() + lines
    return lines[-count:] if count else []


def follow(path: Path, count: int, *, wait: Callable[[], None]) -> Iterator[str]:
    """The last lines and then every new one, for ever; ``wait`` is called when there is none.

    A file that takes the place of the full one is gone on with, when the full one has been read to its end.
    """
    file = path.open(encoding="utf-8", errors="replace")
    try:
        # where new lines begin is fixed before the old ones are read: a line may be shown twice, none is lost
        end = os.fstat(file.fileno()).st_size
        yield from tail(path, count)
        file.seek(end)
        rest = ""
        while True:
            if chunk := file.read():
                *lines, rest = (rest + chunk).split("\n")
                yield from lines
                continue
            if _is_replaced(path, file.fileno()):
                with contextlib.suppress(OSError):
                    newer = path.open(encoding="utf-8", errors="replace")
                    file.close()
                    file = newer
                    continue
            wait()
    finally:
        file.close()


def _is_replaced(path: Path, fd: int) -> bool:
    try:
        named, opened = path.stat(), os.fstat(fd)
    except OSError:
        return False
    return (named.st_dev, named.st_ino) != (opened.st_dev, opened.st_ino)
