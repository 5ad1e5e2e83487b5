"""The arrival of review work, given in what it costs: so many CPU seconds per second, on this machine."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path
from typing import Final

from .work import corpus
from .work.agent import Surroundings
from .work.quality_guardian import QualityGuardian
from .work.review_queue import ReviewQueue

LARGEST_BYTES: Final = 15_000
"""Small files make many small tasks, which spread evenly over instances."""

_TRIAL_S: Final = 0.25


class ReviewLoad:
    """Puts files into the queue at a set rate. `feed` is called often and makes up for the time in between."""

    def __init__(self, workspace: Path) -> None:
        self._queue = ReviewQueue(workspace)
        files = [path for path in corpus.stdlib_files() if path.stat().st_size <= LARGEST_BYTES]
        self._files = itertools.cycle([(path, path.stat().st_size) for path in files])
        self._cost_s_per_byte = self._measure(workspace, files)
        self._owed_bytes = 0.0
        self._fed_at = time.monotonic()
        self.load = 0.0
        """CPU seconds of work that arrive per second."""

    def feed(self) -> None:
        """Puts in what has become due."""
        now = time.monotonic()
        self._owed_bytes += (now - self._fed_at) * self.load / self._cost_s_per_byte
        self._fed_at = now
        due = []
        while self._owed_bytes > 0:
            path, size = next(self._files)
            self._owed_bytes -= size
            due.append(path)
        if due:
            self._queue.put(due)

    @property
    def waiting(self) -> int:
        """Files in the queue now."""
        return self._queue.size()

    def close(self) -> None:
        self._queue.close()

    @staticmethod
    def _measure(workspace: Path, files: list[Path]) -> float:
        """CPU seconds that reviewing a byte takes here, from a quarter of a second of it. Nothing of it is reported."""
        guardian = QualityGuardian(Surroundings(workspace))
        started, done = time.process_time(), 0
        for path in itertools.cycle(files):
            asyncio.run(guardian.collect(path))
            done += path.stat().st_size
            spent = time.process_time() - started
            if spent > _TRIAL_S:
                return spent / done
        raise ValueError("no files to review")
