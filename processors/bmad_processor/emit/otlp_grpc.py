"""OTLP/gRPC sender: request bytes out unchanged, status codes in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from bmad_processor.errors import StartError
from bmad_processor.model import Signal
from bmad_processor.security import Authenticator, credentials

from .config import OtlpGrpcConfig
from .outcome import Permanent, Transient
from .partial import rejected_items
from .request import ExportRequest

_METHODS: Final = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}

RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""The table of the OTLP specification; RESOURCE_EXHAUSTED joins it only with RetryInfo."""

_OPTIONS: Final = (
    ("grpc.enable_retries", 0),  # the sending queue retries, and counts
    # a channel refuses calls between its own attempts to connect; grpcio's default of up to two minutes would make
    # our shorter waits pointless
    ("grpc.initial_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 10_000),
    ("grpc.max_receive_message_length", 4 * 2**20),  # OTLP bounds a response to 4 MiB
)


def _retry_delay_s(error: Any) -> float | None:
    """Delay of google.rpc.RetryInfo in the trailing metadata, None without."""
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        try:
            status = Status.FromString(value)
            for detail in status.details:
                info = RetryInfo()
                if detail.Unpack(info):
                    return max(0.0, info.retry_delay.ToNanoseconds() / 1e9)
        except (DecodeError, ValueError):
            return None
    return None


def failure(error: Any) -> Permanent | Transient:
    """What a failed call (a grpc.RpcError that is a grpc.Call too) means for the request."""
    code = error.code()
    reason = f"{code.name}: {error.details()}"
    delay_s = _retry_delay_s(error)
    if code in RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay_s is not None):
        return Transient(reason, delay_s)
    return Permanent(reason)


class GrpcSender:
    """One channel to one backend."""

    def __init__(self, config: OtlpGrpcConfig, authenticator: Authenticator | None = None) -> None:
        self._config = config
        self._authenticator = authenticator
        self._timeout_s = config.timeout / 1e9
        self._metadata = tuple((key.lower(), value) for key, value in config.headers.items())
        self._channel: Any = None
        self._calls: dict[Signal, Callable[..., bytes]] = {}

    def open(self) -> None:
        """Make the channel; it connects with the first request. Raises StartError for an unreadable `ca_file`."""
        compression = grpc.Compression.Gzip if self._config.compression == "gzip" else grpc.Compression.NoCompression
        channel: Any
        if self._config.is_insecure:
            channel = grpc.insecure_channel(self._config.target, _OPTIONS, compression)  # type: ignore[no-untyped-call]
        else:
            credentials = grpc.ssl_channel_credentials(self._authorities())  # type: ignore[no-untyped-call]
            channel = grpc.secure_channel(  # type: ignore[no-untyped-call]
                self._config.target, credentials, _OPTIONS, compression
            )
        self._channel = channel
        self._calls = {signal: channel.unary_unary(method) for signal, method in _METHODS.items()}

    def send(self, request: ExportRequest) -> int:
        """See `sending_queue.Sender`."""
        metadata = (*self._metadata, *credentials(self._authenticator).items())
        try:
            response = self._calls[request.signal](request.body, timeout=self._timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            raise failure(error) from error
        except ValueError as error:
            # grpcio's answer to a call on a closed channel: we are stopping
            raise Transient(str(error)) from error
        return rejected_items(request.signal, response)

    def close(self) -> None:
        """Close the channel; a call in flight ends with CANCELLED."""
        if self._channel is not None:
            self._channel.close()

    def _authorities(self) -> bytes | None:
        if self._config.tls.ca_file is None:
            return None
        try:
            return Path(self._config.tls.ca_file).read_bytes()
        except OSError as error:
            raise StartError(f"cannot read ca_file {self._config.tls.ca_file}: {error.strerror}") from error
