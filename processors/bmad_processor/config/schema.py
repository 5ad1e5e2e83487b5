"""What may be written in a configuration: the tables of component types, the service block, and the checked result."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import Field

from bmad_processor.emit.config import DebugConfig, FileConfig, OtlpGrpcConfig, OtlpHttpConfig
from bmad_processor.errors import Problem
from bmad_processor.fields import Config, Endpoint
from bmad_processor.limit.config import MemoryLimiterConfig
from bmad_processor.model import Signal
from bmad_processor.receive.config import OtlpReceiverConfig
from bmad_processor.security.config import AuthConfig, BasicAuthConfig, BearerTokenAuthConfig, ServerTlsConfig
from bmad_processor.self_telemetry.config import HealthCheckConfig, TelemetryConfig
from bmad_processor.settings import EngineSettings, Profiles
from bmad_processor.store.config import SqliteConfig

from .agent_performance import AgentPerformanceConfig
from .blocks import Names, OrEmptyMapping


class ApiConfig(Config):
    """The JSON API that the command line and dashboards ask."""

    endpoint: Endpoint = "localhost:8320"
    """Where it listens. Without `auth` everybody who can connect may ask, and change profiles: keep it on localhost."""
    tls: ServerTlsConfig | None = None
    """TLS; without it everything is in clear text."""
    auth: AuthConfig | None = None
    """Who may ask; without it everybody. Probes of `/healthz`, `/health/live` and `/health/ready` are not asked."""


class PipelineConfig(Config):
    """The way of one signal."""

    receivers: Names = ()
    """Ids of the receivers it takes telemetry from; at least one."""
    processors: Names = ()
    """Ids of the processors it passes, in order."""
    exporters: Names = ()
    """Ids of the exporters it hands the received telemetry to; at least one."""


MAX_WORKERS: Final = 64
"""Every worker is connected to every other one."""


Workers = Literal["auto"] | Annotated[int, Field(strict=True, ge=1, le=MAX_WORKERS)]


def count_workers(workers: Workers) -> int:
    """The number of processes that ``workers`` stands for on this machine."""
    if workers == "auto":
        return min(MAX_WORKERS, len(os.sched_getaffinity(0)))
    return workers


class ServiceConfig(Config):
    """Which of the defined components run, and how they are connected."""

    extensions: Names = ()
    """Ids of the extensions to start."""
    workers: Workers = 1
    """Processes that take telemetry, 1 to 64, or `auto`: one for each CPU this process may use. More than one share the
    ports and split the agents among them; see docs/workers.md."""
    telemetry: TelemetryConfig = TelemetryConfig()
    """What the collector says about itself."""
    pipelines: Annotated[dict[str, PipelineConfig], OrEmptyMapping]
    """Pipelines by id: ``traces``, ``metrics`` or ``logs``, or one of them with a name such as ``traces/second``."""


SECTIONS: Final = ("receivers", "processors", "exporters", "extensions")

AGENT_PERFORMANCE: Final = "agent_performance"
MEMORY_LIMITER: Final = "memory_limiter"

TYPES: Final[Mapping[str, Mapping[str, type[Config]]]] = MappingProxyType(
    {
        "receivers": {"otlp": OtlpReceiverConfig},
        "processors": {MEMORY_LIMITER: MemoryLimiterConfig, AGENT_PERFORMANCE: AgentPerformanceConfig},
        "exporters": {
            "otlp_grpc": OtlpGrpcConfig, "otlp_http": OtlpHttpConfig, "debug": DebugConfig, "file": FileConfig,
        },
        "extensions": {
            "sqlite": SqliteConfig, "api": ApiConfig, "health_check": HealthCheckConfig,
            "bearertokenauth": BearerTokenAuthConfig, "basicauth": BasicAuthConfig,
        },
    }
)  # fmt: skip
"""Section to component type to its configuration."""

ALIASES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "exporters": {"otlp": "otlp_grpc", "otlphttp": "otlp_http"},
        "extensions": {
            "healthcheckv2": "health_check",
            "bearer_token_auth": "bearertokenauth",
            "basic_auth": "basicauth",
        },
    }
)
"""Spellings that the OpenTelemetry Collector used for years and still understands, or is about to."""

DEPRECATED: Final[Mapping[str, frozenset[str]]] = MappingProxyType({"exporters": frozenset({"otlp", "otlphttp"})})
"""Those of them that the Collector says not to use any more."""

STABILITY: Final[Mapping[str, str]] = MappingProxyType({})
"""Types that are not ``beta``, by the Collector's levels: ``alpha`` may still change its options."""

SINGLE: Final = ("agent_performance", "memory_limiter", "sqlite", "api")
"""Types of which one is enough: a second one would share the first one's state or take its place."""

SIGNALS_OF: Final[Mapping[str, tuple[Signal, ...]]] = MappingProxyType(
    {AGENT_PERFORMANCE: (Signal.TRACES, Signal.METRICS)}
)
"""Signals a processor understands, for those that do not take all."""

_ID: Final = re.compile(r"([A-Za-z0-9_]+)(?:/([^\s/]+))?")


def split_id(component_id: str) -> tuple[str, str] | None:
    """``otlp/backend`` as type and name (empty without one); None for what is no id."""
    match = _ID.fullmatch(component_id)
    return (match[1], match[2] or "") if match else None


def type_of(section: str, component_id: str) -> str | None:
    """The component type an id names, with old spellings made new; None when there is no such type."""
    parts = split_id(component_id)
    if parts is None:
        return None
    found = ALIASES.get(section, {}).get(parts[0], parts[0])
    return found if found in TYPES[section] else None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One checked pipeline; every id it names is in the `CollectorConfig`."""

    signal: Signal
    receivers: tuple[str, ...]
    processors: tuple[str, ...]
    exporters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """A checked configuration. Components are by id and only those that a pipeline or the service uses."""

    receivers: Mapping[str, Config]
    processors: Mapping[str, Config]
    exporters: Mapping[str, Config]
    extensions: Mapping[str, Config]
    pipelines: Mapping[str, Pipeline]
    profiles: Profiles = field(default_factory=Profiles)
    profile_paths: tuple[Path, ...] = ()
    """The files and directories that `profiles` come from."""
    engine: EngineSettings | None = None
    """None when no pipeline uses `agent_performance`."""
    workers: int = 1
    """Processes that take telemetry."""
    worker: int = 0
    """Which of them runs by this."""
    telemetry: TelemetryConfig = field(default_factory=TelemetryConfig)
    warnings: tuple[Problem, ...] = ()
    """What is odd but can run, such as a component that nothing uses."""

    @property
    def agent_performance(self) -> AgentPerformanceConfig | None:
        """The configuration of the one `agent_performance` processor in use."""
        found = (c for c in self.processors.values() if isinstance(c, AgentPerformanceConfig))
        return next(found, None)
