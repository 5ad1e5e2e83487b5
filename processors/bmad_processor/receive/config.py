"""Configuration of the `otlp` receiver, with the key names of the OpenTelemetry Collector."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bmad_processor.fields import Config, Endpoint, SizeBytes

_MIB: Final = 2**20

BodyLimit = Annotated[SizeBytes, Field(gt=0, lt=2**31)]
"""gRPC keeps message sizes in a signed 32-bit integer; 64 MiB is what OTLP 1.11 recommends."""


class GrpcConfig(Config):
    """OTLP/gRPC."""

    endpoint: Endpoint = "localhost:4317"
    """Address to listen on. `0.0.0.0:4317` accepts from other machines."""
    max_recv_msg_size: BodyLimit = 64 * _MIB
    """Largest request, compressed and decompressed. `max_recv_msg_size_mib` says the same in MiB."""
    threads: Annotated[int, Field(strict=True, ge=1, le=64)] | None = None
    """Worker threads. Not set: the receiving thread does the work itself, which is fastest, because requests are
    decoded in Python under one interpreter lock; when a request waits for a disk (a queue with `storage`), 16."""

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


class HttpConfig(Config):
    """OTLP/HTTP, protobuf and JSON on the same port."""

    endpoint: Endpoint = "localhost:4318"
    """Address to listen on. `0.0.0.0:4318` accepts from other machines."""
    max_request_body_size: BodyLimit = 64 * _MIB
    """Largest request body, compressed and decompressed."""


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
