"""OTLP over gRPC, for requests that are already bytes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from bmad_otel._delivery.answers import Again, Answer, Refused
from bmad_otel._delivery.encoding import taken
from bmad_otel._delivery.target import Target
from bmad_otel._version import __version__

_METHODS: Final = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}

_AGAIN: Final = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"})
"""Codes after which OTLP has a client try again; RESOURCE_EXHAUSTED only with the receiver's word on when."""

_SET_UP: Final = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED", "NOT_FOUND"})
"""Codes that speak of address or credentials, not of what was sent."""

_OPTIONS: Final = (
    ("grpc.primary_user_agent", f"bmad-otel/{__version__}"),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),  # gRPC's two minutes are long for a receiver that is back
    ("grpc.enable_retries", 0),  # when to try again is for the sender, which knows the deadline
)

_COMPRESSIONS: Final = {
    "none": grpc.Compression.NoCompression,
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}


class GrpcTransport:
    """A channel, opened by the first request: a process that forks before it has nothing to lose."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._metadata = tuple((key.lower(), value) for key, value in target.headers)  # gRPC refuses upper case
        self._credentials = _credentials(target) if target.is_secure else None
        self._lock = threading.Lock()
        self._channel: Any = None

    def send(self, body: bytes, timeout_s: float) -> Answer:
        try:
            export = self._open().unary_unary(_METHODS[self._target.signal])
            answer = export(
                body,
                timeout=timeout_s,
                metadata=self._metadata,
                compression=_COMPRESSIONS[self._target.compression],
            )
        except grpc.RpcError as error:
            return self._answer(error)
        except ValueError as error:  # the channel was closed by `stop` just before the call
            return Again("CANCELLED", str(error))
        return taken(self._target.signal, answer)

    def stop(self) -> None:
        with self._lock:
            channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def forget(self) -> None:
        # Closing the parent's channel here would use gRPC's threads, which the child does not have.
        self._lock = threading.Lock()
        self._channel = None

    def _open(self) -> Any:
        with self._lock:
            if self._channel is None:
                if self._credentials is None:
                    self._channel = grpc.insecure_channel(self._target.address, options=_OPTIONS)  # type: ignore[no-untyped-call]
                else:
                    self._channel = grpc.secure_channel(self._target.address, self._credentials, options=_OPTIONS)  # type: ignore[no-untyped-call]
            return self._channel

    def _answer(self, error: Any) -> Answer:
        code, details = error.code().name, error.details() or ""
        message = f"{code}: {details[:200]}"
        after_s = _retry_after_s(error)
        if code in _AGAIN or (code == "RESOURCE_EXHAUSTED" and after_s is not None):
            if code == "UNAVAILABLE":
                self.stop()  # a new channel connects at once; this one waits for its own time to come
            was_reached = code != "UNAVAILABLE" or "connect" not in details
            return Again(code, message, was_reached, after_s)
        return Refused(code, message, is_content=code not in _SET_UP)


def _credentials(target: Target) -> Any:
    def content(path: str | None) -> bytes | None:
        return None if path is None else Path(path).read_bytes()

    return grpc.ssl_channel_credentials(  # type: ignore[no-untyped-call]
        content(target.certificate), content(target.client_key), content(target.client_certificate)
    )


def _retry_after_s(error: Any) -> float | None:
    """Seconds in the google.rpc.RetryInfo among the details of the status."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            try:
                for detail in Status.FromString(value).details:
                    retry = RetryInfo()
                    if detail.Unpack(retry):
                        return float(retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9)
            except Exception:  # noqa: BLE001 - whatever a server has put there, it is only advice
                return None
    return None
