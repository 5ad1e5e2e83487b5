"""From configured components to the parts that run: one table for each section, one function for each type.

A function says what its component needs (`Wanted`); nothing is built or opened before the collector starts it. What
stands in a part's ``settings`` decides whether a reload leaves it alone: everything it is built from belongs there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

from bmad_processor.config import ApiConfig, CollectorConfig
from bmad_processor.config.schema import type_of
from bmad_processor.emit import build_exporter
from bmad_processor.emit.request import Exporter
from bmad_processor.fields import Config
from bmad_processor.quantities import split_endpoint
from bmad_processor.read_model import ReadModel
from bmad_processor.receive import AsgiServer, GrpcReceiver, HttpReceiver, OtlpReceiverConfig
from bmad_processor.receive.config import GrpcConfig, HttpConfig
from bmad_processor.receive.consumer import Consumer
from bmad_processor.security import AuthConfig, Authenticator, ServerTls, build_authenticator
from bmad_processor.store import Reader, Snapshot, StoreReader
from bmad_processor.store.config import SqliteConfig

from .host import EngineHost
from .part import Listener, Part, Wanted


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
        authenticator: Authenticator | None = None,
    ) -> Any: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a component may use of the collector it is part of."""

    config: CollectorConfig
    status: Callable[[], dict[str, Any]]
    """The body of ``/api/v1/status``; may be called at any time from any thread."""
    host: Callable[[], EngineHost | None]
    """The engine's host as it is now; a reload may put another one in its place."""
    put_profile: PutProfile | None
    """None without an engine."""
    build_api: ApiFactory | None
    consumer: Callable[[str], Consumer]
    """What a receiver with this name (``otlp/grpc``) hands requests to."""


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

    def __init__(self, reader: Reader, host: Callable[[], EngineHost | None]) -> None:
        self._reader = reader
        self._host = host

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """As `Reader` has it."""
        host = self._host()
        if host is not None:
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
            ReadModel(_UpToDate(StoreReader(store.path), around.host)),
            around.status,
            allowed_hosts=[split_endpoint(endpoint)[0]],
            put_profile=around.put_profile,
            authenticator=build_authenticator(who),
        )
        return AsgiServer(app, endpoint, name="api", tls=None if config.tls is None else ServerTls(config.tls))

    return Wanted(name, (config, who, store.path, around.put_profile is None), build, endpoint)


ExtensionFactory = Callable[[str, Config, Surroundings], Wanted[Part] | None]

EXTENSIONS: Final[Mapping[type[Config], ExtensionFactory]] = MappingProxyType({ApiConfig: _want_api})
"""Configuration class to the function that says what runs; None of it: nothing does. The store is not in here: it is
opened before everything else. Nor is what only others use, such as an authenticator."""


def wanted_extensions(around: Surroundings) -> Iterator[Wanted[Part]]:
    """In the order of the configuration."""
    for name, config in around.config.extensions.items():
        factory = EXTENSIONS.get(type(config))
        wanted = factory(name, config, around) if factory is not None else None
        if wanted is not None:
            yield wanted


# Processors -----------------------------------------------------------------------------------------------------------

ProcessorFactory = Callable[[str, Config, Surroundings], Wanted[Part]]

PROCESSORS: Final[Mapping[type[Config], ProcessorFactory]] = MappingProxyType({})
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
    for name, block in config.exporters.items():
        auth = getattr(block, "auth", None)
        yield _want_exporter(name, block, None if auth is None else config.extensions[auth.authenticator])


def _want_exporter(name: str, block: Config, who: Config | None) -> Wanted[Exporter]:
    kind = type_of("exporters", name) or name
    return Wanted(name, (block, who), lambda: build_exporter(name, kind, block, authenticator=build_authenticator(who)))


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

    def build() -> GrpcReceiver:
        return GrpcReceiver(config, around.consumer(name), authenticator=build_authenticator(who))

    return Wanted(name, (config, who), build, config.endpoint)


def _want_http(name: str, config: HttpConfig, around: Surroundings) -> Wanted[Listener]:
    who = _authenticator_config(config.auth, around)

    def build() -> HttpReceiver:
        return HttpReceiver(config, around.consumer(name), authenticator=build_authenticator(who))

    return Wanted(name, (config, who), build, config.endpoint)
