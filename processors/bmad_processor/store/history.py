"""Writing the history: a ring of rows per series."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bmad_processor.model import HistoryPoint

MAX_SERIES: Final = 256
"""Series of one partition. The engine tells apart about half as many at once; the others are values whose names it has
forgotten since."""


@dataclass(slots=True)
class _Ring:
    series_id: int
    slot: int
    """Of the newest point, -1 before the first."""
    time_ns: int
    """Of the newest point."""


class HistoryWriter:
    """Puts points into their rings, within the caller's transaction. Where each ring stands is read once per series."""

    def __init__(self, db: sqlite3.Connection, size: int) -> None:
        self._db = db
        self._size = size
        self._rings: dict[tuple[str, str], _Ring] = {}
        self._is_dirty = False

    def write(self, points: Iterable[HistoryPoint]) -> None:
        """Appends points. One at the time of the newest replaces it: the same pane, judged again after a restart."""
        rows = []
        for point in points:
            self._is_dirty = True
            ring = self._ring(str(point.key), point.metric_type)
            if ring.slot < 0 or point.time_ns != ring.time_ns:
                ring.slot = (ring.slot + 1) % self._size
            ring.time_ns = point.time_ns
            rows.append((ring.series_id, ring.slot, point.time_ns, point.value, point.n))
        self._db.executemany(
            "INSERT OR REPLACE INTO history (series_id, slot, time_ns, value, n) VALUES (?, ?, ?, ?, ?)", rows
        )

    def forget(self, partition_key: str) -> None:
        """Deletes all series of a partition."""
        self._is_dirty = True
        ids = self._db.execute("SELECT series_id FROM series WHERE partition_key = ?", (partition_key,)).fetchall()
        self._db.executemany("DELETE FROM history WHERE series_id = ?", ids)
        self._db.executemany("DELETE FROM series WHERE series_id = ?", ids)
        for owner in [owner for owner in self._rings if owner[0] == partition_key]:
            del self._rings[owner]

    def keep(self) -> None:
        """The transaction was committed."""
        self._is_dirty = False

    def undo(self) -> None:
        """The transaction was rolled back: what was remembered of it is read again."""
        if self._is_dirty:
            self._rings.clear()
            self._is_dirty = False

    def _ring(self, partition_key: str, metric_type: str) -> _Ring:
        owner = (partition_key, metric_type)
        ring = self._rings.get(owner)
        if ring is None:
            ring = self._rings[owner] = self._open(owner)
        return ring

    def _open(self, owner: tuple[str, str]) -> _Ring:
        row = self._db.execute(
            "SELECT series_id FROM series WHERE partition_key = ? AND metric_type = ?", owner
        ).fetchone()
        if row is None:
            self._make_room(owner[0])
            cursor = self._db.execute("INSERT INTO series (partition_key, metric_type) VALUES (?, ?)", owner)
            assert cursor.lastrowid is not None
            return _Ring(cursor.lastrowid, -1, 0)
        newest = self._db.execute(
            "SELECT slot, time_ns FROM history WHERE series_id = ? ORDER BY time_ns DESC LIMIT 1", row
        ).fetchone()
        return _Ring(row[0], *newest) if newest else _Ring(row[0], -1, 0)

    def _make_room(self, partition_key: str) -> None:
        """Deletes the series of a partition that has been silent for longest when it has `MAX_SERIES`."""
        (n,) = self._db.execute("SELECT count(*) FROM series WHERE partition_key = ?", (partition_key,)).fetchone()
        if n < MAX_SERIES:
            return
        # a series that is new in this transaction has no rows yet and is not found
        oldest = self._db.execute(
            "SELECT series_id, metric_type, max(time_ns) AS newest FROM series JOIN history USING (series_id)"
            " WHERE partition_key = ? GROUP BY series_id ORDER BY newest LIMIT 1",
            (partition_key,),
        ).fetchone()
        if oldest is not None:
            self._db.execute("DELETE FROM history WHERE series_id = ?", oldest[:1])
            self._db.execute("DELETE FROM series WHERE series_id = ?", oldest[:1])
            self._rings.pop((partition_key, oldest[1]), None)
