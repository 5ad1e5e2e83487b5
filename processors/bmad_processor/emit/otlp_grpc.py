"""OTLP/gRPC sender: request bytes out unchanged, status codes in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from bmad_processor.errors import StartError
from bmad_processor.model import Signal
from bmad_processor.security import Authenticator, credentials

from .client_tls import FileWatch, pem_files
from .config import OtlpGrpcConfig
from .outcome import Permanent, Transient
from .partial import rejected_items
from .request import REDELIVERED, ExportRequest

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

_CONCERNS_ALL: Final = frozenset(
    {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED}
)

_OPTIONS: Final = (
    ("grpc.enable_retries", 0),  # the sending queue retries, and counts
    ("grpc.enable_http_proxy", 0),  # a backend is where the configuration says, whatever the environment says
    # a new channel must not get the old one's dead connection
    ("grpc.use_local_subchannel_pool", 1),
    # a channel refuses calls between its own attempts to connect; grpcio's default of up to two minutes would make
    # our shorter waits pointless
    ("grpc.initial_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 10_000),
    ("grpc.max_receive_message_length", 4 * 2**20),  # OTLP bounds a response to 4 MiB
    ("grpc.max_send_message_length", -1),
)

_SILENT_ATTEMPTS: Final = 2
"""After so many attempts in a row without an answer the connection counts as dead: the other end may be gone without
a word, and the operating system would go on hoping for a quarter of an hour."""


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
        # without RetryInfo it may be grpcio's own word for a connection that broke after the request had arrived
        return Transient(reason, delay_s, is_answered=delay_s is not None)
    return Permanent(reason, concerns_all=code in _CONCERNS_ALL, is_size=code is grpc.StatusCode.RESOURCE_EXHAUSTED)


class _Channel:
    def __init__(self, config: OtlpGrpcConfig) -> None:
        compression = grpc.Compression.Gzip if config.compression == "gzip" else grpc.Compression.NoCompression
        if config.is_insecure:
            self.channel = grpc.insecure_channel(config.target, _OPTIONS, compression)  # type: ignore[no-untyped-call]
        else:
            options: tuple[tuple[str, Any], ...] = _OPTIONS
            if config.tls.server_name_override is not None:
                options = (*options, ("grpc.ssl_target_name_override", config.tls.server_name_override))
            credentials = grpc.ssl_channel_credentials(*pem_files(config.tls))  # type: ignore[no-untyped-call]
            self.channel = grpc.secure_channel(  # type: ignore[no-untyped-call]
                config.target, credentials, options, compression
            )
        self.calls: dict[Signal, Callable[..., bytes]] = {
            signal: self.channel.unary_unary(method) for signal, method in _METHODS.items()
        }
        self.n_silent = 0


class GrpcSender:
    """One connection to one backend, made anew when it seems dead or its certificates changed."""

    can_join = True

    def __init__(
        self,
        config: OtlpGrpcConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        authenticator: Authenticator | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._authenticator = authenticator
        self._timeout_s = config.timeout / 1e9
        self._metadata = tuple((key.lower(), value) for key, value in config.headers.items())
        self._marked = (*self._metadata, (REDELIVERED, "true"))
        self._lock = threading.Lock()
        self._channel: _Channel | None = None
        self._watch = FileWatch(config.tls, clock())
        self._is_closed = False

    def open(self) -> None:
        """Make the channel; it connects with the first request. Raises StartError for an unreadable file."""
        self._channel = _Channel(self._config)

    def send(self, request: ExportRequest) -> int:
        """See `sending_queue.Sender`."""
        if self._watch.has_changed(self._clock()):
            self._renew(self._channel)
        channel = self._channel
        assert channel is not None, "open() comes first"
        metadata = self._marked if request.is_redelivery else self._metadata
        if self._authenticator is not None:
            metadata += tuple(credentials(self._authenticator).items())
        try:
            response = channel.calls[request.signal](request.body, timeout=self._timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            code = error.code()  # type: ignore[attr-defined]
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                channel.n_silent += 1
                if channel.n_silent >= _SILENT_ATTEMPTS:
                    self._renew(channel)
            else:
                channel.n_silent = 0
            raise failure(error) from error
        except ValueError as error:
            if str(error).startswith("metadata"):  # it goes on with all of them, secrets included
                raise Permanent("a header is not one that gRPC allows", concerns_all=True) from None
            # grpcio's answer to a call on a closed channel: we are stopping, or it was made anew
            raise Transient(str(error), is_answered=True) from error
        channel.n_silent = 0
        return rejected_items(request.signal, response)

    def close(self) -> None:
        """Close the channel; a call in flight ends with CANCELLED."""
        with self._lock:
            self._is_closed = True
            if self._channel is not None:
                self._channel.channel.close()

    def _renew(self, old: _Channel | None) -> None:
        """Put a new channel in the place of ``old``, unless another thread did. Calls in flight are cancelled."""
        with self._lock:
            if self._is_closed or self._channel is not old:
                return
            try:
                self._channel = _Channel(self._config)
            except StartError as error:  # a file is being replaced: the old connection still works
                raise Transient(str(error), is_answered=True) from error
            if old is not None:
                old.channel.close()
