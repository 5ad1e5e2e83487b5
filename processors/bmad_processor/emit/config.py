"""Configuration of the exporters, with the key names of the OpenTelemetry Collector."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from bmad_processor.fields import Config, is_header_value, parse_endpoint
from bmad_processor.model import Signal
from bmad_processor.security.config import AuthConfig

from .client_tls import GrpcTlsConfig, HttpTlsConfig
from .queue_config import QueueConfig, RetryConfig, Timeout

_SECOND: Final = 1_000_000_000

Compression = Literal["gzip", "none"]


def _parse_target(value: object) -> str:
    """``host:port``, optionally behind ``http://`` or ``https://`` as the Collector allows."""
    if isinstance(value, str):
        scheme, separator, rest = value.rpartition("://")
        if separator:
            if scheme not in ("http", "https"):
                raise PydanticCustomError("value", "not understood", {"expected": "host:port, http:// or https://"})
            return f"{scheme}://{parse_endpoint(rest.rstrip('/'))}"
    return parse_endpoint(value)


def _parse_url(value: object) -> str:
    if isinstance(value, str) and value.startswith(("http://", "https://")) and value.partition("://")[2]:
        return value.rstrip("/")
    raise PydanticCustomError("value", "not understood", {"expected": "a URL such as http://localhost:4318"})


Target = Annotated[str, BeforeValidator(_parse_target, json_schema_input_type=str)]
Url = Annotated[str, BeforeValidator(_parse_url, json_schema_input_type=str)]


def _check_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not is_header_value(value):
            raise PydanticCustomError(
                "value", "the value has characters that no header can carry", {"expected": "ASCII", "field": name}
            )
    return headers


Headers = Annotated[dict[str, str], AfterValidator(_check_headers)]


class OtlpGrpcConfig(Config):
    """The `otlp_grpc` exporter."""

    endpoint: Target
    """`host:port`; `http://` before it means without TLS, `https://` with TLS whatever `tls.insecure` says."""
    tls: GrpcTlsConfig = GrpcTlsConfig()
    """How the connection is secured."""
    compression: Compression = "gzip"
    """How request bodies are compressed."""
    timeout: Timeout = 5 * _SECOND
    """Time for one attempt."""
    headers: Headers = Field(default_factory=dict)
    """Metadata sent with every request."""
    auth: AuthConfig | None = None
    """Whose credentials are sent with every request."""
    sending_queue: QueueConfig = QueueConfig()
    """What may wait to be sent."""
    retry_on_failure: RetryConfig = RetryConfig()
    """How often and how long to try again."""

    @property
    def is_insecure(self) -> bool:
        """Whether the connection is without TLS."""
        scheme, separator, _ = self.endpoint.rpartition("://")
        return scheme == "http" if separator else self.tls.insecure

    @property
    def target(self) -> str:
        """The endpoint without its scheme."""
        return self.endpoint.rpartition("://")[2]


class OtlpHttpConfig(Config):
    """The `otlp_http` exporter."""

    endpoint: Url | None = None
    """Base URL; `/v1/traces`, `/v1/metrics` or `/v1/logs` is appended."""
    traces_endpoint: Url | None = None
    """Full URL for traces instead."""
    metrics_endpoint: Url | None = None
    """Full URL for metrics instead."""
    logs_endpoint: Url | None = None
    """Full URL for logs instead."""
    tls: HttpTlsConfig = HttpTlsConfig()
    """How the connection is secured."""
    compression: Compression = "gzip"
    """How request bodies are compressed."""
    timeout: Timeout = 30 * _SECOND
    """Time for connecting, for each wait while sending, and for the answer."""
    headers: Headers = Field(default_factory=dict)
    """Headers sent with every request."""
    auth: AuthConfig | None = None
    """Whose credentials are sent with every request."""
    sending_queue: QueueConfig = QueueConfig()
    """What may wait to be sent."""
    retry_on_failure: RetryConfig = RetryConfig()
    """How often and how long to try again."""

    @model_validator(mode="after")
    def _somewhere_to_send(self) -> OtlpHttpConfig:
        if not (self.endpoint or self.traces_endpoint or self.metrics_endpoint or self.logs_endpoint):
            raise PydanticCustomError(
                "value", "there is nowhere to send to", {"expected": "endpoint, or an endpoint per signal"}
            )
        return self

    def url(self, signal: Signal) -> str | None:
        """Where ``signal`` goes, None when nowhere."""
        own = {
            Signal.TRACES: self.traces_endpoint,
            Signal.METRICS: self.metrics_endpoint,
            Signal.LOGS: self.logs_endpoint,
        }[signal]
        return own or (f"{self.endpoint}/v1/{signal}" if self.endpoint else None)


class DebugConfig(Config):
    """The `debug` exporter: requests in the log."""

    verbosity: Literal["basic", "detailed"] = "basic"
    """`basic`: one line per request. `detailed`: its content as well."""


class FileConfig(Config):
    """The `file` exporter: one line of OTLP/JSON per request."""

    path: str = Field(min_length=1)
    """File to append to."""
    format: Literal["json"] = "json"
    """OTLP/JSON, one request per line, as the Collector's file exporter writes it."""
    max_megabytes: int = Field(default=100, strict=True, ge=1)
    """Size at which the file is set aside as `path.1`."""
    max_backups: int = Field(default=3, strict=True, ge=0)
    """Files kept aside; the oldest is deleted."""


class ConsoleConfig(Config):
    """Alerts and scaling hints as lines on a terminal."""

    color: Literal["auto", "always", "never"] = "auto"
    """`auto`: when the stream is a terminal and NO_COLOR is not set."""
