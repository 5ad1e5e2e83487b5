"""The arguments of `configure`, checked, and the standard variables they override."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from bmad_otel import _guard
from bmad_otel._content import Capture

Protocol = Literal["grpc", "http/protobuf"]
SignalName = Literal["traces", "metrics", "logs"]
HostMetrics = bool | Literal["auto"]

_PROTOCOLS: Final[tuple[Protocol, ...]] = ("grpc", "http/protobuf")
_HTTP_PORT: Final = 4318  # the port registered for OTLP/HTTP: nothing that speaks gRPC answers there

DEFAULT_SPAN_DELAY_MS: Final = 1000
"""Longest wait of a finished span in its batch, when OTEL_BSP_SCHEDULE_DELAY is not set. The SDK's 5 s make a newcomer
think nothing works; a second costs at most one small request a second."""

DEFAULT_METRIC_INTERVAL_S: Final = 5.0
"""Time between metric exports, when OTEL_METRIC_EXPORT_INTERVAL is not set; the SDK's 60 s are too slow to alert on."""

DEFAULT_SPOOL_BYTES: Final = 64 << 20
"""Size of the disk spool, when there is one: some 100,000 spans."""

_MIN_SPOOL_BYTES: Final = 1 << 20
"""One batch of spans fits into less."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Arguments of `configure` as given, None where a variable or default decides. Durations in seconds."""

    service_name: str | None
    endpoint: str | None
    protocol: Protocol | None
    headers: tuple[tuple[str, str], ...] | None
    resource_attributes: tuple[tuple[str, Any], ...]
    host_metrics: HostMetrics
    metric_export_interval_s: float | None
    shutdown_timeout_s: float
    propagate_threads: bool
    capture: bool | Capture | None
    spool_directory: str | None
    spool_max_bytes: int


def checked(
    *,
    service_name: object,
    endpoint: object,
    protocol: object,
    headers: object,
    resource_attributes: object,
    host_metrics: object = "auto",
    metric_export_interval_s: object = None,
    shutdown_timeout_s: object = 2.0,
    propagate_threads: object = True,
    capture: object = None,
    spool_directory: object = None,
    spool_max_bytes: object = DEFAULT_SPOOL_BYTES,
) -> Settings:
    """Settings of these arguments. Raises TypeError or ValueError naming the argument and what it needs."""
    if protocol is not None and protocol not in _PROTOCOLS:
        raise ValueError(f"configure: protocol must be one of {', '.join(map(repr, _PROTOCOLS))}, not {protocol!r}")
    if not isinstance(host_metrics, bool) and host_metrics != "auto":
        raise TypeError(f"configure: host_metrics must be True, False or 'auto', not {host_metrics!r}")
    if not isinstance(propagate_threads, bool):
        raise TypeError(f"configure: propagate_threads must be True or False, not {propagate_threads!r}")
    if capture is not None and not isinstance(capture, bool | Capture):
        raise TypeError(f"configure: capture must be True, False or a Capture, not {capture!r}")
    interval_s = _seconds("metric_export_interval_s", metric_export_interval_s)
    timeout_s = _seconds("shutdown_timeout_s", shutdown_timeout_s)
    if timeout_s is None:
        raise TypeError("configure: shutdown_timeout_s must be a number of seconds, not None")
    return Settings(
        service_name=_text("service_name", service_name),
        endpoint=_endpoint(endpoint),
        protocol=protocol,
        headers=None if headers is None else tuple(sorted(_string_pairs("headers", headers))),
        resource_attributes=tuple(_pairs("resource_attributes", resource_attributes)),
        host_metrics=host_metrics,
        metric_export_interval_s=interval_s,
        shutdown_timeout_s=timeout_s,
        propagate_threads=propagate_threads,
        capture=capture,
        spool_directory=_directory(spool_directory),
        spool_max_bytes=_bytes("spool_max_bytes", spool_max_bytes),
    )


def variable(name: str) -> str | None:
    """The standard variable ``name``; empty means not set, as the specification has it."""
    return os.environ.get(name, "").strip() or None


def is_disabled() -> bool:
    """Whether OTEL_SDK_DISABLED is true."""
    return (variable("OTEL_SDK_DISABLED") or "").lower() == "true"


def exporter_names(signal: SignalName) -> list[str]:
    """The exporters OTEL_TRACES_EXPORTER or OTEL_METRICS_EXPORTER asks for, OTLP if it is not set.

    Unknown names are ignored with a warning, as the specification has it.
    """
    name = f"OTEL_{signal.upper()}_EXPORTER"
    wanted = [part.strip().lower() for part in (variable(name) or "otlp").split(",")]
    for unknown in set(wanted) - {"otlp", "console", "none"}:
        _guard.warn_once(
            f"{name}={unknown}", "bmad_otel: %s: %r is ignored; known are otlp, console and none", name, unknown
        )
    return [known for known in dict.fromkeys(wanted) if known in ("otlp", "console")]


def protocol_of(signal: SignalName, settings: Settings) -> Protocol:
    """Argument, then the signal's variable, then the general one, then what the endpoint's port says, then gRPC."""
    if settings.protocol is not None:
        return settings.protocol
    for name in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        value = variable(name)
        for known in _PROTOCOLS:
            if value == known:
                return known
        if value is not None:
            _guard.warn_once(
                f"{name}={value}", "bmad_otel: %s: %r is ignored; known are grpc and http/protobuf", name, value
            )
    endpoint = (
        settings.endpoint
        or variable(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        or variable("OTEL_EXPORTER_OTLP_ENDPOINT")
    )
    return "http/protobuf" if endpoint is not None and _port(endpoint) == _HTTP_PORT else "grpc"


def _port(endpoint: str) -> int | None:
    try:
        return urlsplit(endpoint).port
    except ValueError:
        return None


def _endpoint(value: object) -> str | None:
    endpoint = _text("endpoint", value)
    if endpoint is None:
        return None
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"configure: endpoint must be a URL such as http://localhost:4317, not {endpoint!r}")
    try:
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"configure: endpoint {endpoint!r} has a port that is no number below 65536") from error
    return endpoint.rstrip("/")


def _text(argument: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"configure: {argument} must be a str, not {value!r}")
    if not value.strip():
        raise ValueError(f"configure: {argument} must not be empty")
    return value.strip()


def _seconds(argument: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"configure: {argument} must be a number of seconds, not {value!r}")
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"configure: {argument} must be a positive number of seconds, not {value!r}")
    return float(value)


def _directory(value: object) -> str | None:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return _text("spool_directory", value) or variable("BMAD_OTEL_SPOOL_DIRECTORY")


def _bytes(argument: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"configure: {argument} must be a whole number of bytes, not {value!r}")
    if value < _MIN_SPOOL_BYTES:
        raise ValueError(f"configure: {argument} must be {_MIN_SPOOL_BYTES} bytes or more, not {value!r}")
    return value


def _pairs(argument: str, value: object) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise TypeError(f"configure: {argument} must be a mapping, not {value!r}")
    for key in value:
        if not isinstance(key, str) or not key:
            raise TypeError(f"configure: {argument}: every key must be a non-empty str, not {key!r}")
    return sorted(value.items(), key=lambda pair: pair[0])


def _string_pairs(argument: str, value: object) -> list[tuple[str, str]]:
    pairs = _pairs(argument, value)
    for key, text in pairs:
        if not isinstance(text, str):
            # the value itself may be a credential: it does not belong in a message
            raise TypeError(f"configure: {argument}: the value of {key!r} must be a str, not {type(text).__name__}")
    return pairs
