"""Where one signal goes and how: the arguments of `configure` over the OTEL_EXPORTER_OTLP_* variables.

For each of them the signal's own variable counts before the general one, as in the specification of OTLP exporters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, cast
from urllib.parse import urlsplit

from opentelemetry.util.re import parse_env_headers

from bmad_otel._settings import Protocol, Settings, SignalName, protocol_of, variable

Compression = Literal["none", "gzip", "deflate"]

_COMPRESSIONS: Final = ("none", "gzip", "deflate")
_DEFAULT_TIMEOUT_S: Final = 10.0  # of the specification


@dataclass(frozen=True, slots=True)
class Target:
    """One destination. ``address`` is what the transport connects to: a URL for HTTP, a name for gRPC.

    ``endpoint`` is the same for people and attributes, without user and password. ``timeout_s`` is for one request.
    """

    signal: SignalName
    protocol: Protocol
    endpoint: str
    server: str
    port: int | None
    address: str = field(repr=False)
    is_secure: bool
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    timeout_s: float
    compression: Compression
    certificate: str | None = None
    client_key: str | None = None
    client_certificate: str | None = None


def target_of(signal: SignalName, settings: Settings) -> Target:
    """The destination of ``signal``. Raises ValueError naming the variable that makes no sense."""
    protocol = protocol_of(signal, settings)
    address = _address(signal, settings, protocol)
    parts = urlsplit(address)
    has_url = parts.scheme in ("http", "https") and parts.hostname is not None
    if protocol == "http/protobuf" and not has_url:
        raise ValueError(f"OTEL_EXPORTER_OTLP_ENDPOINT must be a URL such as http://localhost:4318, not {address!r}")
    try:
        port = parts.port or ({"http": 80, "https": 443}[parts.scheme] if has_url else None)
    except ValueError as error:
        raise ValueError(
            f"OTEL_EXPORTER_OTLP_ENDPOINT: {address!r} has a port that is no number below 65536"
        ) from error
    host = parts.netloc.rpartition("@")[2]
    return Target(
        signal=signal,
        protocol=protocol,
        endpoint=f"{parts.scheme}://{host}{parts.path}" if has_url else address,
        server=parts.hostname or address,
        port=port,
        address=host if protocol == "grpc" and has_url else address,
        is_secure=_is_secure(signal, parts.scheme) if not has_url else parts.scheme == "https",
        headers=_headers(signal, settings),
        timeout_s=_timeout_s(signal),
        compression=_compression(signal),
        certificate=_file(signal, "CERTIFICATE"),
        client_key=_file(signal, "CLIENT_KEY"),
        client_certificate=_file(signal, "CLIENT_CERTIFICATE"),
    )


def _find(signal: SignalName, what: str) -> tuple[str, str] | None:
    """Name and value of the variable that decides ``what`` for this signal."""
    for name in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_{what}", f"OTEL_EXPORTER_OTLP_{what}"):
        value = variable(name)
        if value is not None:
            return name, value
    return None


def _address(signal: SignalName, settings: Settings, protocol: Protocol) -> str:
    path = "" if protocol == "grpc" else f"/v1/{signal}"
    if settings.endpoint is not None:
        return settings.endpoint + path
    own = variable(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    if own is not None:
        return own  # a URL of one signal is complete, as the specification has it
    general = variable("OTEL_EXPORTER_OTLP_ENDPOINT")
    if general is not None:
        return general.rstrip("/") + path
    return "http://localhost:4317" if protocol == "grpc" else f"http://localhost:4318{path}"


def _is_secure(signal: SignalName, scheme: str) -> bool:
    """An address without http or https, for gRPC only: secure unless the variable says it is not."""
    found = _find(signal, "INSECURE")
    return scheme != "unix" if found is None else found[1].lower() != "true"


def _headers(signal: SignalName, settings: Settings) -> tuple[tuple[str, str], ...]:
    if settings.headers is not None:
        return settings.headers
    found = _find(signal, "HEADERS")
    return () if found is None else tuple(parse_env_headers(found[1], liberal=True).items())


def _timeout_s(signal: SignalName) -> float:
    """Seconds, as all of OpenTelemetry for Python reads this variable."""
    found = _find(signal, "TIMEOUT")
    if found is None:
        return _DEFAULT_TIMEOUT_S
    name, value = found
    try:
        timeout_s = float(value)
    except ValueError:
        timeout_s = math.nan
    if not math.isfinite(timeout_s) or timeout_s <= 0:
        raise ValueError(f"{name} must be a positive number of seconds, not {value!r}")
    return timeout_s


def _compression(signal: SignalName) -> Compression:
    found = _find(signal, "COMPRESSION")
    if found is None:
        return "none"
    name, value = found
    if value.lower() not in _COMPRESSIONS:
        raise ValueError(f"{name} must be one of {', '.join(_COMPRESSIONS)}, not {value!r}")
    return cast(Compression, value.lower())


def _file(signal: SignalName, what: str) -> str | None:
    found = _find(signal, what)
    if found is None:
        return None
    name, path = found
    try:
        with Path(path).open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"{name}: cannot read {path!r}: {error.strerror}") from error
