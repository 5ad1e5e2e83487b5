"""Tables of the database, and what opening one checks.

Every table has a bound: partitions by the engine (`max_agents`), alerts, notification log and hint log by row count,
history by its ring, quarantine by row count.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from bmad_processor.errors import StoreError

SCHEMA_VERSION: Final = 1

BUSY_TIMEOUT_MS: Final = 5_000
"""Readers never block the writer in WAL mode; only a checkpoint or a backup can, and those take less than this."""

SCHEMA: Final = """
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE settings (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  payload TEXT NOT NULL,
  saved_ns INTEGER NOT NULL
);

CREATE TABLE partitions (
  key TEXT PRIMARY KEY,
  payload TEXT NOT NULL
);

CREATE TABLE quarantine (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL,
  payload TEXT,
  reason TEXT NOT NULL
);

CREATE TABLE alerts (
  alert_id TEXT PRIMARY KEY,
  partition_key TEXT NOT NULL,
  agent_name TEXT NOT NULL,
  level INTEGER NOT NULL,
  status TEXT NOT NULL,
  started_ns INTEGER NOT NULL,
  resolved_ns INTEGER,
  payload TEXT NOT NULL
);
CREATE INDEX alerts_by_start ON alerts (started_ns);

CREATE TABLE notification_log (
  event_id TEXT PRIMARY KEY,
  alert_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  payload TEXT NOT NULL,
  created_ns INTEGER NOT NULL,
  sent_ns INTEGER
);
CREATE INDEX unsent ON notification_log (created_ns) WHERE sent_ns IS NULL;

CREATE TABLE hints (
  partition_key TEXT PRIMARY KEY,
  payload TEXT NOT NULL
);

CREATE TABLE hint_log (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  partition_key TEXT NOT NULL,
  time_ns INTEGER NOT NULL,
  payload TEXT NOT NULL
);

CREATE TABLE series (
  series_id INTEGER PRIMARY KEY,
  partition_key TEXT NOT NULL,
  metric_type TEXT NOT NULL,
  UNIQUE (partition_key, metric_type)
);

-- a ring per series: slot = n % history_size, so a new row replaces the oldest and nothing is searched to delete
CREATE TABLE history (
  series_id INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  time_ns INTEGER NOT NULL,
  value REAL NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (series_id, slot)
) WITHOUT ROWID;
"""

_PACK_HISTORY: Final = """
CREATE TEMP TABLE packed AS
  SELECT series_id, time_ns, value, n,
         row_number() OVER (PARTITION BY series_id ORDER BY time_ns DESC) AS age,
         count(*) OVER (PARTITION BY series_id) AS size
  FROM history;
DELETE FROM history;
INSERT INTO history (series_id, slot, time_ns, value, n)
  SELECT series_id, min(size, {size}) - age, time_ns, value, n FROM packed WHERE age <= {size};
DROP TABLE packed;
"""


def get_meta(db: sqlite3.Connection, key: str) -> str | None:
    """A value of the ``meta`` table, None when there is none."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def set_meta(db: sqlite3.Connection, key: str, value: str) -> None:
    """Sets a value of the ``meta`` table, within the caller's transaction."""
    db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))


def check_version(db: sqlite3.Connection, path: str) -> bool:
    """Whether the database has our tables. Raises StoreError for tables of another version or another program."""
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if not tables:
        return False
    version = get_meta(db, "schema_version") if "meta" in tables else None
    if version is None:
        raise StoreError(f"{path} is an SQLite database of another program; name another file")
    if version != str(SCHEMA_VERSION):
        raise StoreError(
            f"{path} has schema version {version}, this program knows {SCHEMA_VERSION}: "
            "use the bmad-otel release that wrote it, or name another file to start empty"
        )
    return True


def prepare(db: sqlite3.Connection, path: str, history_size: int) -> None:
    """Creates the tables of a new database, checks those of an old one, fits the history to ``history_size``."""
    has_tables = check_version(db, path)
    db.execute("BEGIN IMMEDIATE")
    try:
        if not has_tables:
            _run_script(db, SCHEMA)
            set_meta(db, "schema_version", str(SCHEMA_VERSION))
        elif get_meta(db, "history_size") != str(history_size):
            # with another size every slot means another position: number the kept rows again
            _run_script(db, _PACK_HISTORY.format(size=int(history_size)))
        set_meta(db, "history_size", str(history_size))
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _run_script(db: sqlite3.Connection, script: str) -> None:
    # executescript would commit the open transaction first
    for statement in script.split(";\n"):
        if statement.strip():
            db.execute(statement)
