"""Where the files of durable queues are, and what becomes of those that nobody uses any more.

Beside the collector's database: ``<database>.queue-<worker>-<exporter>.db``. A worker owns its files while it runs;
files of workers that there are no longer are adopted by the first worker.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bmad_processor.fields import Config

from .lanes import Waiting
from .queue_config import QueueConfig
from .queue_file import QueueFile, remove
from .queue_rebuild import CHUNK_BYTES, salvage, set_aside
from .queue_schema import connect, get_meta, in_chunks, is_damage, transaction

_LOG: Final = logging.getLogger("bmad_otel.collector")


def storage_of(exporter: Config) -> str | None:
    """The id of the extension an exporter's queue is to be kept by, None for a queue in memory or none at all."""
    queue = getattr(exporter, "sending_queue", None)
    return queue.storage if isinstance(queue, QueueConfig) else None


@dataclass(frozen=True, slots=True)
class QueueStorage:
    """The place of all durable queues of one collector."""

    database: Path
    """The collector's own database; the queues are beside it."""
    worker: int = 0
    n_workers: int = 1

    def path(self, exporter: str, worker: int | None = None) -> Path:
        """The file of an exporter's queue in a worker, by default in this one."""
        number = self.worker if worker is None else worker
        # a type has no plus, so no two ids share a file
        return self.database.with_name(f"{self.database.name}.queue-{number}-{exporter.replace('/', '+')}.db")

    def abandoned(self, exporter: str) -> list[Path]:
        """Files of that exporter in workers that there are no longer; only the first worker is told."""
        if self.worker:
            return []
        pattern = re.compile(re.escape(self.database.name) + r"\.queue-(\d+)-(.+)\.db")
        found = []
        for path in sorted(self.database.parent.glob("*.db")):
            match = pattern.fullmatch(path.name)
            if match and match[2] == exporter.replace("/", "+") and int(match[1]) >= self.n_workers:
                found.append(path)
        return found

    def leftover(self, exporters: set[str]) -> Iterator[Path]:
        """Files of exporters that are not configured, or have no storage, any more."""
        names = {exporter.replace("/", "+") for exporter in exporters}
        pattern = re.compile(re.escape(self.database.name) + r"\.queue-(\d+)-(.+)\.db")
        for path in sorted(self.database.parent.glob("*.db")):
            match = pattern.fullmatch(path.name)
            if match and match[2] not in names:
                yield path


class StoredQueue:
    """The durable queue of one exporter: its own file, and on opening what other workers left behind."""

    def __init__(self, storage: QueueStorage, exporter: str, *, fsync: bool) -> None:
        self._storage = storage
        self._exporter = exporter
        self.file = QueueFile(storage.path(exporter), fsync=fsync)

    def open(self) -> list[Waiting]:
        """Everything that waits to be sent, oldest first. Raises StartError."""
        found = self.file.open()
        for path in self._storage.abandoned(self._exporter):
            found += adopt(path, self.file)
        return found


def adopt(path: Path, into: QueueFile) -> list[Waiting]:
    """Moves the requests of an abandoned file. One that is in use, or cannot be moved now, stays for the next start."""
    taken: list[Waiting] = []
    moved: list[tuple[int]] = []
    lost: list[int] = []
    try:
        try:
            with closing(connect(str(path), fsync=False)) as db:
                allowed = get_meta(db, "allowed")
                attempted = {row for (row,) in db.execute("SELECT id FROM attempted")}
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            allowed, attempted = 2**62, set()  # nobody knows what was sent
        for rows in in_chunks(salvage(path, lost), CHUNK_BYTES):
            may_repeat = {row.id for row in rows if row.id <= allowed or row.id in attempted}
            taken += into.adopt(rows, may_repeat)
            moved += [(row.id,) for row in rows]
    except (sqlite3.Error, OSError) as error:
        _LOG.warning("the queue left behind in %s cannot be taken over now: %s", path, error)
        if moved:
            with suppress(sqlite3.Error), closing(connect(str(path), fsync=False)) as db, transaction(db):
                db.executemany("DELETE FROM requests WHERE id = ?", moved)
        return taken
    if lost:
        _LOG.error("%d requests in %s are damaged; it is kept as %s.damaged", len(lost), path, path)
        set_aside(path)
    else:
        remove(path)
    if taken:
        _LOG.info("%d requests left behind in %s were taken over", len(taken), path)
    return taken
