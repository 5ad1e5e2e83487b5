"""Everything a collector runs, and the order in which it starts and stops.

Start order: store, exporters, processors, engine, extensions, receivers. Stop order is the reverse, under one deadline,
so that nothing comes in any more when the last commit is made, and the exporters drain after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from bmad_processor.config import CollectorConfig
from bmad_processor.config.agent_performance import AgentPerformanceConfig
from bmad_processor.emit import ConsoleWriter
from bmad_processor.emit.request import Exporter
from bmad_processor.receive.consumer import Consumer
from bmad_processor.settings import SECOND
from bmad_processor.store import SqliteStore

from .components import (
    ApiFactory,
    Surroundings,
    store_config,
    wanted_exporters,
    wanted_extensions,
    wanted_processors,
    wanted_receivers,
)
from .deadline import Deadline
from .engine_part import EnginePart
from .gate import Gate, Gated
from .host import EngineHost
from .part import Listener, Part
from .pipeline import Intake, Pipeline
from .routing import routes_of
from .shelf import Shelf

STOP_DEADLINE_S: Final = 10.0
"""All parts together; a container runtime kills after 10 s to 30 s."""

LISTENER_SHARE_S: Final = 2.0
"""Requests in hand are answered within this; the rest of the deadline belongs to commit and exporters."""

_NO_ENGINE: Final[dict[str, Any]] = {"engine": {}, "profiles": {}, "announcer": {}}


class Graph:
    """The parts of one collector. Its methods exclude each other; `status` alone may be called at any time."""

    def __init__(
        self,
        config: CollectorConfig,
        *,
        status: Callable[[], dict[str, Any]],
        build_api: ApiFactory | None = None,
        console: ConsoleWriter | None = None,
        clock: Callable[[], int] = time.time_ns,
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        self.config = config
        self._status = status
        self._build_api = build_api
        self._console = console
        self._clock = clock
        self._on_step = on_step
        self.store: SqliteStore | None = None
        self.exporters: Shelf[Exporter] = Shelf(STOP_DEADLINE_S)
        self.processors: Shelf[Part] = Shelf(LISTENER_SHARE_S)
        self.engine: EnginePart | None = None
        self.extensions: Shelf[Part] = Shelf(LISTENER_SHARE_S)
        self.receivers: Shelf[Listener] = Shelf(LISTENER_SHARE_S)
        self.gate = Gate()
        self.intake: Intake | None = None
        self.pipelines: dict[str, Pipeline] = {}
        """Of each receiver and protocol, such as ``otlp/grpc``."""

    def start(self) -> None:
        """Raises StartError or StoreError; what has been started is for `stop`."""
        config = self.config
        self.open_store(config)
        for exporter in wanted_exporters(config):
            self.exporters.start(exporter)
        around = self.surroundings(config)
        for processor in wanted_processors(around):
            self.processors.start(processor)
        self.start_engine(config)
        self.intake = Intake(None if self.engine is None else self.engine.host, interval_ns=_interval_ns(config))
        around = self.surroundings(config)
        for extension in wanted_extensions(around):
            self.extensions.start(extension)
        for receiver in wanted_receivers(around):
            self.receivers.start(receiver)

    def stop(self, deadline: Deadline) -> None:
        """Safe to call twice, and when `start` failed."""
        self.receivers.stop_all(deadline)
        self.extensions.stop_all(deadline)
        self.stop_engine()
        self.processors.stop_all(deadline)
        self.exporters.stop_together(deadline)
        self.close_store()

    def surroundings(self, config: CollectorConfig) -> Surroundings:
        """What components of ``config`` may use."""
        return Surroundings(
            config,
            status=self._status,
            host=self._host,
            put_profile=None if self.engine is None else self.engine.profiles.put,
            build_api=self._build_api,
            consumer=self._consumer,
        )

    def _host(self) -> EngineHost | None:
        return None if self.engine is None else self.engine.host

    def _consumer(self, name: str) -> Consumer:
        """The pipeline of a receiver and protocol, made when there is none yet."""
        assert self.intake is not None, "the intake is built before the receivers"
        if name not in self.pipelines:
            routes = routes_of(self.config, name.rpartition("/")[0], self.exporters.parts)
            self.pipelines[name] = Pipeline(routes, self.intake, clock=self._clock)
        return Gated(self.pipelines[name], self.gate)

    def open_store(self, config: CollectorConfig) -> None:
        """Opens the store that ``config`` has. Raises StoreError."""
        block = store_config(config)
        if block is not None:
            performance = config.agent_performance or AgentPerformanceConfig()
            self.store = SqliteStore(
                block.path, history_size=performance.history.size, max_alerts=performance.alerts.max_alerts
            )

    def close_store(self) -> None:
        """Safe when there is none."""
        if self.store is not None:
            self.store.close()
            self.store = None

    def start_engine(self, config: CollectorConfig) -> None:
        """Starts the engine that ``config`` has. Raises StoreError."""
        if config.engine is None or self.store is None:
            return
        self.engine = EnginePart(
            config,
            config.engine,
            self.store,
            self.exporters.parts,
            console=self._console,
            clock=self._clock,
            on_step=self._on_step,
        )
        self.engine.start()

    def stop_engine(self) -> None:
        """Makes the last commit. Safe when there is none."""
        if self.engine is not None:
            self.engine.stop()
            self.engine = None

    def endpoints(self) -> dict[str, str]:
        """Component to the address it really listens on, such as ``otlp/grpc`` and ``api``."""
        parts = {**self.extensions.parts, **self.receivers.parts}
        found = {name: getattr(part, "endpoint", None) for name, part in parts.items()}
        return {name: endpoint for name, endpoint in found.items() if endpoint is not None}

    def status(self) -> dict[str, Any]:
        """What the parts say about themselves."""
        engine = self.engine
        return {
            "endpoints": self.endpoints(),
            "receivers": self.receivers.counters(),
            "intake": self.intake.counters() if self.intake is not None else {},
            **(engine.status() if engine is not None else _NO_ENGINE),
            "processors": self.processors.counters(),
            "extensions": self.extensions.counters(),
            "exporters": self.exporters.counters(),
        }


def _interval_ns(config: CollectorConfig) -> int:
    return config.engine.interval_ns if config.engine is not None else 5 * SECOND
