"""A damaged file is read as far as it can be, copied into a new one, and kept beside.

1. **read** what can be read into ``<file>.rebuilding``; 2. **rename** that to ``<file>.rebuilt``; 3. **set aside** the
damaged file as ``<file>.damaged``, its log first; 4. **rename** ``.rebuilt`` to the file. Killed before 2: all over
again. Killed after 2: `finish` does the rest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

from bmad_processor.model import Signal

from .queue_schema import COLUMNS, Row, connect, in_chunks, insert, is_sound, set_meta, transaction

_MAX_GAP: Final = 10_000
"""Numbers tried in a row, one by one, where the file cannot be read."""

CHUNK_BYTES: Final = 4 * 2**20
"""In memory at a time, and written at once."""


class Rebuilt(NamedTuple):
    """How it went."""

    n_recovered: int
    n_lost: int
    """Known by number and not readable; what is gone with its number is not counted."""
    set_aside: Path


def rebuild(path: Path, *, allowed: int) -> Rebuilt:
    """The file at ``path``, which nobody has open, is a sound one then. All requests in it count as sent perhaps.

    ``allowed``: the highest number known to be allowed to be sent. Raises sqlite3.Error and OSError.
    """
    lost: list[int] = []
    half = _beside(path, ".rebuilding")
    for suffix in ("-wal", "-journal", ""):
        _beside(half, suffix).unlink(missing_ok=True)
    n, highest = 0, allowed
    with closing(connect(str(half), fsync=True)) as db:
        for chunk in in_chunks(salvage(path, lost), CHUNK_BYTES):
            with transaction(db):
                insert(db, chunk)
            n += len(chunk)
            highest = max(highest, *(row.id for row in chunk))
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        with transaction(db):
            set_meta(db, "allowed", highest)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    half.replace(_beside(path, ".rebuilt"))
    return Rebuilt(n, len(lost), finish(path))


def finish(path: Path) -> Path:
    """Steps 3 and 4, when 2 was done. Returns where the damaged file is."""
    rebuilt = _beside(path, ".rebuilt")
    if rebuilt.exists():
        set_aside(path)
        rebuilt.replace(path)
    return _beside(path, ".damaged")


def set_aside(path: Path) -> None:
    """Under another name, its log first: no log must be found beside a file it does not belong to."""
    for suffix in ("-wal", "-journal", ""):
        if _beside(path, suffix).exists():
            _beside(path, suffix).replace(_beside(_beside(path, ".damaged"), suffix))


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def salvage(path: Path, lost: list[int]) -> Iterator[Row]:
    """Every sound request that can be read; ``lost`` fills with the numbers of those that are there and cannot."""
    try:
        db = sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None)
    except sqlite3.Error:
        return
    with closing(db):
        with suppress(sqlite3.Error):
            db.execute("PRAGMA locking_mode = EXCLUSIVE")  # reads the log without the shared memory file
            db.execute("PRAGMA writable_schema = ON")  # opens a file that is shorter than it says
        low, high = 0, 2**62
        last = 0
        while (number := _next(db, "id > ? ORDER BY id", low)) is not None and number > low:
            low = last = number
            yield from _row(db, number, lost)
        from_top: list[int] = []
        while (number := _next(db, "id < ? ORDER BY id DESC", high)) is not None and last < number < high:
            high = number
            from_top.append(number)
        for number in from_top:
            yield from _row(db, number, lost)
        # what is between cannot be walked through, but a single number may still be found
        n_missing = 0
        for number in range(last + 1, min(high, last + 2**20)):
            found = list(_row(db, number, []))
            n_missing = 0 if found else n_missing + 1
            yield from found
            if n_missing > _MAX_GAP:
                break


def _next(db: sqlite3.Connection, condition: str, bound: int) -> int | None:
    with suppress(sqlite3.Error):
        row = db.execute(f"SELECT id FROM requests WHERE {condition} LIMIT 1", (bound,)).fetchone()  # noqa: S608
        return int(row[0]) if row else None
    return None


def _row(db: sqlite3.Connection, number: int, lost: list[int]) -> Iterator[Row]:
    try:
        row = db.execute(f"SELECT {COLUMNS} FROM requests WHERE id = ?", (number,)).fetchone()  # noqa: S608
    except sqlite3.Error:
        row = (number, None, None, None, None)
    if row is None:
        return
    if is_sound(row):
        yield Row(row[0], Signal(row[1]), row[2], row[3], row[4])
    else:
        lost.append(number)
