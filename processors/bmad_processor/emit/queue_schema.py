"""The file of a durable queue: tables, connection, checksum."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from bmad_processor.model import Signal

PAGE_BYTES: Final = 16 * 1024
"""A request of 100 spans takes two pages instead of six of the usual size: a third less CPU for each."""

WAL_LIMIT_BYTES: Final = 8 * 2**20

_BUSY_S: Final = 2.0
"""The process before us may be at its end."""

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    # the body last: everything before it is read without touching its pages
    "CREATE TABLE IF NOT EXISTS requests"
    " (id INTEGER PRIMARY KEY, signal TEXT NOT NULL, items INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL)",
    # requests that may have been sent although their number is above meta.allowed
    "CREATE TABLE IF NOT EXISTS attempted (id INTEGER PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS quarantine"
    " (id INTEGER PRIMARY KEY, reason TEXT NOT NULL, signal TEXT, items INTEGER, body BLOB)",
)

MAX_QUARANTINE: Final = 20
"""Damaged rows kept to look into."""

COLUMNS: Final = "id, signal, items, crc, body"


class Row(NamedTuple):
    """A request as it is on disk."""

    id: int
    signal: Signal
    items: int
    crc: int
    body: bytes


def checksum(signal: Signal, items: int, body: bytes) -> int:
    """Over everything that is sent or counted."""
    return zlib.crc32(body, zlib.crc32(f"{signal}{items}".encode()))


def is_sound(row: tuple[object, ...]) -> bool:
    """Whether id, signal, items, crc and body of a row belong together."""
    _, signal, items, crc, body = row
    if not (isinstance(signal, str) and isinstance(items, int) and isinstance(body, bytes)):
        return False
    return signal in _SIGNALS and checksum(Signal(signal), items, body) == crc


_SIGNALS: Final = frozenset(str(signal) for signal in Signal)


def connect(path: str, *, fsync: bool) -> sqlite3.Connection:
    """Opens the file for this process alone and creates what is missing. Raises sqlite3.Error."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
    try:
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        # one process: no shared memory file, and the lock ends with the process, however it ends
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if fsync else 'NORMAL'}")
        # some builds overwrite what is deleted, which would cost as much as writing it, and room when there is none
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("PRAGMA wal_autocheckpoint = 0")  # ours, so that a failure is seen
        db.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        with transaction(db):
            if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'quarantine'").fetchone():
                for statement in _SCHEMA:
                    db.execute(statement)
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing. Raises sqlite3.Error."""
    db.execute("BEGIN EXCLUSIVE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            if db.in_transaction:
                db.execute("ROLLBACK")
        raise


def insert(db: sqlite3.Connection, rows: list[Row]) -> None:
    """Within the caller's transaction."""
    db.executemany(f"INSERT INTO requests ({COLUMNS}) VALUES (?, ?, ?, ?, ?)", rows)  # noqa: S608


def get_meta(db: sqlite3.Connection, key: str) -> int:
    """A number of the ``meta`` table, 0 when there is none."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return int(row[0]) if row else 0


def set_meta(db: sqlite3.Connection, key: str, value: int) -> None:
    """Within the caller's transaction."""
    db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is at fault, and not the disk, the permissions or another process."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def check_length(db: sqlite3.Connection, path: Path) -> None:
    """Raises sqlite3.DatabaseError for a file that is shorter than it says; SQLite itself looks only when it reads."""
    try:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:
        return  # a full disk: pages are still in the log
    pages, page_bytes = (db.execute(f"PRAGMA page_{what}").fetchone()[0] for what in ("count", "size"))
    if path.stat().st_size < pages * page_bytes:
        raise sqlite3.DatabaseError("the file is shorter than it says")


def list_requests(db: sqlite3.Connection) -> Iterator[tuple[int, Signal, int, int]]:
    """Number, signal, items and bytes of each, oldest first. Raises sqlite3.Error, also for a signal that is none."""
    for row, signal, items, size in db.execute(
        "SELECT id, signal, items, length(body) FROM requests ORDER BY id"
    ):  # reads nothing of the bodies
        if signal not in _SIGNALS or not isinstance(items, int):
            raise sqlite3.DatabaseError(f"request {row} is not one")
        yield row, Signal(signal), items, size


def quarantine(db: sqlite3.Connection, row: tuple[object, ...]) -> None:
    """Moves a damaged row aside, within the caller's transaction."""
    number, signal, items, _, body = row
    db.execute(
        "INSERT OR REPLACE INTO quarantine (id, reason, signal, items, body) VALUES (?, ?, ?, ?, ?)",
        (number, "checksum", signal, items, body),
    )
    db.execute("DELETE FROM requests WHERE id = ?", (number,))
    db.execute(
        "DELETE FROM quarantine WHERE id NOT IN (SELECT id FROM quarantine ORDER BY id DESC LIMIT ?)", (MAX_QUARANTINE,)
    )


def in_chunks(rows: Iterable[Row], max_bytes: int) -> Iterator[list[Row]]:
    """So many as fit into ``max_bytes``, at least one."""
    chunk: list[Row] = []
    size = 0
    for row in rows:
        if chunk and size + len(row.body) > max_bytes:
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += len(row.body)
    if chunk:
        yield chunk
