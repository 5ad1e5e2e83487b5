"""Configuration of what the collector says about itself, with the key names of the OpenTelemetry Collector."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, Strict, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from bmad_processor.emit.config import OtlpGrpcConfig, OtlpHttpConfig
from bmad_processor.fields import Config, DurationNs, Endpoint, parse_duration
from bmad_processor.log_lines import LogStyle, Sampling

_SECOND: Final = 1_000_000_000

MetricsLevel = Literal["none", "basic", "normal", "detailed"]


class PrometheusConfig(Config):
    """A page that Prometheus scrapes, at `/metrics`."""

    host: str = "localhost"
    """Where it listens. There is no authentication: keep it on localhost or behind a proxy."""
    port: Annotated[int, Strict(), Field(ge=0, le=65535)] = 8888
    """Its port; 0 takes any free one."""
    without_type_suffix: StrictBool = False
    """The Collector's counters without `_total`; with `without_units` this is how they are named by default."""
    without_units: StrictBool = False
    """The Collector's names without their unit. Both or none can be set."""
    without_scope_info: StrictBool = True
    """Understood, and always so: there are no labels of the instrumentation scope."""

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if self.without_type_suffix != self.without_units:
            raise PydanticCustomError(
                "value",
                "without_type_suffix and without_units differ",
                {"field": "without_units", "expected": "both true or both false"},
            )
        return self

    @property
    def endpoint(self) -> str:
        """host:port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class PullExporterConfig(Config):
    """Where metrics are fetched from."""

    prometheus: PrometheusConfig = PrometheusConfig()
    """A page for Prometheus."""


class PullConfig(Config):
    """Metrics that somebody fetches."""

    exporter: PullExporterConfig = PullExporterConfig()
    """The form they are fetched in."""


def _headers(value: object) -> object:
    """A list of name and value, as OpenTelemetry's own configuration writes it, or a mapping."""
    if isinstance(value, list) and all(isinstance(item, dict) and set(item) == {"name", "value"} for item in value):
        return {item["name"]: item["value"] for item in value}
    return value


class OtlpMetricConfig(Config):
    """A backend that the collector's own metrics are sent to."""

    protocol: Literal["grpc", "http/protobuf"] = "http/protobuf"
    """OTLP over gRPC or HTTP."""
    endpoint: str
    """`http://localhost:4317` for gRPC; for HTTP with the path: `http://localhost:4318/v1/metrics`."""
    headers: Annotated[dict[str, str], BeforeValidator(_headers)] = Field(default_factory=dict, repr=False)
    """Sent with every request. A mapping, or a list of `name` and `value`."""
    compression: Literal["gzip", "none"] = "gzip"
    """How requests are compressed."""
    timeout: DurationNs = 10 * _SECOND
    """Time for one attempt."""
    insecure: StrictBool = False
    """gRPC without TLS although the endpoint does not begin with `http://`."""

    @model_validator(mode="after")
    def _understood(self) -> Self:
        self.exporter()
        return self

    def exporter(self) -> OtlpGrpcConfig | OtlpHttpConfig:
        """The same as configuration of an exporter."""
        shared: dict[str, Any] = {"compression": self.compression, "headers": self.headers}
        if self.protocol == "grpc":
            grpc = {"endpoint": self.endpoint, "tls": {"insecure": self.insecure}, **shared}
            return OtlpGrpcConfig.model_validate(grpc)
        return OtlpHttpConfig.model_validate({"metrics_endpoint": self.endpoint, **shared})


class PushExporterConfig(Config):
    """Where metrics are sent to."""

    otlp: OtlpMetricConfig
    """An OTLP backend."""


def _interval(value: object) -> int:
    # OpenTelemetry's own configuration writes whole milliseconds
    return value * 1_000_000 if type(value) is int else parse_duration(value)


class PeriodicConfig(Config):
    """Metrics that are sent from time to time."""

    interval: Annotated[int, BeforeValidator(_interval, json_schema_input_type=str), Field(ge=_SECOND // 10)] = (
        60 * _SECOND
    )
    """How often. A number without a unit is milliseconds."""
    exporter: PushExporterConfig
    """The backend they are sent to."""


class ReaderConfig(Config):
    """One way metrics leave: `pull` or `periodic`."""

    pull: PullConfig | None = None
    """Somebody fetches them."""
    periodic: PeriodicConfig | None = None
    """They are sent."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.pull is None) == (self.periodic is None):
            raise PydanticCustomError("value", "a reader is one of two", {"expected": "pull: or periodic:"})
        return self


class MetricsConfig(Config):
    """Metrics about the collector itself."""

    level: MetricsLevel = "normal"
    """`none`: no readers. `basic`: the Collector's names. `normal`: ours too. `detailed`: histograms too."""
    readers: tuple[ReaderConfig, ...] | None = None
    """Default: a page at localhost:8888/metrics in the Collector's bare names, left out when that port is taken."""


class SamplingConfig(Config):
    """How many repeats of a message are written."""

    enabled: StrictBool = True
    """Without it everything is written."""
    tick: Annotated[DurationNs, Field(ge=_SECOND // 10)] = 10 * _SECOND
    """Repeats are counted anew after this time."""
    initial: Annotated[int, Strict(), Field(ge=1)] = 10
    """The first so many of a message within a tick are written."""
    thereafter: Annotated[int, Strict(), Field(ge=0)] = 100
    """Then every so many-th; 0: none."""


class LogsConfig(Config):
    """The collector's own log, on standard error."""

    level: Literal["debug", "info", "warn", "error", "DEBUG", "INFO", "WARN", "ERROR"] = "info"
    """What is written. The environment's `BMAD_OTEL_LOG_LEVEL` goes before."""
    encoding: Literal["console", "json"] = "console"
    """Lines for a person, or one JSON object per line."""
    disable_stacktrace: StrictBool = False
    """Errors without the stack they came from."""
    sampling: SamplingConfig = SamplingConfig()
    """Repeats of the same message at a bounded rate."""
    initial_fields: dict[str, str] = Field(default_factory=dict)
    """Fields in every line of JSON."""

    @property
    def numeric_level(self) -> int:
        """As Python's logging has it."""
        return logging.getLevelNamesMapping()[self.level.upper()]

    def style(self) -> LogStyle:
        """What lines look like."""
        sampling = self.sampling
        return LogStyle(
            self.encoding,
            Sampling(sampling.tick / _SECOND, sampling.initial if sampling.enabled else 0, sampling.thereafter),
            with_stack=not self.disable_stacktrace,
            fields=dict(self.initial_fields),
        )


class TelemetryConfig(Config):
    """What the collector says about itself."""

    metrics: MetricsConfig = MetricsConfig()
    """Its metrics."""
    logs: LogsConfig = LogsConfig()
    """Its log."""


class HealthCheckConfig(Config):
    """An address that orchestrators ask whether the collector lives and is ready.

    `/` and `/ready`: 200 when requests are welcome, else 503; `/live`: 200 as long as it can answer. The body says why.
    """

    endpoint: Endpoint = "localhost:13133"
    """Where it listens."""
    path: Annotated[str, Field(pattern="^/")] = "/"
    """Path of the answer that stands for readiness, beside `/ready`."""
    include_exporters: StrictBool = False
    """An exporter that cannot deliver makes the collector not ready. Off: it still takes what queues have room for."""
