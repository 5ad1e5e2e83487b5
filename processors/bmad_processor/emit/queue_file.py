"""Requests on disk: one SQLite file of one exporter, one process at a time.

Whoever finds the file free commits for all that wait. Until which number sending may have begun is in the file before
it begins (``allowed``), so that after a crash it is known which requests may have arrived already.

On a full disk nothing more is inserted, and what is done is still deleted (`queue_room`). A file that SQLite finds
damaged is rebuilt from what can be read of it, at the start or in the middle of work, and kept beside under another
name.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bmad_processor.errors import StartError

from . import queue_rebuild as rebuild
from .lanes import Waiting
from .queue_room import RESERVE_SUFFIX, Room
from .queue_schema import (
    COLUMNS,
    Row,
    check_length,
    checksum,
    connect,
    get_meta,
    insert,
    is_damage,
    is_sound,
    list_requests,
    quarantine,
    set_meta,
    transaction,
)

_LOG: Final = logging.getLogger("bmad_otel.collector")

AHEAD: Final = 256
"""Requests for which sending is allowed at a time: one more page in one of so many commits."""

CHECKPOINT_BYTES: Final = 4 * 2**20
"""Written between two checkpoints, as SQLite itself would have it."""

GROUP_BYTES: Final = 4 * 2**20
"""One commit; a single larger request has one of its own."""

SHRINK_BYTES: Final = 64 * 2**20
"""An empty file that is larger is given back to the file system."""


class _Ticket:
    __slots__ = ("is_stored", "waiting")

    def __init__(self, waiting: Waiting) -> None:
        self.waiting = waiting
        self.is_stored: bool | None = None


class QueueFile:
    """Thread-safe. `open` first, `close` last."""

    def __init__(self, path: Path, *, fsync: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._room = Room(path, clock)
        self._fsync = fsync
        self._clock = clock
        self._busy = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._arrived: deque[_Ticket] = deque()
        self._done: deque[int] = deque()
        self._deleting: list[int] = []
        """Taken from `_done`, and not known to be committed as deleted."""
        self._next_id = 1
        self._allowed = 0
        self._n_rows = 0
        self._written_bytes = 0
        self._is_closed = False
        self.n_lost = 0
        """Requests that were known to be in a damaged file and could not be read when it was opened."""

    # Opening and closing ----------------------------------------------------------------------------------------------

    def open(self) -> list[Waiting]:
        """What is in it, oldest first. Raises StartError when it is another's, or cannot be written."""
        with self._busy:
            try:
                rebuild.finish(self.path)
                try:
                    found = self._open()
                except sqlite3.Error as error:
                    if not is_damage(error):
                        raise
                    self.n_lost = self._rebuild(error)
                    found = self._open()
            except (sqlite3.Error, OSError) as error:
                raise StartError(f"cannot keep a queue in {self.path}: {_reason(error)}") from error
            self._room.lay()
            return found

    def close(self, may_repeat: Iterable[int] = ()) -> None:
        """Deletes what is done. ``may_repeat``: what may have arrived of the rest, of which all else was not sent.

        Safe to call twice.
        """
        with self._busy:
            self._is_closed = True
            db = self._db
            if db is None:
                return
            self._commit_arrived(is_closing=True)
            with suppress(sqlite3.Error):
                with transaction(db):
                    self._delete(db)
                    db.execute("DELETE FROM attempted")
                    db.executemany("INSERT OR IGNORE INTO attempted (id) VALUES (?)", [(row,) for row in may_repeat])
                    set_meta(db, "allowed", 0)
                self._forget_deleted()
            self._drop_connection()
            self._room.give_up()
            if not self._n_rows:
                remove(self.path)

    def _open(self) -> list[Waiting]:
        db = connect(str(self.path), fsync=self._fsync)
        try:
            check_length(db, self.path)
            allowed, attempted = get_meta(db, "allowed"), {row for (row,) in db.execute("SELECT id FROM attempted")}
            found = [
                Waiting(signal, None, size, items, self._clock(), row=row,
                        may_repeat=row <= allowed or row in attempted)
                for row, signal, items, size in list_requests(db)
            ]  # fmt: skip
        except BaseException:
            db.close()
            raise
        self._db = db
        self._allowed = allowed
        self._n_rows = len(found)
        self._next_id = max(
            self._next_id, allowed + 1, max(attempted, default=0) + 1, found[-1].row + 1 if found else 0
        )
        return found

    def _drop_connection(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    # Putting and taking -----------------------------------------------------------------------------------------------

    @property
    def can_write(self) -> bool:
        """Whether an insertion is worth trying now."""
        return self._room.is_worth_trying

    @property
    def n_to_delete(self) -> int:
        """How much waits for `tidy`."""
        return len(self._done) + len(self._deleting)

    def put(self, waiting: Waiting) -> bool:
        """Store it, together with what other threads put at the same time; returns when it is on disk."""
        ticket = _Ticket(waiting)
        self._arrived.append(ticket)
        with self._busy:
            while ticket.is_stored is None:
                self._commit_arrived()
        return ticket.is_stored

    def load(self, batch: Sequence[Waiting]) -> list[Waiting]:
        """Fetches the bodies that are not in memory and allows all to be sent. Returns those that cannot be read."""
        highest = max((waiting.row for waiting in batch), default=0)
        if highest <= self._allowed and all(waiting.body is not None for waiting in batch):
            return []  # the usual case does not wait for a commit that is under way
        with self._busy:
            damaged = [waiting for waiting in batch if waiting.body is None and not self._read(waiting)]
            if highest > self._allowed and self._db is not None:
                try:
                    with transaction(self._db):
                        set_meta(self._db, "allowed", highest + AHEAD)
                    self._allowed = highest + AHEAD
                except sqlite3.Error as error:  # better sent without a note of it than not at all
                    self._failed(error)
            return damaged

    def done(self, rows: Iterable[int]) -> None:
        """Delivered or given up: to be deleted with the next commit, or by `tidy`."""
        self._done.extend(rows)

    def tidy(self) -> None:
        """Deletes what is done, without waiting for the disk: what reappears is sent again, marked."""
        with self._busy:
            db = self._db
            if db is None:
                return
            try:
                if self._fsync:
                    db.execute("PRAGMA synchronous = NORMAL")
                with transaction(db):
                    self._delete(db)
                self._forget_deleted()
                self._checkpoint(db)
            except sqlite3.Error as error:
                self._failed(error)
            if self._db is not None:
                with suppress(sqlite3.Error):
                    self._shrink(self._db, SHRINK_BYTES)
                    self._db.execute(f"PRAGMA synchronous = {'FULL' if self._fsync else 'NORMAL'}")

    def adopt(self, rows: Sequence[Row], may_repeat: Collection[int]) -> list[Waiting]:
        """Stores requests of another file, under numbers of its own. Raises sqlite3.Error; then none is stored.

        ``may_repeat``: of which the numbers they had say that they may have been sent.
        """
        with self._busy:
            if self._db is None:
                raise sqlite3.OperationalError("the queue is closed")
            own = [row._replace(id=number) for number, row in enumerate(rows, self._next_id)]
            repeated = {new.id for new, row in zip(own, rows, strict=True) if row.id in may_repeat}
            with transaction(self._db):
                insert(self._db, own)
                self._db.executemany("INSERT OR IGNORE INTO attempted (id) VALUES (?)", [(row,) for row in repeated])
            self._next_id += len(own)
            self._n_rows += len(own)
            self._written_bytes += sum(len(row.body) for row in own)
            with suppress(sqlite3.Error):
                self._checkpoint(self._db)
            now_s = self._clock()
            return [
                Waiting(row.signal, None, len(row.body), row.items, now_s, row=row.id, may_repeat=row.id in repeated)
                for row in own
            ]

    # With the file in hand --------------------------------------------------------------------------------------------

    def _commit_arrived(self, *, is_closing: bool = False) -> None:
        """One group of what has arrived; everything when closing, which stores nothing."""
        tickets: list[_Ticket] = []
        size = 0
        while self._arrived and (is_closing or not tickets or size + self._arrived[0].waiting.size <= GROUP_BYTES):
            tickets.append(self._arrived.popleft())
            size += tickets[-1].waiting.size
        is_stored = False
        if tickets and not is_closing and self._may_insert() and self._db is not None:
            try:
                self._insert(self._db, [ticket.waiting for ticket in tickets])
                is_stored = True
                self._checkpoint(self._db)
            except sqlite3.Error as error:
                self._failed(error)
        for ticket in tickets:
            ticket.is_stored = is_stored

    def _insert(self, db: sqlite3.Connection, arrived: list[Waiting]) -> None:
        rows = []
        for number, waiting in enumerate(arrived, self._next_id):
            body = waiting.body
            assert body is not None, "it is stored when it comes, with its body"
            rows.append(Row(number, waiting.signal, waiting.items, checksum(waiting.signal, waiting.items, body), body))
        last = rows[-1].id
        # with little on disk all of it is sent at once: allowed here, it costs no commit of its own
        allows = last > self._allowed and self._n_rows < AHEAD
        with transaction(db):
            insert(db, rows)
            self._delete(db)
            if allows:
                set_meta(db, "allowed", last + AHEAD)
        self._forget_deleted()
        if allows:
            self._allowed = last + AHEAD
        self._next_id = last + 1
        self._n_rows += len(rows)
        for row, waiting in zip(rows, arrived, strict=True):
            waiting.row = row.id
            self._written_bytes += waiting.size

    def _delete(self, db: sqlite3.Connection) -> None:
        """Within a transaction; `_forget_deleted` after it."""
        while self._done:
            self._deleting.append(self._done.popleft())
        db.executemany("DELETE FROM requests WHERE id = ?", [(row,) for row in self._deleting])

    def _forget_deleted(self) -> None:
        self._n_rows -= len(self._deleting)
        self._deleting.clear()

    def _read(self, waiting: Waiting) -> bool:
        db = self._db
        if db is None:
            return False
        try:
            row = db.execute(f"SELECT {COLUMNS} FROM requests WHERE id = ?", (waiting.row,)).fetchone()  # noqa: S608
            if row is not None and is_sound(row):
                waiting.body = row[4]
                return True
            if row is not None:
                _LOG.error("request %d of %s is damaged: moved to its table 'quarantine'", waiting.row, self.path)
                with transaction(db):
                    quarantine(db, row)
                return False
            _LOG.error("request %d of %s is lost", waiting.row, self.path)
        except sqlite3.Error as error:
            _LOG.error("request %d of %s cannot be read: %s", waiting.row, self.path, error)
            if is_damage(error):
                self._failed(error)
        return False

    def _checkpoint(self, db: sqlite3.Connection) -> None:
        if self._written_bytes >= CHECKPOINT_BYTES:
            self._written_bytes = 0
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _shrink(self, db: sqlite3.Connection, from_bytes: int) -> None:
        if not self._n_rows and self.path.stat().st_size > from_bytes:
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    # When something is wrong ------------------------------------------------------------------------------------------

    def _may_insert(self) -> bool:
        if self._is_closed:
            return False
        if not self._room.is_short:
            return True
        if not self._room.is_worth_trying:
            return False
        self._room.wait()
        if self._db is None:
            try:
                self._open()
            except (sqlite3.Error, OSError):
                return False
        if self._db is not None and not self._n_rows:
            with suppress(sqlite3.Error):
                self._shrink(self._db, 0)
        return self._room.lay()

    def _failed(self, error: sqlite3.Error) -> None:
        """Makes room for deletions, or rebuilds a damaged file; nothing is inserted for a while."""
        if is_damage(error):
            try:
                self._rebuild(error)
                self._open()
                return
            except (sqlite3.Error, OSError) as failure:
                _LOG.error("%s cannot be rebuilt: %s", self.path, failure)
        self._room.failed(_reason(error))
        if self._db is None:
            return
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._written_bytes = 0
            with transaction(self._db):
                self._delete(self._db)
            self._forget_deleted()
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _rebuild(self, error: sqlite3.Error) -> int:
        """Leaves the file closed. Returns how many requests are known to be lost."""
        self._drop_connection()
        result = rebuild.rebuild(self.path, allowed=self._allowed)
        _LOG.error(
            "%s is damaged (%s): %d requests were recovered, %s; the damaged file is %s",
            self.path, error, result.n_recovered, f"{result.n_lost} known to be lost", result.set_aside,
        )  # fmt: skip
        return result.n_lost


def remove(path: Path) -> None:
    """The file of a queue that is empty, and what belongs to it."""
    for suffix in ("-wal", "-shm", "-journal", RESERVE_SUFFIX, ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    text = str(error)
    if "locked" in text or "busy" in text:
        return f"{text}; another collector uses it"
    if "unable to open" in text or "readonly" in text:
        return f"{text}; the file and its directory must exist and be writable"
    return text
