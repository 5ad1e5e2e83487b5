"""Everything a collector runs, and the order in which it starts and stops.

Start order: store, exporters, processors, engine, extensions, receivers. Stop order is the reverse, under one deadline,
so that nothing comes in any more when the last commit is made, and the exporters drain after it.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from bmad_processor.config import CollectorConfig
from bmad_processor.config.agent_performance import AgentPerformanceConfig
from bmad_processor.emit import ConsoleWriter
from bmad_processor.emit.request import Exporter
from bmad_processor.errors import StoreError
from bmad_processor.histogram import Histogram
from bmad_processor.limit import Admission, ByteBudget, MemoryLimiter
from bmad_processor.limit.budget import DEFAULT_BYTES
from bmad_processor.limit.memory import rss_bytes
from bmad_processor.log_level import lines_left_out
from bmad_processor.receive.consumer import Consumer
from bmad_processor.self_telemetry import Health, HealthCheckConfig, Identity
from bmad_processor.store import SqliteStore

from .components import (
    ApiFactory,
    Surroundings,
    forgotten_queues,
    store_config,
    wanted_exporters,
    wanted_extensions,
    wanted_processors,
    wanted_receivers,
)
from .deadline import Deadline
from .engine_part import EnginePart, reading_of
from .gate import Gate, Gated
from .health import troubles_of
from .host import EngineHost
from .intake import Intake, SampleSink
from .measured import Measured, Requests
from .part import Listener, Part
from .pipeline import Pipeline
from .routing import limited_signals, processors_of, routes_of
from .shelf import Shelf
from .telemetry_parts import MetricsPage, SelfTelemetry
from .workers.place import Place

_LOG: Final = logging.getLogger("bmad_otel.collector")

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
        place: Place | None = None,
    ) -> None:
        self.config = config
        self._place = place
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
        self._requests: dict[str, Requests] = {}
        self._budget = ByteBudget()
        self._admissions: dict[str, Admission] = {}
        self.identity = Identity()
        self._is_listening = self._is_stopping = False
        self._leaving: list[threading.Thread] = []

    def start(self) -> None:
        """Raises StartError or StoreError; what has been started is for `stop`."""
        self.prepare()
        self.listen()

    def prepare(self) -> None:
        """Everything that others do not connect to. As `start`."""
        config = self.config
        self.open_store(config)
        for path in forgotten_queues(config) if not config.worker else ():
            _LOG.warning("%s is the queue of an exporter that is not there any more: it is left as it is", path)
        for exporter in wanted_exporters(config):
            self.exporters.start(exporter)
        around = self.surroundings(config)
        for processor in wanted_processors(around):
            self.processors.start(processor)
        self.start_engine(config)
        self.intake = Intake(None, **reading_of(config), clock=self._clock)
        self.intake.host = self._sink()

    def listen(self) -> None:
        """Everything that others connect to. As `start`."""
        config = self.config
        around = self.surroundings(config)
        for extension in wanted_extensions(around):
            self.extensions.start(extension)
        self.route(config)
        for receiver in wanted_receivers(around):
            self.receivers.start(receiver)
        self._is_listening = True

    def stop(self, deadline: Deadline) -> None:
        """Safe to call twice, and when `start` failed."""
        self._is_stopping = True
        self.receivers.stop_all(deadline)
        self.extensions.stop_all(deadline)
        if self.intake is not None:
            self.intake.stop()
        if self._place is not None:
            self._place.leave(deadline.left_s)
        self.stop_engine()
        self.processors.stop_all(deadline)
        self.exporters.stop_together(deadline)
        for thread in self._leaving:
            thread.join(deadline.left_s)
        self.close_store()

    def surroundings(self, config: CollectorConfig) -> Surroundings:
        """What components of ``config`` may use."""
        return Surroundings(
            config,
            status=self._status,
            host=self._host,
            flush=self.flush,
            put_profile=None if self.engine is None else self.engine.profiles.put,
            build_api=self._build_api,
            consumer=self._consumer,
            admission=self._admission,
            health=self.health,
            metrics=SelfTelemetry(self._status, self.identity, "detailed"),
            shares_ports=self._place is not None,
        )

    def _sink(self) -> SampleSink | None:
        """Where samples go: to the engine here, or to the owners of their partitions, this one among them."""
        if self.engine is None or self._place is None:
            return self._host()
        assert self.intake is not None, "it has the decoder"
        return self._place.route(self._host, self.intake, clock=self._clock)

    def _host(self) -> EngineHost | None:
        return None if self.engine is None else self.engine.host

    def flush(self) -> None:
        """Afterwards the engine has everything that was acknowledged before."""
        if self.intake is not None:
            self.intake.flush()

    def _consumer(self, name: str) -> Consumer:
        """The pipeline of a receiver and protocol."""
        requests = self._requests.setdefault(name, Requests())
        return Measured(Gated(self.pipelines[name], self.gate), requests)

    def _admission(self, name: str) -> Admission:
        """Whom a receiver and protocol asks before it reads a body, made when there is none yet."""
        if name not in self._admissions:
            self._admissions[name] = Admission(self._budget)
            self._renew_admissions(self.config)
        return self._admissions[name]

    def _renew_admissions(self, config: CollectorConfig) -> None:
        """After the memory limiter or the pipelines that name it have changed."""
        limiter = next((part for part in self.processors.parts.values() if isinstance(part, MemoryLimiter)), None)
        self._budget.limit_bytes = DEFAULT_BYTES if limiter is None else limiter.limits.in_hand_bytes
        for name, admission in self._admissions.items():
            admission.limit(limiter, limited_signals(config, name.rpartition("/")[0]))
        if limiter is not None and self.intake is not None:
            limiter.empties({"decoder": self.intake.shed, "receivers": self._shed_receivers})

    def _shed_receivers(self) -> None:
        for receiver in list(self.receivers.parts.values()):
            shed = getattr(receiver, "shed", None)
            if shed is not None:
                shed()

    def health(self) -> Health:
        """Whether requests are welcome, and what is wrong; takes no lock."""
        checks = [block for block in self.config.extensions.values() if isinstance(block, HealthCheckConfig)]
        return Health(
            tuple(
                troubles_of(
                    is_listening=self._is_listening,
                    is_stopping=self._is_stopping,
                    host=self._host(),
                    processors=dict(self.processors.parts),
                    exporters=dict(self.exporters.parts),
                    exporters_matter=any(check.include_exporters for check in checks),
                )
            )
        )

    def route(self, config: CollectorConfig) -> None:
        """Every receiver of ``config`` gets a pipeline when it has none, and its routes. The pipeline of a receiver
        that is about to end keeps what it has: what still comes is taken, or refused as retryable."""
        assert self.intake is not None, "the intake is built before the pipelines"
        for receiver in wanted_receivers(self.surroundings(config)):
            routes = routes_of(config, receiver.name.rpartition("/")[0], self.exporters.parts)
            if receiver.name in self.pipelines:
                self.pipelines[receiver.name].reroute(routes)
            else:
                self.pipelines[receiver.name] = Pipeline(routes, self.intake)
        self._renew_admissions(config)

    def forget_pipelines(self, config: CollectorConfig) -> None:
        """Those of receivers that are gone."""
        wanted = {receiver.name for receiver in wanted_receivers(self.surroundings(config))}
        self.pipelines = {name: pipeline for name, pipeline in self.pipelines.items() if name in wanted}
        self._requests = {name: requests for name, requests in self._requests.items() if name in wanted}
        self._admissions = {name: admission for name, admission in self._admissions.items() if name in wanted}

    def open_store(self, config: CollectorConfig) -> None:
        """Opens the store that ``config`` has. Raises StoreError."""
        block = store_config(config)
        if block is not None:
            performance = config.agent_performance or AgentPerformanceConfig()
            open_ = SqliteStore if self._place is None else self._place.open_store
            self.store = open_(
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
            self.flush()
            self.engine.stop()
            self.engine = None

    def connect_engine(self, config: CollectorConfig) -> None:
        """What is received goes to the engine that runs now, in panes of its length."""
        assert self.intake is not None, "it has been started"
        self.intake.host = self._sink()
        self.intake.change(**reading_of(config))

    def leave(self, name: str, stop: Callable[[], None]) -> None:
        """A part that nobody needs any more ends in the background; `stop` waits for it."""
        thread = threading.Thread(target=stop, name=f"bmad-leave-{name}", daemon=True)
        thread.start()
        self._leaving = [t for t in self._leaving if t.is_alive()] + [thread]

    def notices(self) -> list[str]:
        """What parts that have started do without, each once."""
        found = []
        for part in list(self.extensions.parts.values()):
            if isinstance(part, MetricsPage) and part.notice:
                found.append(part.notice)
                part.notice = ""
        return found

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
            "joined": self._joined(),
            "store": self._store_status(),
            "requests": {name: requests.to_dict() for name, requests in self._requests.items()},
            "pipelines": self._pipelines(),
            "processors_of": {name: processors_of(self.config, name.rpartition("/")[0]) for name in self.pipelines},
            "memory": {
                "in_hand_bytes": self._budget.held_bytes,
                "in_hand_limit_bytes": self._budget.limit_bytes,
                "in_hand_refused": self._budget.n_refused,
            },
            "process": {
                "cpu_s": round(time.process_time(), 3),
                "rss_bytes": rss_bytes(),
                "gc": gc.get_stats(),
                "log_lines_left_out": lines_left_out(),
            },
            "health": self.health().to_dict(),
            **({} if self._place is None else {"router": self._place.counters()}),
        }

    def _joined(self) -> dict[str, Any]:
        found = {name: getattr(part, "joined", None) for name, part in self.exporters.parts.items()}
        return {name: joined.to_dict() for name, joined in found.items() if isinstance(joined, Histogram)}

    def _store_status(self) -> dict[str, int]:
        store = self.store
        try:
            return {} if store is None else {"unsent_events": store.unsent()}
        except StoreError:  # closed, or not readable now: health says so
            return {}

    def _pipelines(self) -> dict[str, dict[str, int]]:
        counting = {name: getattr(pipeline, "counters", None) for name, pipeline in self.pipelines.items()}
        return {name: counters() for name, counters in counting.items() if counters is not None}
