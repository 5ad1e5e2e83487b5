"""The store on SQLite: one file, one writer, any number of readers in any process.

WAL keeps readers and the writer out of each other's way, and makes a commit one append. Killed at any instruction, the
database opens at the last commit that returned or at the one in flight, never between.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from bmad_processor.errors import StoreError
from bmad_processor.model import Alert, AlertEvent, AlertStatus, ScalingHint
from bmad_processor.settings import EngineSettings
from bmad_processor.state_json import load_partition
from bmad_processor.summary import agent_label

from .codec import alert_to_dict, event_from_dict, event_to_dict, hint_to_dict
from .contract import Commit, Loaded
from .history import HistoryWriter
from .lock import OwnerLock
from .meta import COUNTERS, NOW, Share, fold, latest_ns, n_shares
from .rescue import is_damaged, rescue
from .schema import BUSY_TIMEOUT_MS, get_meta, prepare, set_meta
from .settings_codec import dump_settings

logger = logging.getLogger(__name__)

MAX_NOTIFICATIONS: Final = 10_000
"""Rows of the notification log: about a month of a busy collector. Delivered events go first."""

MAX_HINT_LOG: Final = 1_000
"""Changes of scaling advice kept over all partitions."""

MAX_QUARANTINE: Final = 100
"""Damaged rows kept to look into."""

WAL_SIZE_LIMIT_BYTES: Final = 64 * 2**20
"""After a checkpoint a larger write-ahead log is cut to this; a long reader may have let it grow."""


class SqliteStore:
    """A `Store` in one SQLite file, owned from construction to `close`.

    Calls may come from any thread, one at a time is served. Raises StoreError when the file is owned by another
    collector, damaged, or of an unknown schema version.

    Several engines may share one file, each with its own partitions: each opens it with its ``worker`` number and
    ``owns``, and the process that started them holds the file for all of them (`share`).
    """

    def __init__(
        self,
        path: str,
        *,
        history_size: int = 1000,
        max_alerts: int = 1000,
        worker: int | None = None,
        owns: Callable[[str], bool] | None = None,
    ) -> None:
        """``history_size`` is points per series, ``max_alerts`` alert episodes kept in all.

        ``worker`` is the number of this engine among those that share the file; None: it is the only one. ``owns``
        says of the key of a partition whether it is this engine's; by default all are.
        """
        self.path = path
        self._max_alerts = max_alerts
        self._share = Share(worker)
        self._owns = owns or _all
        self._mutex = threading.Lock()
        self._owner = OwnerLock(path) if worker is None else None
        self._db: sqlite3.Connection | None = None
        try:
            with translate_errors(path):
                if worker is None and is_damaged(path):
                    rescue(path, history_size)
                db = self._db = connect(path)
                prepare(db, path, history_size)
                if worker is None:
                    fold(db, self._share, shares=1)
                self._history = HistoryWriter(db, history_size)
        except BaseException:
            self.close()
            raise

    def load(self) -> Loaded:
        """The state at the last commit. Rows that cannot be read are moved to the table ``quarantine``."""
        with self._transaction() as db:
            partitions: dict[str, str] = {}
            damaged: list[tuple[str, str | None, str]] = []
            for key, payload in db.execute("SELECT key, payload FROM partitions"):
                if not self._owns(str(key)):
                    continue
                reason = _damage(key, payload)
                if reason is None:
                    partitions[key] = payload
                else:
                    damaged.append((str(key), str(payload), reason))
            unsent: list[AlertEvent] = []
            for event_id, payload in db.execute(
                "SELECT event_id, payload FROM notification_log WHERE sent_ns IS NULL ORDER BY created_ns, rowid"
            ):
                try:
                    event = event_from_dict(json.loads(payload))
                    if self._owns(str(event.alert.key)):
                        unsent.append(event)
                except ValueError as error:
                    damaged.append((f"event {event_id}", payload, str(error)))
            self._quarantine(db, damaged)
            counters = get_meta(db, self._share.of(COUNTERS))
            return Loaded(
                partitions=partitions,
                counters=json.loads(counters) if counters else {},
                # where this engine stopped; one that never wrote anything begins where the others are
                now_ns=int(get_meta(db, self._share.of(NOW)) or latest_ns(db)),
                unsent=unsent,
                quarantined=len(damaged),
            )

    def commit(self, commit: Commit) -> None:
        """Writes ``commit`` in one transaction."""
        # NORMAL does not wait for the disk on every commit: at power loss the last commits may be gone (never half
        # gone), and what they held is learned again from the senders. An event is about to be announced: were its
        # record lost, nobody would know that it was said or that its alert is open. So such a commit waits (FULL).
        with self._transaction(is_durable=bool(commit.events)) as db:
            db.executemany("INSERT OR REPLACE INTO partitions (key, payload) VALUES (?, ?)", commit.partitions.items())
            for key in commit.removed:
                db.execute("DELETE FROM partitions WHERE key = ?", (key,))
                db.execute("DELETE FROM hints WHERE partition_key = ?", (key,))
                self._history.forget(key)
            self._write_alerts(db, commit.alerts)
            self._write_events(db, commit.events, commit.now_ns)
            self._write_hints(db, commit.hints)
            self._history.write(commit.history)
            set_meta(db, self._share.of(COUNTERS), json.dumps(dict(commit.counters)))
            set_meta(db, self._share.of(NOW), str(commit.now_ns))

    def mark_sent(self, event_ids: Sequence[str], time_ns: int) -> None:
        """Notes confirmed deliveries. Lost at power loss they are sent again under the same id, which is harmless."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE notification_log SET sent_ns = ? WHERE event_id = ? AND sent_ns IS NULL",
                [(time_ns, event_id) for event_id in event_ids],
            )

    def unsent(self) -> int:
        """Events whose delivery is not confirmed yet, of all engines that share the file. Raises StoreError."""
        with self._mutex:
            if self._db is None:
                raise StoreError(f"{self.path} is closed")
            with translate_errors(self.path):
                found = self._db.execute("SELECT count(*) FROM notification_log WHERE sent_ns IS NULL").fetchone()
                return int(found[0])

    def save_settings(self, settings: EngineSettings, time_ns: int) -> None:
        """Keeps the settings of this run; ``time_ns`` is its start."""
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO settings (id, payload, saved_ns) VALUES (1, ?, ?)",
                (dump_settings(settings), time_ns),
            )

    def fit(self, *, history_size: int, max_alerts: int) -> None:
        """Other bounds from now on; of a history that is too long the newest points are kept. Raises StoreError."""
        with self._mutex:
            self._max_alerts = max_alerts
            if self._db is not None:
                with translate_errors(self.path):
                    prepare(self._db, self.path, history_size)
                self._history = HistoryWriter(self._db, history_size)

    def close(self) -> None:
        """Closes the file and gives it free."""
        with self._mutex:
            if self._db is not None:
                self._db.close()
                self._db = None
            if self._owner is not None:
                self._owner.release()

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self, *, is_durable: bool = False) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            db = self._db
            if db is None:
                raise StoreError(f"{self.path} is closed")
            with translate_errors(self.path):
                db.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    self._history.undo()
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
                self._history.keep()

    def _write_alerts(self, db: sqlite3.Connection, alerts: Sequence[Alert]) -> None:
        if not alerts:
            return
        db.executemany(
            "INSERT OR REPLACE INTO alerts"
            " (alert_id, partition_key, agent_name, level, status, started_ns, resolved_ns, payload)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (a.alert_id, str(a.key), agent_label(a.key), int(a.level), a.status.value, a.started_ns, a.resolved_ns,
                 json.dumps(alert_to_dict(a)))
                for a in alerts
            ],
        )  # fmt: skip
        # resolved ones go first, oldest first; firing ones only when nothing else is left
        _trim(db, "alerts", self._max_alerts, f"status = '{AlertStatus.FIRING}', coalesce(resolved_ns, started_ns)")

    def _write_events(self, db: sqlite3.Connection, events: Sequence[AlertEvent], now_ns: int) -> None:
        if not events:
            return
        # an event said again after a restart has the same id: the first record, with its sent_ns, stays
        db.executemany(
            "INSERT OR IGNORE INTO notification_log (event_id, alert_id, kind, payload, created_ns)"
            " VALUES (?, ?, ?, ?, ?)",
            [(e.event_id, e.alert.alert_id, e.kind.value, json.dumps(event_to_dict(e)), now_ns) for e in events],
        )
        _trim(db, "notification_log", MAX_NOTIFICATIONS, "sent_ns IS NULL, created_ns, rowid")

    def _write_hints(self, db: sqlite3.Connection, hints: Sequence[ScalingHint]) -> None:
        if not hints:
            return
        rows = [(str(h.key), h.time_ns, json.dumps(hint_to_dict(h))) for h in hints]
        db.executemany("INSERT INTO hint_log (partition_key, time_ns, payload) VALUES (?, ?, ?)", rows)
        latest = [(key, text) for key, _, text in rows]
        db.executemany("INSERT OR REPLACE INTO hints (partition_key, payload) VALUES (?, ?)", latest)
        _trim(db, "hint_log", MAX_HINT_LOG, "id")

    def _quarantine(self, db: sqlite3.Connection, damaged: list[tuple[str, str | None, str]]) -> None:
        if not damaged:
            return
        db.executemany("INSERT INTO quarantine (key, payload, reason) VALUES (?, ?, ?)", damaged)
        db.executemany("DELETE FROM partitions WHERE key = ?", [(key,) for key, _, _ in damaged])
        events = [(key.removeprefix("event "),) for key, _, _ in damaged if key.startswith("event ")]
        db.executemany("DELETE FROM notification_log WHERE event_id = ?", events)
        _trim(db, "quarantine", MAX_QUARANTINE, "id")
        logger.warning(
            "%d damaged rows of %s were moved to its table 'quarantine', the first: %s (%s)",
            len(damaged), self.path, damaged[0][0], damaged[0][2],
        )  # fmt: skip


@contextmanager
def share(path: str, *, workers: int, history_size: int = 1000) -> Iterator[int]:
    """Holds ``path`` for the ``workers`` engines of other processes, from before the first opens it until the last has
    closed it. Gives the lock's descriptor: a process that inherits it holds the file too, until it ends.

    Makes the tables and fits the history, so that they find them ready. What engines counted in an earlier run, when
    they were more or fewer, goes on with worker 0. Raises StoreError as `SqliteStore` does.
    """
    owner = OwnerLock(path)
    try:
        with translate_errors(path):
            if is_damaged(path):
                rescue(path, history_size)
            db = connect(path)
            try:
                prepare(db, path, history_size)
                if n_shares(db) != workers or get_meta(db, COUNTERS) is not None:
                    fold(db, Share(0), shares=workers)
            finally:
                db.close()
        yield owner.fileno()
    finally:
        owner.release()


def connect(path: str) -> sqlite3.Connection:
    """A connection for writing."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA journal_size_limit = {WAL_SIZE_LIMIT_BYTES}")
    except BaseException:
        db.close()
        raise
    return db


def _all(_: str) -> bool:
    return True


def _damage(key: object, payload: object) -> str | None:
    """Why a partition row cannot be used, None when it can."""
    if not isinstance(payload, str):
        return "not text"
    try:
        partition = load_partition(payload)
    except (ValueError, RecursionError) as error:
        return str(error)
    return None if str(partition.key) == key else f"holds the state of {partition.key}"


def _trim(db: sqlite3.Connection, table: str, limit: int, order: str) -> None:
    """Deletes the rows first in ``order`` until ``limit`` are left. Names come from this module only."""
    (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    if count > limit:
        db.execute(
            f"DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} ORDER BY {order} LIMIT ?)",  # noqa: S608
            (count - limit,),
        )


@contextmanager
def translate_errors(path: str) -> Iterator[None]:
    """Turns SQLite's errors into StoreErrors that say what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        if "locked" in text or "busy" in text:
            hint = "another program holds it locked"
        elif "full" in text:
            hint = "the disk is full"
        elif "unable to open" in text or "readonly" in text:
            hint = "the file and its directory must exist and be writable"
        else:
            hint = "see the message"
        raise StoreError(f"{path}: {text}; {hint}") from error
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"{path} is damaged ({error}): move it away together with its -wal and -shm files to start empty, "
            f"or recover it with: sqlite3 {path} .recover"
        ) from error
