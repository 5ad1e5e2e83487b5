"""What the engines of one file say about themselves: counters and clock, one row each in the table ``meta``.

The only engine of a file has the plain names; of several, each has them with its number behind.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Final

COUNTERS: Final = "counters"
NOW: Final = "now_ns"
_SHARES: Final = "shares"
"""Number of engines in the last run; no row: the only one."""


@dataclass(frozen=True, slots=True)
class Share:
    """Which rows are whose."""

    worker: int | None
    """Number among the engines of the file; None for the only one."""

    def of(self, name: str) -> str:
        """The row of this engine."""
        return name if self.worker is None else f"{name}:{self.worker}"


def summed_counters(db: sqlite3.Connection) -> dict[str, int]:
    """Counters of all engines together."""
    total: dict[str, int] = {}
    for (text,) in _rows(db, COUNTERS):
        for name, n in json.loads(text).items():
            total[name] = total.get(name, 0) + n
    return total


def latest_ns(db: sqlite3.Connection) -> int:
    """The clock of the engine that committed last, 0 before the first commit."""
    return max((int(text) for (text,) in _rows(db, NOW)), default=0)


def n_shares(db: sqlite3.Connection) -> int:
    """How many engines the last run had."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (_SHARES,)).fetchone()
    return 1 if row is None else int(row[0])


def fold(db: sqlite3.Connection, into: Share, *, shares: int) -> None:
    """Makes ``into`` the only one with rows, for a run that has another number of engines than the one before."""
    db.execute("BEGIN IMMEDIATE")
    try:
        counters, now_ns = summed_counters(db), latest_ns(db)
        for name in (COUNTERS, NOW):
            db.execute("DELETE FROM meta WHERE key = ?1 OR key GLOB ?1 || ':*'", (name,))
        rows = [(_SHARES, str(shares))]
        if now_ns or counters:
            rows += [(into.of(COUNTERS), json.dumps(counters)), (into.of(NOW), str(now_ns))]
        db.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", rows)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _rows(db: sqlite3.Connection, name: str) -> list[tuple[str]]:
    return db.execute("SELECT value FROM meta WHERE key = ?1 OR key GLOB ?1 || ':*'", (name,)).fetchall()
