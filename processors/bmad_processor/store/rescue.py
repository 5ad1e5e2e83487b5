"""A damaged database file: set aside, and what can be read of it taken into a new one.

A disk that lies, a copy cut short, a file system repaired after a crash: the collector must come up again by itself,
with open alerts and baselines as far as they can be read. The damaged file is kept beside the new one for a person to
look at.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .meta import COUNTERS, NOW, latest_ns
from .schema import BUSY_TIMEOUT_MS, get_meta, prepare, set_meta

_LOG: Final = logging.getLogger("bmad_otel.collector")

_MAGIC: Final = b"SQLite format 3\x00"

_CHECKED: Final = ("meta", "settings", "partitions", "alerts", "notification_log", "hints", "hint_log", "series")
"""Read through at every start. The history may be a gigabyte; a hole in it is found by its size."""

RESCUED: Final = "store_rescued"
"""Counter of the engine: how often its store had to be set aside."""


def is_damaged(path: str) -> bool:
    """Whether ``path`` is an SQLite database that cannot be relied on.

    False for one that is not there or is none at all: what was named by mistake is not touched.
    """
    file = Path(path)
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        header = opened.read(100)
    if not header.startswith(_MAGIC):
        return False
    if len(header) < 100 or _is_cut_short(header, file.stat().st_size):
        return True
    try:
        db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
        try:
            known = {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
            return any(
                db.execute(f"PRAGMA quick_check({table})").fetchone() != ("ok",) for table in _CHECKED if table in known
            )
        finally:
            db.close()
    except sqlite3.OperationalError:
        return False  # locked, not readable: not for us to repair
    except sqlite3.DatabaseError:
        return True


def _is_cut_short(header: bytes, size: int) -> bool:
    page_size = int.from_bytes(header[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    n_pages = int.from_bytes(header[28:32], "big")
    # the number is only kept by writers that also copy the change counter
    is_kept = header[24:28] == header[92:96]
    return size % page_size != 0 or (is_kept and size < n_pages * page_size)


def rescue(path: str, history_size: int) -> str:
    """Sets ``path`` aside and makes a new database of what can be read. Returns where the damaged one is now."""
    aside = _set_aside(path)
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        prepare(db, path, history_size)
        counts = {table: _copy(aside, table, db) for table in (*_CHECKED, "history")}
        db.execute("DELETE FROM history WHERE series_id NOT IN (SELECT series_id FROM series)")
        _mend_meta(db)
        prepare(db, path, history_size)  # the rings may be of another size
    finally:
        db.close()
    _LOG.warning(
        "%s was damaged; it is now %s, and a new one has what could be read: %d agents and hosts, %d alerts, %d points"
        " of history", path, aside, counts["partitions"], counts["alerts"], counts["history"],
    )  # fmt: skip
    return aside


def _set_aside(path: str) -> str:
    n = 1
    while Path(aside := f"{path}.damaged-{n}").exists():
        n += 1
    for suffix in ("-wal", "-shm", ""):  # the database last: until then another try finds it
        file = Path(path + suffix)
        if file.exists():
            file.replace(aside + suffix)
    return aside


def _copy(aside: str, table: str, db: sqlite3.Connection) -> int:
    """Rows of ``table`` that are in the new database now. Names come from this module only."""
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    names, places = ", ".join(columns), ", ".join("?" * len(columns))
    how, which = "OR IGNORE", ""
    if table == "meta":
        how, which = "OR REPLACE", "WHERE key = 'history_size' OR key GLOB 'counters*' OR key GLOB 'now_ns*'"
    db.execute("BEGIN IMMEDIATE")
    n = 0
    for order in ("ASC", "DESC"):  # up to the damage from either side
        for row in _rows(aside, f"SELECT {names} FROM {table} {which} ORDER BY {_KEY.get(table, 'rowid')} {order}"):  # noqa: S608
            try:
                n += db.execute(f"INSERT {how} INTO {table} ({names}) VALUES ({places})", row).rowcount  # noqa: S608
            except sqlite3.IntegrityError:
                continue  # torn: not what the table may hold
    db.execute("COMMIT")
    return n


_KEY: Final = {"meta": "key", "history": "series_id"}


def _mend_meta(db: sqlite3.Connection) -> None:
    """Takes out what is not a number or not counters, and counts the rescue."""
    for key, value in db.execute("SELECT key, value FROM meta").fetchall():
        try:
            is_right = isinstance(json.loads(value), dict if key.startswith(COUNTERS) else int)
        except ValueError:
            is_right = False
        if not is_right:
            db.execute("DELETE FROM meta WHERE key = ?", (key,))
    counters = json.loads(get_meta(db, COUNTERS) or "{}")
    set_meta(db, COUNTERS, json.dumps(counters | {RESCUED: counters.get(RESCUED, 0) + 1}))
    if get_meta(db, NOW) is None:
        set_meta(db, NOW, str(latest_ns(db)))


def _rows(aside: str, query: str) -> Iterator[tuple[object, ...]]:
    try:
        db = sqlite3.connect(aside, isolation_level=None)
        # text that is not UTF-8 is damage too, found by whoever reads the row
        db.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            db.execute("PRAGMA writable_schema = ON")  # else a file that is too short is not opened at all
            yield from db.execute(query)
        finally:
            db.close()
    except sqlite3.DatabaseError:
        return
