"""Which worker owns a partition."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from bmad_processor.model import PartitionKey
from bmad_processor.settings import EngineSettings

_REMEMBERED: Final = 100_000
"""Keys whose owner is remembered, about 10 MiB; emptied when full."""

_OVERFLOW: Final = re.compile(r"[a-z]+//otel\.overflow(?:\.([0-9]{1,4}))?")
"""What an engine folds agents into when it has no room: the partition is its own, whatever its hash says."""

_SPREAD: Final = 1.1
"""A hash gives no worker exactly its share."""


def owner_of(key: str, workers: int) -> int:
    """The number of the worker that owns the partition ``key`` (`str(PartitionKey)`) among ``workers``.

    The same in every process and every release, so that all agree; evenly spread also for names that differ by a digit.
    """
    if (folded := _OVERFLOW.fullmatch(key)) is not None:
        return int(folded[1] or 0) % workers
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big") % workers


class Ownership:
    """What belongs to worker ``worker`` of ``workers``. Thread-safe."""

    def __init__(self, worker: int, workers: int) -> None:
        self.worker = worker
        self.workers = workers
        self._known: dict[PartitionKey, int] = {}

    def owner(self, key: PartitionKey) -> int:
        """As `owner_of`, remembered."""
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[key] = owner_of(str(key), self.workers)
        return found

    def owns(self, key: str) -> bool:
        """Whether the partition ``key`` (`str(PartitionKey)`) is this worker's."""
        return owner_of(key, self.workers) == self.worker

    def settings(self, settings: EngineSettings) -> EngineSettings:
        """This worker's part of the bounds that hold for all of them together."""
        return replace(
            settings,
            max_agents=-int(-_SPREAD * settings.max_agents // self.workers),
            overflow_agent=f"{settings.overflow_agent}.{self.worker}" if self.worker else settings.overflow_agent,
        )
