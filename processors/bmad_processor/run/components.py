"""From configured components to the parts that run: one table for each section, one function for each type.

A function says what its component needs (`Wanted`); nothing is built or opened before the collector starts it. What
stands in a part's ``settings`` decides whether a reload leaves it alone: everything it is built from belongs there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

from bmad_processor.config import ApiConfig, CollectorConfig
from bmad_processor.config.schema import type_of
from bmad_processor.emit import QueueStorage, build_exporter, storage_of
from bmad_processor.emit.request import Exporter
from bmad_processor.export.families import Family
from bmad_processor.fields import Config
from bmad_processor.limit import Admission, MemoryLimiter, MemoryLimiterConfig
from bmad_processor.quantities import split_endpoint
from bmad_processor.read_model import ReadModel
from bmad_processor.receive import AsgiServer, GrpcReceiver, HttpReceiver, OtlpReceiverConfig
from bmad_processor.receive.config import GrpcConfig, HttpConfig
from bmad_processor.receive.consumer import Consumer
from bmad_processor.security import AuthConfig, Authenticator, ServerTls, build_authenticator
from bmad_processor.self_telemetry import Health, HealthCheckConfig
from bmad_processor.store import Reader, Snapshot, StoreReader
from bmad_processor.store.config import SqliteConfig

from .admitted import Admitted
from .part import Listener, Part, Wanted
from .telemetry_parts import SelfTelemetry, want_health_check, wanted_telemetry


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
        health: Callable[[], Health] | None = None,
        families: Callable[[], Iterable[Family]] | None = None,
        authenticator: Authenticator | None = None,
    ) -> Any: ...


class Committing(Protocol):
    """An engine, or several, seen by who asks a question."""

    def commit_now(self, timeout_s: float) -> bool:
        """See `host.EngineHost.commit_now`."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a component may use of the collector it is part of."""

    config: CollectorConfig
    status: Callable[[], dict[str, Any]]
    """The body of ``/api/v1/status``; may be called at any time from any thread."""
    host: Callable[[], Committing | None]
    """The engine's host as it is now; a reload may put another one in its place."""
    flush: Callable[[], None]
    """Gives the engine what was acknowledged and not handed over yet."""
    put_profile: PutProfile | None
    """None without an engine."""
    build_api: ApiFactory | None
    consumer: Callable[[str], Consumer]
    """What a receiver with this name (``otlp/grpc``) hands requests to."""
    admission: Callable[[str], Admission]
    """Whom it asks before it reads a body."""
    health: Callable[[], Health]
    """Whether requests are welcome; takes no lock."""
    metrics: SelfTelemetry
    """What the collector knows of itself."""
    shares_ports: bool = False
    """Whether other processes listen on the receivers' ports too."""


def store_config(config: CollectorConfig) -> SqliteConfig | None:
    """The store's block; None when nothing is to be remembered."""
    return next((e for e in config.extensions.values() if isinstance(e, SqliteConfig)), None)


def _authenticator_config(auth: AuthConfig | None, around: Surroundings) -> Config | None:
    """The block of the authenticator that a listener or exporter names; it belongs into the settings of its part."""
    return None if auth is None else around.config.extensions[auth.authenticator]


# Extensions -----------------------------------------------------------------------------------------------------------

_COMMIT_WAIT_S: Final = 2.0
"""An answer waits this long for what was received before the question; a larger state answers with its last commit."""


class _UpToDate:
    """Looks into the store after everything received so far is in it."""

    def __init__(self, reader: Reader, host: Callable[[], Committing | None], flush: Callable[[], None]) -> None:
        self._reader = reader
        self._host = host
        self._flush = flush

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """As `Reader` has it."""
        host = self._host()
        if host is not None:
            self._flush()
            host.commit_now(_COMMIT_WAIT_S)
        return self._reader.snapshot()


def _want_api(name: str, config: Config, around: Surroundings) -> Wanted[Part] | None:
    assert isinstance(config, ApiConfig), "the table says so"
    store, build_api, endpoint = store_config(around.config), around.build_api, config.endpoint
    if build_api is None or store is None:
        return None

    who = _authenticator_config(config.auth, around)

    def build() -> AsgiServer:
        app = build_api(
            ReadModel(_UpToDate(StoreReader(store.path), around.host, around.flush)),
            around.status,
            allowed_hosts=[split_endpoint(endpoint)[0]],
            put_profile=around.put_profile,
            health=around.health,
            families=around.metrics.families,
            authenticator=build_authenticator(who),
        )
        return AsgiServer(app, endpoint, name="api", tls=None if config.tls is None else ServerTls(config.tls))

    return Wanted(name, (config, who, store.path, around.put_profile is None), build, endpoint)


def _want_health_check(name: str, config: Config, around: Surroundings) -> Wanted[Part]:
    assert isinstance(config, HealthCheckConfig), "the table says so"
    return want_health_check(name, config, around.health)


ExtensionFactory = Callable[[str, Config, Surroundings], Wanted[Part] | None]

EXTENSIONS: Final[Mapping[type[Config], ExtensionFactory]] = MappingProxyType(
    {ApiConfig: _want_api, HealthCheckConfig: _want_health_check}
)
"""Configuration class to the function that says what runs; None of it: nothing does. The store is not in here: it is
opened before everything else. Nor is what only others use, such as an authenticator."""


def wanted_extensions(around: Surroundings) -> Iterator[Wanted[Part]]:
    """In the order of the configuration."""
    for name, config in around.config.extensions.items():
        factory = EXTENSIONS.get(type(config))
        wanted = factory(name, config, around) if factory is not None else None
        if wanted is not None:
            yield wanted
    yield from wanted_telemetry(around.config.telemetry, around.status, around.metrics.identity)


# Processors -----------------------------------------------------------------------------------------------------------

ProcessorFactory = Callable[[str, Config, Surroundings], Wanted[Part]]


def _want_memory_limiter(name: str, config: Config, around: Surroundings) -> Wanted[Part]:
    del around
    assert isinstance(config, MemoryLimiterConfig), "the table says so"
    return Wanted(name, (config,), lambda: MemoryLimiter(config))


PROCESSORS: Final[Mapping[type[Config], ProcessorFactory]] = MappingProxyType(
    {MemoryLimiterConfig: _want_memory_limiter}
)
"""Processors that are parts of their own, such as one with a thread. `agent_performance` is the engine and not here."""


def wanted_processors(around: Surroundings) -> Iterator[Wanted[Part]]:
    """In the order of the configuration."""
    for name, config in around.config.processors.items():
        factory = PROCESSORS.get(type(config))
        if factory is not None:
            yield factory(name, config, around)


# Exporters ------------------------------------------------------------------------------------------------------------


def wanted_exporters(config: CollectorConfig) -> Iterator[Wanted[Exporter]]:
    """In the order of the configuration."""
    storage = queue_storage(config)
    for name, block in config.exporters.items():
        auth = getattr(block, "auth", None)
        yield _want_exporter(name, block, storage, None if auth is None else config.extensions[auth.authenticator])


def _want_exporter(name: str, block: Config, storage: QueueStorage | None, who: Config | None) -> Wanted[Exporter]:
    kind = type_of("exporters", name) or name
    used = storage if storage_of(block) is not None else None

    def build() -> Exporter:
        return build_exporter(name, kind, block, used, authenticator=build_authenticator(who))

    return Wanted(name, (block, used, who), build)


def queue_storage(config: CollectorConfig) -> QueueStorage | None:
    """Where durable queues are: beside the store."""
    store = store_config(config)
    return None if store is None else QueueStorage(Path(store.path), config.worker, config.workers)


def forgotten_queues(config: CollectorConfig) -> Iterator[Path]:
    """Files of durable queues that no exporter has any more."""
    storage = queue_storage(config)
    if storage is not None:
        yield from storage.leftover({name for name, block in config.exporters.items() if storage_of(block) is not None})


# Receivers ------------------------------------------------------------------------------------------------------------


def wanted_receivers(around: Surroundings) -> Iterator[Wanted[Listener]]:
    """One for each protocol, in the order of the configuration."""
    for name, config in around.config.receivers.items():
        if isinstance(config, OtlpReceiverConfig):
            if config.protocols.grpc is not None:
                yield _want_grpc(f"{name}/grpc", config.protocols.grpc, around)
            if config.protocols.http is not None:
                yield _want_http(f"{name}/http", config.protocols.http, around)


def _want_grpc(name: str, config: GrpcConfig, around: Surroundings) -> Wanted[Listener]:
    who = _authenticator_config(config.auth, around)
    # it has other threads when exporters wait for a disk
    receiver = name.rpartition("/")[0]
    exporters = [p.exporters for p in around.config.pipelines.values() if receiver in p.receivers]
    may_wait = any(storage_of(around.config.exporters[name]) is not None for names in exporters for name in names)

    def build() -> GrpcReceiver:
        # the body is there when the consumer is called: it is admitted then
        admission = around.admission(name)
        consumer = Admitted(around.consumer(name), admission)
        return GrpcReceiver(
            config, consumer, admission, authenticator=build_authenticator(who), reuse_port=around.shares_ports
        )

    return Wanted(name, (config, may_wait, who), build, config.endpoint)


def _want_http(name: str, config: HttpConfig, around: Surroundings) -> Wanted[Listener]:
    who = _authenticator_config(config.auth, around)

    def build() -> HttpReceiver:
        return HttpReceiver(
            config,
            around.consumer(name),
            around.admission(name),
            authenticator=build_authenticator(who),
            reuse_port=around.shares_ports,
        )

    return Wanted(name, (config, who), build, config.endpoint)
