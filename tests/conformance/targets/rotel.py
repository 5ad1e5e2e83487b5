"""rotel, from the wheel of its name."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.backend import Backend
from tests.conformance.messages import SIGNALS
from tests.conformance.rows import NotApplicable

from .base import PEERS, Child, Server, Wish, free_port, on_free_ports

_MIB = 2**20


class RotelTarget:
    """Configured by its command line."""

    name = "rotel"

    def __init__(self) -> None:
        self._program = PEERS / "rotel" / "rotel" / "rotel-agent"

    @property
    def is_installed(self) -> bool:
        return self._program.exists()

    def start(self, folder: Path, backend: Backend, wish: Wish) -> Server:
        return on_free_ports(
            lambda grpc, http: self._run(folder, wish, backend.grpc, backend.http, grpc=grpc, http=http), backend
        )

    def launch(self, folder: Path, wish: Wish) -> Child:
        # it always listens on both protocols; the one that is not asked for gets a free port
        grpc = f"127.0.0.1:{free_port()}" if wish.grpc is None else wish.grpc
        http = f"127.0.0.1:{free_port()}" if wish.http is None else wish.http
        nowhere = "127.0.0.1:9"
        return self._run(folder, wish, nowhere, f"http://{nowhere}", grpc=grpc, http=http)

    def _run(self, folder: Path, wish: Wish, to_grpc: str, to_http: str, *, grpc: str, http: str) -> Child:
        if wish.security or wish.origins or wish.max_streams or wish.keepalive or wish.unix or wish.is_strict_json:
            raise NotApplicable("no such option")
        if wish.request_timeout_s is not None:
            raise NotApplicable("no such option")
        options = {
            "--pid-file": str(folder / "rotel.pid"), "--log-file": str(folder / "rotel.log"),
            "--exporter": "otlp", "--otlp-exporter-endpoint": f"http://{to_grpc}",
            "--otlp-exporter-logs-protocol": "http", "--otlp-exporter-logs-endpoint": f"{to_http}/v1/logs",
            "--otlp-exporter-retry-initial-backoff": "50ms", "--otlp-exporter-retry-max-backoff": "200ms",
        }  # fmt: skip
        if grpc:
            options["--otlp-grpc-endpoint"] = grpc
        if http:
            options["--otlp-http-endpoint"] = http
        if wish.limit_bytes is not None:
            options["--otlp-grpc-max-recv-msg-size-mib"] = str(wish.limit_bytes // _MIB)
        flags = ["--disable-batching"]
        flags += [f"--otlp-receiver-{signal}-disabled" for signal in SIGNALS if signal not in wish.signals]
        words = [word for option in options.items() for word in option]
        return Child([str(self._program), "start", *words, *flags], folder / "rotel.txt")
