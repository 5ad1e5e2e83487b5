"""A work queue between processes: a table in SQLite, from which every file is taken exactly once."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterable
from pathlib import Path


class ReviewQueue:
    """One end of the queue of a run; every process opens its own, and uses it from one thread at a time."""

    def __init__(self, workspace: Path) -> None:
        self._database = sqlite3.connect(
            workspace / "reviews.sqlite", timeout=10, isolation_level=None, check_same_thread=False
        )
        weakref.finalize(self, self._database.close)
        # The queue lives as long as the run: nothing in it is worth waiting for a disk.
        self._database.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
            "CREATE TABLE IF NOT EXISTS reviews(id INTEGER PRIMARY KEY, path TEXT NOT NULL)"
        )

    def put(self, paths: Iterable[Path]) -> None:
        """Adds files at the end."""
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany("INSERT INTO reviews(path) VALUES (?)", [(str(path),) for path in paths])
        self._database.execute("COMMIT")

    def take(self) -> Path | None:
        """Removes the first file; None when there is none."""
        # Looking first keeps an idle instance from taking the write lock twenty times a second.
        if self._database.execute("SELECT 1 FROM reviews LIMIT 1").fetchone() is None:
            return None
        # fetchall: a DELETE ... RETURNING left half-read keeps its transaction, and with it the lock, open
        rows = self._database.execute(
            "DELETE FROM reviews WHERE id = (SELECT min(id) FROM reviews) RETURNING path"
        ).fetchall()
        return Path(rows[0][0]) if rows else None

    def size(self) -> int:
        """How many files wait."""
        (count,) = self._database.execute("SELECT count(*) FROM reviews").fetchone()
        return int(count)

    def close(self) -> None:
        self._database.close()
