"""Configuration of the `otlp` receiver, with the key names of the OpenTelemetry Collector."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from bmad_processor.fields import Config, DurationNs, SizeBytes, parse_endpoint
from bmad_processor.model import Signal
from bmad_processor.security.config import AuthConfig, ServerTlsConfig

_MIB: Final = 2**20
_SECOND: Final = 1_000_000_000
_MINUTE: Final = 60 * _SECOND

BodyLimit = Annotated[SizeBytes, Field(gt=0, lt=2**31)]
"""gRPC keeps message sizes in a signed 32-bit integer; 64 MiB is what OTLP 1.11 recommends."""

Wait = Annotated[DurationNs, Field(gt=0, le=24 * 60 * _MINUTE)]
"""A bound on waiting; none of them can be turned off, a day is long enough to be none."""

Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


def _place(value: object) -> str:
    """``host:port``, or with `transport: unix` the path of a socket; which of the two is checked with the transport."""
    if isinstance(value, str) and "/" in value and not value.startswith("//"):
        return value
    return parse_endpoint(value)


Place = Annotated[str, BeforeValidator(_place, json_schema_input_type=str)]


def _url_path(value: str) -> str:
    if value.startswith("/") and value.isascii() and value.isprintable() and not set(value) & set(" ?#%"):
        return value.rstrip("/") or "/"
    raise PydanticCustomError("value", "not understood", {"expected": "a path such as /v1/traces"})


UrlPath = Annotated[str, AfterValidator(_url_path)]


class _ListenConfig(Config):
    """Where a protocol listens."""

    @model_validator(mode="before")
    @classmethod
    def _no_buffers(cls, value: Any) -> Any:
        for key in ("read_buffer_size", "write_buffer_size"):
            if isinstance(value, dict) and key in value:
                raise PydanticCustomError(
                    "value", f"{key} cannot be honoured: the library below sizes its buffers itself", {"field": key}
                )
        return value

    def _check_place(self, endpoint: str, transport: str) -> None:
        if ("/" in endpoint) != (transport == "unix"):
            expected = "the path of a socket, such as /run/bmad-otel.sock" if transport == "unix" else "host:port"
            raise PydanticCustomError("value", f"not an endpoint for transport {transport}",
                                      {"expected": expected, "field": "endpoint"})  # fmt: skip


class ServerParametersConfig(Config):
    """What the server does with quiet and old connections."""

    max_connection_idle: Wait = 15 * _MINUTE
    """A connection without calls is closed after this, also when its client is gone without a word. Clients connect
    again by themselves."""
    max_connection_age: Wait | None = None
    """A connection is closed after this, give or take a tenth, so that clients spread over new servers; none: never."""
    max_connection_age_grace: Wait | None = None
    """Time for calls in hand after `max_connection_age`; none: until they end."""
    time: Wait = 2 * _MINUTE
    """A client with a call open that said nothing for this long is asked for a sign of life; with
    `permit_without_stream` also one without calls. The Collector waits for two hours."""
    timeout: Wait = 20 * _SECOND
    """Time for that sign."""


class EnforcementPolicyConfig(Config):
    """How often clients may ask for a sign of life; who asks more often is cut off (too_many_pings)."""

    min_time: Wait = 5 * _MINUTE
    """At most once in this time."""
    permit_without_stream: StrictBool = False
    """Whether they may ask while no call is open. Without it gRPC allows it once in two hours."""


class KeepaliveConfig(Config):
    """HTTP/2 keepalive."""

    server_parameters: ServerParametersConfig = ServerParametersConfig()
    """Quiet and old connections."""
    enforcement_policy: EnforcementPolicyConfig = EnforcementPolicyConfig()
    """Pings of clients."""


class GrpcConfig(_ListenConfig):
    """OTLP/gRPC."""

    endpoint: Place = "localhost:4317"
    """Address to listen on. `0.0.0.0:4317` accepts from other machines. With `transport: unix` the path of a socket."""
    transport: Literal["tcp", "unix"] = "tcp"
    """`unix` listens on a socket file, which is made anew and removed at the end."""
    max_recv_msg_size: BodyLimit = 64 * _MIB
    """Largest request, compressed and decompressed. `max_recv_msg_size_mib` says the same in MiB."""
    max_concurrent_streams: Count = 100
    """Calls in flight per connection; further ones wait in the client."""
    max_connections: Count = 1000
    """Connections at once; further ones are closed."""
    max_concurrent_requests: Count = 512
    """Requests waiting or in work; the senders of further ones are told to come again (UNAVAILABLE with RetryInfo).
    Where the receiving thread does the work itself they wait in the library instead, which makes senders wait. One
    that waits has not been read yet and holds at most a flow-control window of 256 KiB."""
    threads: Annotated[int, Field(strict=True, ge=1, le=64)] | None = None
    """Worker threads. Not set: the receiving thread does the work itself, which is fastest, because requests are
    decoded in Python under one interpreter lock; when a request waits for a disk (a queue with `storage`), 16."""
    keepalive: KeepaliveConfig = KeepaliveConfig()
    """HTTP/2 keepalive."""
    tls: ServerTlsConfig | None = None
    """TLS; without it everything is in clear text."""
    auth: AuthConfig | None = None
    """Who may send; without it everybody who can connect."""

    @model_validator(mode="before")
    @classmethod
    def _size_in_mib(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "max_recv_msg_size_mib" not in value:
            return value
        rest = dict(value)
        size = rest.pop("max_recv_msg_size_mib")
        if "max_recv_msg_size" in rest:
            raise PydanticCustomError(
                "value", "max_recv_msg_size and max_recv_msg_size_mib are both set", {"expected": "one of them"}
            )
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise PydanticCustomError(
                "value", "max_recv_msg_size_mib is not understood", {"expected": "a whole number of MiB, such as 64"}
            )
        rest["max_recv_msg_size"] = size * _MIB
        return rest

    @model_validator(mode="after")
    def _fits(self) -> GrpcConfig:
        self._check_place(self.endpoint, self.transport)
        if self.tls is not None and self.tls.min_version != "1.2":
            raise PydanticCustomError(
                "value", "tls::min_version cannot be honoured by gRPC", {"expected": "1.2; clients that can use 1.3"}
            )
        return self


class CorsConfig(Config):
    """Which pages in browsers may send (CORS). Off without `allowed_origins`."""

    allowed_origins: tuple[str, ...] = ()
    """Origins such as `https://*.example.com`; `*` stands for anything but a `/`. A bare `*` lets every page send, but
    without its user's credentials."""
    allowed_headers: tuple[str, ...] = ()
    """Headers beside `Content-Type`, `Content-Encoding`, `Accept` and `Authorization`; `*` allows any."""
    exposed_headers: tuple[str, ...] = ()
    """Headers of the answer that a page may read."""
    max_age: Annotated[int, Field(strict=True, ge=0, le=86400)] = 0
    """Seconds for which a browser may remember the answer; 0: its own default."""


class HttpConfig(_ListenConfig):
    """OTLP/HTTP, protobuf and JSON on the same port. HTTP/1.1."""

    endpoint: Place = "localhost:4318"
    """Address to listen on. `0.0.0.0:4318` accepts from other machines. With `transport: unix` the path of a socket."""
    transport: Literal["tcp", "unix"] = "tcp"
    """`unix` listens on a socket file, which is made anew and removed at the end."""
    max_request_body_size: BodyLimit = 64 * _MIB
    """Largest request body, compressed and decompressed."""
    traces_url_path: UrlPath = "/v1/traces"
    """Where traces are posted."""
    metrics_url_path: UrlPath = "/v1/metrics"
    """Where metrics are posted."""
    logs_url_path: UrlPath = "/v1/logs"
    """Where logs are posted."""
    strict_json: StrictBool = False
    """Refuse JSON that OTLP does not allow although its meaning is clear: names of enum values, snake_case keys."""
    read_header_timeout: Wait = 60 * _SECOND
    """A request's headers must have arrived within this time, or its connection is closed."""
    read_timeout: Wait = 60 * _SECOND
    """A whole request must have arrived within this time, or its connection is closed."""
    write_timeout: Wait = 30 * _SECOND
    """An answer must have been taken within this time, or its connection is closed."""
    idle_timeout: Wait = 75 * _SECOND
    """A connection without a request is closed after this. Longer than the usual export interval of 60 s, so that a
    sender's connection is there when it is needed."""
    keep_alives_enabled: StrictBool = True
    """Whether a connection may have more than one request."""
    max_connections: Count = 1000
    """Connections at once; further ones are closed."""
    max_concurrent_requests: Count = 512
    """Requests in hand; the senders of further ones are told to come again (503 with Retry-After)."""
    cors: CorsConfig = CorsConfig()
    """Pages in browsers."""
    tls: ServerTlsConfig | None = None
    """TLS; without it everything is in clear text."""
    auth: AuthConfig | None = None
    """Who may send; without it everybody who can connect."""

    @model_validator(mode="after")
    def _fits(self) -> HttpConfig:
        self._check_place(self.endpoint, self.transport)
        if len(self.signals_by_path) < len(Signal):
            raise PydanticCustomError("value", "two signals have the same path", {"expected": "different url paths"})
        return self

    @property
    def signals_by_path(self) -> dict[str, Signal]:
        """Path to the signal that is posted there."""
        return {
            self.traces_url_path: Signal.TRACES,
            self.metrics_url_path: Signal.METRICS,
            self.logs_url_path: Signal.LOGS,
        }


class ProtocolsConfig(Config):
    """Which protocols to listen for. A key that is there enables the protocol, also with nothing behind it."""

    grpc: GrpcConfig | None = None
    """OTLP/gRPC; off when the key is absent."""
    http: HttpConfig | None = None
    """OTLP/HTTP; off when the key is absent."""

    @model_validator(mode="before")
    @classmethod
    def _present_is_enabled(cls, value: Any) -> Any:
        # `grpc:` with nothing behind it is null in YAML; a null that reached the field would mean "off"
        if isinstance(value, dict):
            return {key: {} if item is None else item for key, item in value.items()}
        return value

    @model_validator(mode="after")
    def _at_least_one(self) -> ProtocolsConfig:
        if self.grpc is None and self.http is None:
            raise PydanticCustomError("value", "no protocol is enabled", {"expected": "grpc:, http: or both"})
        return self


class OtlpReceiverConfig(Config):
    """The `otlp` receiver."""

    protocols: ProtocolsConfig
    """`grpc` and `http`, at least one of them."""
