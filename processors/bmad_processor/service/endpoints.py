"""Where programs of this user send to and ask."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from .home import Home
from .record import Record, find

_EVERYWHERE: Final = ("0.0.0.0", "::", "[::]", "*")  # noqa: S104  compared with, not bound to

_DECIDING: Final = tuple(f"OTEL_EXPORTER_OTLP_{part}ENDPOINT" for part in ("", "TRACES_", "METRICS_", "LOGS_"))

_HTTP: Final = "http/protobuf"


def reachable(endpoint: str) -> str:
    """``endpoint`` as a program on this machine connects to it: who listens everywhere is asked at localhost."""
    host, _, port = endpoint.rpartition(":")
    return f"localhost:{port}" if host in _EVERYWHERE else endpoint


def otlp_endpoint(environ: Mapping[str, str] = os.environ) -> str | None:
    """What a program gives to ``configure(endpoint=...)`` so that its telemetry reaches this user's monitor.

    The receiver of the running background service, in the protocol that OTEL_EXPORTER_OTLP_PROTOCOL asks for. None, so
    that OpenTelemetry's variables or its default (localhost:4317) decide, when one of them names an endpoint or no
    service runs.
    """
    if any(environ.get(name, "").strip() for name in _DECIDING):
        return None
    record = find(Home.of(environ))
    return None if record is None else receiver_url(record, environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "").strip())


def receiver_url(record: Record, protocol: str = "") -> str | None:
    """The receiver of ``protocol`` (``grpc`` unless given) as a URL; None when the service has none."""
    endpoint = record.otlp_http if protocol == _HTTP else record.otlp_grpc
    return None if endpoint is None else f"http://{reachable(endpoint)}"
