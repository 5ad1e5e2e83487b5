"""The stock Collector, built from its Go modules (`tests/conformance/collector`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conformance.backend import Backend
from tests.conformance.rows import NotApplicable

from .base import PEERS, Child, Server, Wish, on_free_ports

_MIB = 2**20


class StockTarget:
    """Configured by a file; JSON is YAML."""

    name = "collector"

    def __init__(self) -> None:
        self._program = PEERS / "otelcol"

    @property
    def is_installed(self) -> bool:
        return self._program.exists()

    def start(self, folder: Path, backend: Backend, wish: Wish) -> Server:
        return on_free_ports(
            lambda grpc, http: self._run(folder, wish, backend.grpc, backend.http, grpc=grpc, http=http), backend
        )

    def launch(self, folder: Path, wish: Wish) -> Child:
        nowhere = "127.0.0.1:9"
        return self._run(folder, wish, nowhere, f"http://{nowhere}", grpc=wish.grpc, http=wish.http)

    def _run(
        self, folder: Path, wish: Wish, to_grpc: str, to_http: str, *, grpc: str | None, http: str | None
    ) -> Child:
        if wish.is_strict_json:
            raise NotApplicable("no such option")
        config = configuration(wish, to_grpc, to_http, grpc=grpc, http=http)
        path = folder / "otelcol.json"
        path.write_text(json.dumps(config))
        return Child([str(self._program), "--config", f"file:{path}"], folder / "otelcol.txt")


def configuration(wish: Wish, to_grpc: str, to_http: str, *, grpc: str | None, http: str | None) -> dict[str, Any]:
    """Names that this Collector and the stock one share."""
    of_grpc: dict[str, Any] = {"endpoint": grpc} if grpc else {}
    of_http: dict[str, Any] = {"endpoint": http} if http else {}
    extensions: dict[str, Any] = {}
    if wish.limit_bytes is not None:
        of_grpc["max_recv_msg_size_mib"] = wish.limit_bytes // _MIB
        of_http["max_request_body_size"] = wish.limit_bytes
    if (security := wish.security) is not None:
        tls: dict[str, Any] = {
            "cert_file": str(security.certificate), "key_file": str(security.key),
            "client_ca_file": str(security.client_authority),
        }  # fmt: skip
        if wish.reload_interval_s is not None:
            tls["reload_interval"] = f"{round(wish.reload_interval_s * 1000)}ms"
        for protocol in (of_grpc, of_http):
            protocol |= {"tls": tls, "auth": {"authenticator": "bearertokenauth"}}
        extensions["bearertokenauth"] = {"scheme": "Bearer", "token": security.token}
    if wish.origins:
        of_http["cors"] = {
            "allowed_origins": list(wish.origins),
            "allowed_headers": ["content-type", "x-tenant"],
            "max_age": 600,
        }
    if wish.max_streams is not None:
        of_grpc["max_concurrent_streams"] = wish.max_streams
    if wish.keepalive:
        of_grpc["keepalive"] = dict(wish.keepalive)
    if wish.request_timeout_s is not None:
        of_http |= {"read_timeout": f"{wish.request_timeout_s}s", "read_header_timeout": f"{wish.request_timeout_s}s"}
    protocols = {}
    if grpc is not None:
        protocols["grpc"] = of_grpc
    if http is not None:
        protocols["http"] = of_http
    receivers: dict[str, Any] = {"otlp": {"protocols": protocols}}
    if wish.unix is not None:
        receivers["otlp/unix"] = {"protocols": {"grpc": {"endpoint": str(wish.unix), "transport": "unix"}}}
    sending: dict[str, Any] = {"retry_on_failure": {"initial_interval": "50ms", "max_interval": "200ms"}}
    if wish.is_easily_full:
        sending["sending_queue"] = {"queue_size": 1, "num_consumers": 1}
    exporters = {
        "otlp_grpc": {"endpoint": to_grpc, "tls": {"insecure": True}, **sending},
        "otlp_http": {"endpoint": to_http, **sending},
    }
    pipelines = {
        signal: {"receivers": list(receivers), "exporters": ["otlp_http" if signal == "logs" else "otlp_grpc"]}
        for signal in wish.signals
    }
    return {
        "receivers": receivers,
        "exporters": exporters,
        "extensions": extensions,
        "service": {
            "extensions": list(extensions),
            "pipelines": pipelines,
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "info"}},
        },
    }
