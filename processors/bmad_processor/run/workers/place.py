"""What makes a collector one worker of several: whose partitions it has, and the way to the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from bmad_processor.settings import EngineSettings
from bmad_processor.store import SqliteStore

from .channel import Channel
from .ownership import Ownership
from .router import STOP_MARK, Engine, Router, Shared

_SETTLE_S: Final = 2.0
"""The others end at the same time; what they still have for this one comes within this, or they are in trouble."""


class _OneOfSeveral(SqliteStore):
    """The settings are the same for all workers: the first one keeps them."""

    def __init__(self, path: str, ownership: Ownership, *, history_size: int, max_alerts: int) -> None:
        super().__init__(
            path, history_size=history_size, max_alerts=max_alerts, worker=ownership.worker, owns=ownership.owns
        )
        self._keeps_settings = ownership.worker == 0

    def save_settings(self, settings: EngineSettings, time_ns: int) -> None:
        if self._keeps_settings:
            super().save_settings(settings, time_ns)


class Place:
    """Worker ``worker`` of ``workers``."""

    def __init__(self, worker: int, workers: int) -> None:
        self.worker = worker
        self._ownership = Ownership(worker, workers)
        self._router: Router | None = None
        self._lock = threading.Lock()

    def open_store(self, path: str, *, history_size: int, max_alerts: int) -> SqliteStore:
        """This worker's part of the store. Raises StoreError."""
        return _OneOfSeveral(path, self._ownership, history_size=history_size, max_alerts=max_alerts)

    def route(self, engine: Callable[[], Engine | None], shared: Shared, *, clock: Callable[[], int]) -> Router:
        """The sink for what the pipelines decode; made once, whatever becomes of the engine."""
        with self._lock:
            if self._router is None:
                self._router = Router(self._ownership, engine, shared, clock=clock)
            return self._router

    def connect(self, worker: int, channel: Channel) -> None:
        """A connection to another worker."""
        if self._router is None:
            channel.close()  # nothing is learned here, so nothing is to be handed over
        else:
            self._router.connect(worker, channel)

    def settle(self, mark: int, timeout_s: float) -> bool:
        """As `Router.settle`."""
        return self._router is None or self._router.settle(mark, timeout_s)

    def leave(self, timeout_s: float) -> None:
        """Nothing comes from senders any more: gives the other workers what this one has for them and waits for
        theirs, since all end together. Safe to call twice."""
        router, self._router = self._router, None
        if router is not None:
            deadline = time.monotonic() + min(timeout_s, _SETTLE_S)
            router.settle(STOP_MARK, deadline - time.monotonic())
            router.close(max(0.0, deadline - time.monotonic()))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile nothing of other workers comes to the engine, which may be exchanged; it waits."""
        router = self._router
        if router is not None:
            router.hold()
        try:
            yield
        finally:
            if router is not None:
                router.release()

    def counters(self) -> dict[str, int]:
        """As `Router.counters`."""
        return {} if self._router is None else self._router.counters()
