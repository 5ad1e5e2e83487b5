"""The collector process: builds everything from a configuration, starts it, stops it.

Start order: store, exporters, engine, API, receivers. Stop order is the reverse, under one deadline, so that nothing
comes in any more when the last commit is made, and the exporters drain after it. A part that cannot start undoes the
others through the same way.
"""

from __future__ import annotations

import logging
import os
import signal as signals
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any, Final, Protocol

from bmad_processor.config import ApiConfig, CollectorConfig, load_config
from bmad_processor.config.agent_performance import AgentPerformanceConfig
from bmad_processor.config.schema import AGENT_PERFORMANCE, type_of
from bmad_processor.emit import ConsoleWriter, QueueStorage, build_exporter, storage_of
from bmad_processor.emit.config import ConsoleConfig
from bmad_processor.emit.request import Exporter
from bmad_processor.log_level import set_up_logging
from bmad_processor.model import Signal
from bmad_processor.quantities import split_endpoint
from bmad_processor.read_model import ReadModel
from bmad_processor.receive import AsgiServer, GrpcReceiver, HttpReceiver, OtlpReceiverConfig
from bmad_processor.settings import SECOND
from bmad_processor.store import Reader, Snapshot, SqliteStore, StoreReader
from bmad_processor.store.config import SqliteConfig

from .announce import Announcer
from .host import EngineHost
from .pipeline import Intake, Pipeline, build_routes
from .profiles import ProfileKeeper

_LOG: Final = logging.getLogger("bmad_otel.collector")

STOP_DEADLINE_S: Final = 10.0
"""All parts together; a container runtime kills after 10 s to 30 s."""

_RECEIVER_SHARE_S: Final = 2.0
"""Requests in hand are answered within this; the rest of the deadline belongs to commit and exporters."""


class PutProfile(Protocol):
    """Changes an agent's profile; see `profiles.ProfileKeeper.put`."""

    def __call__(
        self, name: str, body: Mapping[str, Any], *, persist: bool, replace: bool = False
    ) -> dict[str, Any]: ...


class ApiFactory(Protocol):
    """Builds the API's ASGI application; the layer above provides it."""

    def __call__(
        self,
        read_model: ReadModel,
        status: Callable[[], dict[str, Any]],
        *,
        allowed_hosts: Sequence[str] = (),
        put_profile: PutProfile | None = None,
    ) -> Any: ...


_COMMIT_WAIT_S: Final = 2.0
"""An answer waits this long for what was received before the question; a larger state answers with its last commit."""


class _UpToDate:
    """Looks into the store after everything received so far is in it."""

    def __init__(self, reader: Reader, host: EngineHost | None) -> None:
        self._reader = reader
        self._host = host

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """As `Reader` has it."""
        if self._host is not None:
            self._host.commit_now(_COMMIT_WAIT_S)
        return self._reader.snapshot()


class Collector:
    """One running collector. A context manager; `stop` is safe to call twice.

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
        self._config = config
        self._build_api = build_api
        self._console = console
        self._clock = clock
        self._on_step = on_step
        self._started_s = time.time()
        self._stack = ExitStack()
        self._deadline_s = 0.0
        self._exporters: dict[str, Exporter] = {}
        self._receivers: dict[str, GrpcReceiver | HttpReceiver] = {}
        self._intake: Intake | None = None
        self._host: EngineHost | None = None
        self._announcer: Announcer | None = None
        self._profiles: ProfileKeeper | None = None
        self.endpoints: dict[str, str] = {}
        """Component to the address it really listens on, such as ``otlp/grpc`` and ``api``."""

    def __enter__(self) -> Collector:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Raises StartError or StoreError; everything started before is stopped again then."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        config = self._config
        store = self._open_store()
        storage = QueueStorage(Path(store.path)) if store is not None else None
        if storage is not None:
            stored = {name for name, each in config.exporters.items() if storage_of(each) is not None}
            for path in storage.leftover(stored):
                _LOG.warning("%s is the queue of an exporter that is not there any more: it is left as it is", path)
        for name, exporter_config in config.exporters.items():
            kind = type_of("exporters", name)
            exporter = build_exporter(name, kind or name, exporter_config, storage)
            exporter.start()
            self._exporters[name] = exporter
            self._stop_later(exporter.stop, STOP_DEADLINE_S)
        settings = config.engine
        performance = config.agent_performance
        if settings is not None and performance is not None and store is not None:
            self._announcer = Announcer(
                store,
                events_to=self._exporters_of(Signal.LOGS),
                gauges_to=self._exporters_of(Signal.METRICS),
                console=self._console,
                clock=self._clock,
            )
            self._host = EngineHost(
                settings,
                store,
                self._announcer,
                commit_interval_ns=performance.commit_interval,
                clock=self._clock,
                on_step=self._on_step,
            )
            self._stack.callback(self._host.stop)
            self._host.start()
            self._profiles = ProfileKeeper(
                config.profile_paths,
                os.environ,
                self._host.set_profiles,
                interval_s=settings.interval_ns / SECOND,
                clock=self._clock,
            )
            self._stack.callback(self._profiles.stop)
            self._profiles.start(config.profiles)
        interval_ns = settings.interval_ns if settings is not None else 5 * SECOND
        self._intake = Intake(self._host, interval_ns=interval_ns)
        self._start_api(store)
        self._start_receivers()
        _LOG.info("ready: %s", ", ".join(f"{name} {address}" for name, address in self.endpoints.items()))

    def stop(self) -> None:
        """Receivers, API, engine (last commit), exporters, store, under one deadline. Safe to call twice."""
        self._deadline_s = time.monotonic() + STOP_DEADLINE_S
        self._stack.close()

    def _stop_later(self, stop: Callable[[float], None], share_s: float) -> None:
        """Registers a part's stop, which gets its share of what is then left of the deadline."""

        def within_deadline() -> None:
            # at least a moment, so that what is last in line is still told to stop
            stop(min(share_s, max(0.1, self._deadline_s - time.monotonic())))

        self._stack.callback(within_deadline)

    def _open_store(self) -> SqliteStore | None:
        performance = self._config.agent_performance or AgentPerformanceConfig()
        for extension in self._config.extensions.values():
            if isinstance(extension, SqliteConfig):
                store = SqliteStore(
                    extension.path, history_size=performance.history.size, max_alerts=performance.alerts.max_alerts
                )
                self._stack.callback(store.close)
                return store
        return None

    def _exporters_of(self, signal: Signal) -> list[Exporter]:
        """Where the processor's own events and gauges go.

        The exporters of that signal's pipelines; when there is none, those of the pipelines with the processor.
        """
        pipelines = self._config.pipelines.values()
        of_signal = [p for p in pipelines if p.signal is signal]
        chosen = of_signal or [p for p in pipelines if self._uses_engine(p.processors)]
        names = dict.fromkeys(name for pipeline in chosen for name in pipeline.exporters)
        return [self._exporters[name] for name in names]

    @staticmethod
    def _uses_engine(processors: Sequence[str]) -> bool:
        return any(type_of("processors", name) == AGENT_PERFORMANCE for name in processors)

    def _start_api(self, store: SqliteStore | None) -> None:
        for name, extension in self._config.extensions.items():
            if isinstance(extension, ApiConfig) and self._build_api is not None and store is not None:
                host, _ = split_endpoint(extension.endpoint)
                app = self._build_api(
                    ReadModel(_UpToDate(StoreReader(self._store_path()), self._host)),
                    self.status,
                    allowed_hosts=[host],
                    put_profile=None if self._profiles is None else self._profiles.put,
                )
                server = AsgiServer(app, extension.endpoint, name="api")
                server.start()
                self._stop_later(server.stop, _RECEIVER_SHARE_S)
                self.endpoints[name] = server.endpoint

    def _store_path(self) -> str:
        return next(e.path for e in self._config.extensions.values() if isinstance(e, SqliteConfig))

    def _start_receivers(self) -> None:
        if self._intake is None:
            raise RuntimeError("the intake is built before the receivers")
        for name, config in self._config.receivers.items():
            if not isinstance(config, OtlpReceiverConfig):
                continue
            pipelines = [p for p in self._config.pipelines.values() if name in p.receivers]
            routes = build_routes(
                (p.signal, self._uses_engine(p.processors), tuple(self._exporters[e] for e in p.exporters))
                for p in pipelines
            )
            consumer = Pipeline(routes, self._intake, clock=self._clock)
            receivers: list[tuple[str, GrpcReceiver | HttpReceiver]] = []
            if config.protocols.grpc is not None:
                receivers.append(("grpc", GrpcReceiver(config.protocols.grpc, consumer)))
            if config.protocols.http is not None:
                receivers.append(("http", HttpReceiver(config.protocols.http, consumer)))
            for protocol, receiver in receivers:
                receiver.start()
                self._stop_later(receiver.stop, _RECEIVER_SHARE_S)
                self.endpoints[f"{name}/{protocol}"] = receiver.endpoint
                self._receivers[f"{name}/{protocol}"] = receiver

    @property
    def config(self) -> CollectorConfig:
        """What it was built from."""
        return self._config

    def status(self) -> dict[str, Any]:
        """What the collector says about itself: the body of ``/api/v1/status``."""
        return {
            "version": version("bmad-otel"),
            "pid": os.getpid(),
            "uptime_s": round(time.time() - self._started_s, 3),
            "endpoints": dict(self.endpoints),
            "receivers": {name: receiver.counters() for name, receiver in self._receivers.items()},
            "intake": self._intake.counters() if self._intake is not None else {},
            "engine": self._host.counters() if self._host is not None else {},
            "profiles": self._profiles.status() if self._profiles is not None else {},
            "announcer": self._announcer.counters() if self._announcer is not None else {},
            "exporters": {name: exporter.counters() for name, exporter in self._exporters.items()},
        }


def run_collector(
    paths: Sequence[Path], *, build_api: ApiFactory, on_ready: Callable[[Collector], None] | None = None
) -> int:
    """Runs a collector until SIGINT or SIGTERM; a second signal ends it at once. Returns the exit code.

    ``on_ready`` is told once when everything listens. Raises ConfigError, StartError and StoreError for the
    command line to show.
    """
    set_up_logging()
    config = load_config(paths)
    for warning in config.warnings:
        _LOG.warning("%s", warning)
    # Blocked before the first thread exists, so that every thread inherits it and only `sigwait` below gets them: no
    # handler runs in the middle of anything.
    asked_to_stop = {signals.SIGINT, signals.SIGTERM}
    signals.pthread_sigmask(signals.SIG_BLOCK, asked_to_stop)
    with Collector(config, build_api=build_api, console=ConsoleWriter(ConsoleConfig(), sys.stdout)) as collector:
        if on_ready is not None:
            on_ready(collector)
        signals.sigwait(asked_to_stop)
        _LOG.info("stopping")
        for number in asked_to_stop:
            signals.signal(number, _exit_at_once)
        signals.pthread_sigmask(signals.SIG_UNBLOCK, asked_to_stop)
    return 0


def _exit_at_once(number: int, _: FrameType | None) -> None:
    """Asked twice: the user does not want to wait for backends."""
    os._exit(128 + number)
