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
from bmad_processor.errors import ConfigError, ProcessorError, ReloadRefused

from .components import ApiFactory
from .deadline import Deadline
from .graph import STOP_DEADLINE_S, Graph
from .reload import Change
from .reloads import Reloads

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
        self._is_running = False
        self._reloads = Reloads(clock)
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
                self._is_running = True
            except BaseException:
                self._stop()
                raise
        _LOG.info("ready: %s", ", ".join(f"{name} {address}" for name, address in self.endpoints.items()))

    def reload(self, config: CollectorConfig) -> list[str]:
        """Brings ``config`` into force by what differs; says what has changed, in words.

        Before a start and after a stop it does nothing.

        Raises ReloadRefused, StartError or StoreError; then the configuration before is in force, all of it.
        """
        with self._life:
            if not self._is_running:
                return []
            try:
                said = Change(self._graph, config).apply()
            except ProcessorError as error:
                outcome = "refused" if isinstance(error, ReloadRefused) else "failed"
                self._reloads.note(outcome, str(error))
                _LOG.error("the configuration is as it was: %s", error)
                raise
            self._reloads.note("applied", "; ".join(said) or "nothing has changed")
        _LOG.info("configuration %d is in force: %s", self._reloads.generation, self._reloads.last_message)
        return said

    def reject(self, error: ConfigError) -> None:
        """A configuration that is wrong was to be loaded: every problem is logged, and what runs goes on."""
        self._reloads.note("rejected", str(error))
        _LOG.error("the configuration is as it was, for the new one is wrong:\n%s", error)

    def stop(self) -> None:
        """Receivers, extensions, engine (last commit), exporters, store, under one deadline. Safe to call twice."""
        with self._life:
            self._stop()

    def _stop(self) -> None:
        self._is_running = False
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
            "config": self._reloads.status(),
            **self._graph.status(),
        }
