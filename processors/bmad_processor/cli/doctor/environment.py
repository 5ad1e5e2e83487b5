"""What is installed here, and variables that contradict each other or say something else than was meant."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Final
from urllib.parse import urlsplit

from .finding import Finding, Status

AREA: Final = "environment"

OLDEST: Final = (1, 39)
"""The oldest OpenTelemetry release bmad-otel works with; pyproject.toml says the same."""

_PACKAGES: Final = ("opentelemetry-api", "opentelemetry-sdk")

_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_SIGNALS: Final = ("TRACES", "METRICS")
_PROTOCOLS: Final = ("grpc", "http/protobuf")
_EXPORTERS: Final = ("otlp", "console", "none")
_MOST_S: Final = 600.0
"""A time-out above this was surely meant in milliseconds, as other languages read the variable."""


def examine_environment(environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Findings about this interpreter and ``environ``; a variable that is set to nothing is not set."""
    variables = {name: value.strip() for name, value in environ.items() if value.strip()}
    told = list(_variables(variables))
    if not told:
        names = sorted(name for name in variables if name.startswith("OTEL_"))
        detail = f"{', '.join(names)}: nothing contradicts" if names else "no OTEL_ variable is set"
        told = [Finding(AREA, "variables", Status.OK, detail, data={"set": names})]
    return [_releases(), *told]


def _releases() -> Finding:
    from bmad_otel import __version__

    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            return Finding(AREA, "releases", Status.PROBLEM, f"{package} is missing", f"pip install {package}")
    data = {"bmad-otel": __version__, "python": platform.python_version(), **found}
    shown = f"bmad-otel {__version__}, Python {platform.python_version()}, " + ", ".join(
        f"{package} {release}" for package, release in found.items()
    )
    releases = [_minor(release) for release in found.values()]
    oldest = ".".join(map(str, OLDEST))
    if min(releases) < OLDEST:
        advice = f"pip install --upgrade 'opentelemetry-sdk>={oldest}'"
        return Finding(AREA, "releases", Status.PROBLEM, f"{shown}; {oldest} is the oldest supported", advice, data)
    if len(set(releases)) > 1:
        advice = "pip install --upgrade opentelemetry-api opentelemetry-sdk"
        return Finding(AREA, "releases", Status.WARNING, f"{shown}; they belong together", advice, data)
    return Finding(AREA, "releases", Status.OK, shown, data=data)


def _minor(release: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _variables(variables: Mapping[str, str]) -> Iterator[Finding]:
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        detail = "OTEL_SDK_DISABLED is true: configure() does nothing, no data is sent"
        yield Finding(AREA, "OTEL_SDK_DISABLED", Status.PROBLEM, detail, "unset it where data is wanted")
    if variables.get("BMAD_OTEL_RAISE_INTERNAL") == "1":
        detail = "BMAD_OTEL_RAISE_INTERNAL is 1: errors of the SDK are raised into the program"
        yield Finding(AREA, "BMAD_OTEL_RAISE_INTERNAL", Status.WARNING, detail, "it is for tests: unset it")
    if variables.get("OTEL_TRACES_SAMPLER", "").endswith("always_off"):
        detail = "OTEL_TRACES_SAMPLER lets no span through; metrics are exact all the same"
        yield Finding(AREA, "OTEL_TRACES_SAMPLER", Status.WARNING, detail, "unset it, or use parentbased_traceidratio")
    for signal in _SIGNALS:
        yield from _exporters(f"OTEL_{signal}_EXPORTER", variables)
    for name in (f"{_PREFIX}PROTOCOL", *(f"{_PREFIX}{signal}_PROTOCOL" for signal in _SIGNALS)):
        value = variables.get(name)
        if value is not None and value not in _PROTOCOLS:
            detail = f"{name} is {value!r}, which is ignored"
            yield Finding(AREA, name, Status.PROBLEM, detail, f"known are {' and '.join(_PROTOCOLS)}")
    yield from _endpoints(variables)
    for name in (f"{_PREFIX}HEADERS", *(f"{_PREFIX}{signal}_HEADERS" for signal in _SIGNALS)):
        # what is in it may be a secret and is not shown
        if any("=" not in part for part in variables.get(name, "=").split(",") if part.strip()):
            detail = f"{name} has a part without '=', which is ignored"
            yield Finding(AREA, name, Status.WARNING, detail, "write name=value,name=value, values URL-encoded")
    for name in (f"{_PREFIX}TIMEOUT", *(f"{_PREFIX}{signal}_TIMEOUT" for signal in _SIGNALS)):
        yield from _timeout(name, variables.get(name))
    yield from _interval("OTEL_METRIC_EXPORT_INTERVAL", variables.get("OTEL_METRIC_EXPORT_INTERVAL"))


def _exporters(name: str, variables: Mapping[str, str]) -> Iterator[Finding]:
    wanted = [part.strip().lower() for part in variables.get(name, "otlp").split(",")]
    unknown = [part for part in wanted if part not in _EXPORTERS]
    if unknown:
        detail = f"{name}: {', '.join(map(repr, unknown))} is ignored"
        yield Finding(AREA, name, Status.PROBLEM, detail, f"known are {', '.join(_EXPORTERS)}")


def _endpoints(variables: Mapping[str, str]) -> Iterator[Finding]:
    general = variables.get(f"{_PREFIX}ENDPOINT")
    own = {signal: variables.get(f"{_PREFIX}{signal}_ENDPOINT") for signal in _SIGNALS}
    if general is None and len({value is None for value in own.values()}) > 1:
        there = next(signal for signal, value in own.items() if value is not None)
        other = next(signal for signal in _SIGNALS if signal != there)
        detail = f"{_PREFIX}{there}_ENDPOINT is set, but nothing says where {other.lower()} go: to this machine"
        advice = f"set {_PREFIX}ENDPOINT for both"
        yield Finding(AREA, f"{_PREFIX}{there}_ENDPOINT", Status.WARNING, detail, advice)
    for name, signal in (
        (f"{_PREFIX}ENDPOINT", None),
        *((f"{_PREFIX}{signal}_ENDPOINT", signal) for signal in _SIGNALS),
    ):
        value = variables.get(name)
        if value is None:
            continue
        protocol = variables.get(f"{_PREFIX}{signal}_PROTOCOL") if signal else None
        protocol = protocol or variables.get(f"{_PREFIX}PROTOCOL")
        yield from _endpoint(name, value, protocol, is_general=signal is None)


def _endpoint(name: str, value: str, protocol: str | None, *, is_general: bool) -> Iterator[Finding]:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return  # said where it is used
    if parts.scheme not in ("http", "https"):
        if protocol != "http/protobuf" and parts.scheme != "unix":
            detail = f"{name} has no http:// or https://: gRPC then uses TLS"
            yield Finding(AREA, name, Status.WARNING, detail, f"write http://{value} for a receiver without TLS")
        return
    is_http = protocol == "http/protobuf" or (protocol is None and port == 4318)
    if (is_http and port == 4317) or (protocol == "grpc" and port == 4318):
        right = 4318 if is_http else 4317
        detail = f"{name} has port {port}, the protocol is {protocol}: OTLP by {protocol} is usually at {right}"
        yield Finding(AREA, name, Status.WARNING, detail, f"use port {right}, or change {_PREFIX}PROTOCOL")
    path = parts.path.rstrip("/")
    if is_http and is_general and path.endswith(("/v1/traces", "/v1/metrics")):
        detail = f"{name} ends in {path}, and the path of each signal is added to it"
        yield Finding(AREA, name, Status.PROBLEM, detail, f"leave the path out: {value[: value.rindex('/v1/')]}")
    if is_http and not is_general and not path:
        detail = f"{name} has no path; it is used as it is, for one signal"
        yield Finding(AREA, name, Status.PROBLEM, detail, f"write the whole URL, usually {value.rstrip('/')}/v1/...")
    if not is_http and path:
        detail = f"{name} has the path {path}, which gRPC does not use"
        yield Finding(AREA, name, Status.WARNING, detail, "leave it out, or set the protocol to http/protobuf")


def _timeout(name: str, value: str | None) -> Iterator[Finding]:
    try:
        if value is not None and float(value) > _MOST_S:
            detail = f"{name} is {value}: OpenTelemetry for Python reads seconds"
            yield Finding(AREA, name, Status.WARNING, detail, f"{float(value) / 1000:g} if milliseconds were meant")
    except ValueError:
        return  # said where it is used


def _interval(name: str, value: str | None) -> Iterator[Finding]:
    if value is None:
        return
    try:
        is_good = float(value) > 0
    except ValueError:
        is_good = False
    if not is_good:
        advice = "a number of milliseconds, such as 5000"
        yield Finding(AREA, name, Status.PROBLEM, f"{name} is {value!r}, which is no time", advice)
    elif float(value) < 500:
        detail = f"{name} is {value}: it is read as milliseconds, so metrics are sent all the time"
        yield Finding(AREA, name, Status.WARNING, detail, f"{float(value) * 1000:g} if seconds were meant")
