"""Looking into the store from any process: read-only connections, each question one consistent snapshot."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bmad_processor.errors import StoreError
from bmad_processor.model import Level
from bmad_processor.settings import EngineSettings
from bmad_processor.state import Partition
from bmad_processor.state_json import load_partition

from .meta import latest_ns, summed_counters
from .schema import BUSY_TIMEOUT_MS, check_version
from .settings_codec import load_settings
from .sqlite import translate_errors

logger = logging.getLogger(__name__)


class StoreReader:
    """Opens ``path`` read-only for every snapshot, so that it never stands in the way of the writer's checkpoints."""

    def __init__(self, path: str) -> None:
        self.path = path

    @contextmanager
    def snapshot(self) -> Iterator[SqliteSnapshot]:
        """What was committed last. Raises StoreError when there is no file or it cannot be read."""
        with translate_errors(self.path), closing(self._open()) as db:
            db.execute("BEGIN")
            if not check_version(db, self.path):
                raise StoreError(f"{self.path} is empty: no collector has finished starting with this path")
            yield SqliteSnapshot(db)

    def _open(self) -> sqlite3.Connection:
        file = Path(self.path)
        if not file.is_file():
            raise StoreError(f"{self.path} does not exist: no collector has run with this path")
        uri = "file:" + quote(str(file.absolute()))
        try:
            return self._connect(uri + "?mode=ro")
        except sqlite3.OperationalError:
            # A WAL database wants a -shm file beside it. In a directory that cannot be written to, that fails; when
            # no write-ahead log is left either, nobody writes and the file alone is the whole truth.
            if Path(self.path + "-wal").exists():
                raise
            return self._connect(uri + "?immutable=1")

    @staticmethod
    def _connect(uri: str) -> sqlite3.Connection:
        db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
        try:
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except BaseException:
            db.close()
            raise
        return db


class SqliteSnapshot:
    """One point in time of the store, as `contract.Snapshot` has it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def settings(self) -> EngineSettings:
        """The settings of the last run; the defaults when there are none or they cannot be read."""
        row = self._db.execute("SELECT payload FROM settings").fetchone()
        if row is None:
            return EngineSettings()
        try:
            return load_settings(row[0])
        except ValueError as error:
            logger.warning("settings in the store cannot be read, defaults are used: %s", error)
            return EngineSettings()

    def started_ns(self) -> int | None:
        """When the last run started."""
        row = self._db.execute("SELECT saved_ns FROM settings").fetchone()
        return None if row is None else int(row[0])

    def now_ns(self) -> int:
        """The engine's clock at the last commit, 0 before the first; of several engines the latest."""
        return latest_ns(self._db)

    def counters(self) -> dict[str, int]:
        """All counters of the engine; of several engines the sums."""
        return summed_counters(self._db)

    def partition_keys(self) -> list[str]:
        """Keys of all partitions."""
        return [row[0] for row in self._db.execute("SELECT key FROM partitions ORDER BY key")]

    def partition(self, key: str) -> Partition | None:
        """One partition; None when it is unknown or damaged."""
        row = self._db.execute("SELECT payload FROM partitions WHERE key = ?", (key,)).fetchone()
        return None if row is None else _readable(key, row[0])

    def partitions(self) -> list[Partition]:
        """All partitions that can be read."""
        rows = self._db.execute("SELECT key, payload FROM partitions ORDER BY key")
        return [partition for key, text in rows if (partition := _readable(key, text)) is not None]

    def alerts(
        self,
        *,
        partition_key: str | None = None,
        agent_name: str | None = None,
        level: Level | None = None,
        status: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Alerts as `alert_to_dict` wrote them: firing ones first, then the newest."""
        found = self._db.execute(
            "SELECT payload FROM alerts"
            " WHERE (?1 IS NULL OR partition_key = ?1) AND (?2 IS NULL OR level = ?2) AND (?3 IS NULL OR status = ?3)"
            " AND (?4 IS NULL OR agent_name = ?4) ORDER BY status = 'resolved', started_ns DESC, rowid DESC LIMIT ?5",
            (
                partition_key,
                None if level is None else int(level),
                status,
                agent_name,
                -1 if limit is None else limit,
            ),
        )
        return _documents(found)

    def history(self, partition_key: str, metric_type: str, limit: int) -> list[tuple[int, float, int]]:
        """The newest ``limit`` points as (time_ns, value in base units, n), oldest first."""
        rows = self._db.execute(
            "SELECT time_ns, value, n FROM history WHERE series_id ="
            " (SELECT series_id FROM series WHERE partition_key = ? AND metric_type = ?)"
            " ORDER BY time_ns DESC LIMIT ?",
            (partition_key, metric_type, limit),
        ).fetchall()
        return rows[::-1]

    def has_alerts(self, agent_name: str) -> bool:
        """Whether an alert of this agent is kept; it may outlive the agent."""
        return self._db.execute("SELECT 1 FROM alerts WHERE agent_name = ?", (agent_name,)).fetchone() is not None

    def metric_types(self, partition_key: str) -> list[str]:
        """Metric types with history."""
        rows = self._db.execute(
            "SELECT metric_type FROM series WHERE partition_key = ? ORDER BY metric_type", (partition_key,)
        )
        return [row[0] for row in rows]

    def hints(self) -> list[dict[str, Any]]:
        """The latest advice per partition."""
        return _documents(self._db.execute("SELECT payload FROM hints ORDER BY partition_key"))

    def hint_log(self, limit: int) -> list[dict[str, Any]]:
        """Changes of advice, newest first."""
        return _documents(self._db.execute("SELECT payload FROM hint_log ORDER BY id DESC LIMIT ?", (limit,)))

    def quarantined(self) -> int:
        """Damaged rows kept aside."""
        return int(self._db.execute("SELECT count(*) FROM quarantine").fetchone()[0])

    def unsent(self) -> int:
        """Events whose delivery was not confirmed yet."""
        return int(self._db.execute("SELECT count(*) FROM notification_log WHERE sent_ns IS NULL").fetchone()[0])


def _documents(rows: Iterable[tuple[str]]) -> list[dict[str, Any]]:
    """The rows that are JSON; a damaged one must not hide the others."""
    found = []
    for (text,) in rows:
        try:
            found.append(json.loads(text))
        except ValueError as error:
            logger.warning("a row of the store cannot be read: %s", error)
    return found


def _readable(key: str, text: str) -> Partition | None:
    try:
        return load_partition(text)
    except (ValueError, RecursionError) as error:
        logger.warning("the state of %s cannot be read: %s", key, error)
        return None
