"""One running collector: its life, from a configuration to its end."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final

from bmad_processor.config import CollectorConfig
from bmad_processor.emit import ConsoleWriter

from .components import ApiFactory
from .deadline import Deadline
from .graph import STOP_DEADLINE_S, Graph

_LOG: Final = logging.getLogger("bmad_otel.collector")


class Collector:
    """A context manager; `stop` is safe to call twice and from any thread.

    ``on_step`` is told the commit steps by name as they happen (tests kill the process there).
    """

    def __init__(
        self,
        config: CollectorConfig,
        *,
        build_api: ApiFactory | None = None,
        console: ConsoleWriter | None = None,
        clock: Callable[[], int] = time.time_ns,
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        self._started_s = time.time()
        self._life = threading.Lock()
        """Held while it starts, reloads or stops."""
        self._is_stopped = False
        self._graph = Graph(
            config, status=self.status, build_api=build_api, console=console, clock=clock, on_step=on_step
        )

    def __enter__(self) -> Collector:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Raises StartError or StoreError; everything started before is stopped again then."""
        with self._life:
            try:
                self._graph.start()
            except BaseException:
                self._stop()
                raise
        _LOG.info("ready: %s", ", ".join(f"{name} {address}" for name, address in self.endpoints.items()))

    def stop(self) -> None:
        """Receivers, extensions, engine (last commit), exporters, store, under one deadline. Safe to call twice."""
        with self._life:
            self._stop()

    def _stop(self) -> None:
        self._is_stopped = True
        self._graph.stop(Deadline(STOP_DEADLINE_S))

    @property
    def config(self) -> CollectorConfig:
        """What it runs by."""
        return self._graph.config

    @property
    def endpoints(self) -> dict[str, str]:
        """Component to the address it really listens on, such as ``otlp/grpc`` and ``api``."""
        return self._graph.endpoints()

    def status(self) -> dict[str, Any]:
        """What the collector says about itself: the body of ``/api/v1/status``."""
        return {
            "version": version("bmad-otel"),
            "pid": os.getpid(),
            "uptime_s": round(time.time() - self._started_s, 3),
            **self._graph.status(),
        }
