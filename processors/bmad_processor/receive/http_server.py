"""An HTTP server in a thread: uvicorn with a socket of ours, no signal handlers, and every wait bounded."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from bmad_processor.errors import StartError
from bmad_processor.limit import Admission

from .config import HttpConfig
from .consumer import Consumer
from .http_app import build_otlp_app
from .http_protocol import BoundedHttpProtocol
from .listen import bind, release

_LOG: Final = logging.getLogger("bmad_otel.collector")

_KEEP_ALIVE_S: Final = 75
"""Longer than the usual export interval of 60 s, so that a sender's connection is there when it is needed; a shorter
time closes it in the very moment of the next request."""

_START_TIMEOUT_S: Final = 10.0
"""A started loop answers in milliseconds; on a machine that is badly short of CPU, in seconds."""

_CANCEL_TIMEOUT_S: Final = 1.0


class _Server(uvicorn.Server):
    """uvicorn that says when it serves and leaves the process's signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_settled = threading.Event()
        """Serving, or failed to."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.is_settled.set()


class AsgiServer:
    """Serves any ASGI application (without lifespan) at ``endpoint`` from a thread with its own event loop."""

    def __init__(self, app: Any, endpoint: str, *, name: str = "http", reuse_port: bool = False) -> None:
        """``reuse_port``: other processes of this collector listen on the same port."""
        self._reuse_port = reuse_port
        self._app = app
        self._endpoint = endpoint
        self._name = name
        self._port = 0
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def endpoint(self) -> str:
        """Host as configured and the port in use; port 0 is replaced by the real one after `start`."""
        host, _, port = self._endpoint.rpartition(":")
        return f"{host}:{self._port or port}"

    def start(self) -> None:
        """Listen and serve. Raises StartError naming the address when it is taken."""
        sockets = bind(self._endpoint, reuse_port=self._reuse_port)
        self._port = sockets[0].getsockname()[1]
        config = uvicorn.Config(
            self._app,
            http=BoundedHttpProtocol,
            ws="none",
            loop="asyncio",
            interface="asgi3",
            lifespan="off",
            workers=1,
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
        self._server = server = _Server(config)

        def serve() -> None:
            try:
                server.run(sockets)
            except Exception:  # noqa: BLE001 - a thread has nobody above it
                _LOG.exception("%s server ended", self._name)
            finally:
                release(sockets)  # closed already by an orderly end
                server.is_settled.set()

        self._thread = threading.Thread(target=serve, name=f"{self._name}-server", daemon=True)
        self._thread.start()
        if not server.is_settled.wait(_START_TIMEOUT_S) or not server.started:
            self.stop(0)
            raise StartError(f"cannot serve {self._name} at {self.endpoint}: the server did not start")

    def stop(self, timeout_s: float) -> None:
        """Take no new requests, finish those in flight within ``timeout_s``, cancel the rest. Safe to call twice."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._server = self._thread = None
        # uvicorn declares whole seconds and hands the number to asyncio.wait_for
        server.config.timeout_graceful_shutdown = timeout_s  # type: ignore[assignment]
        server.should_exit = True
        thread.join(timeout_s + _CANCEL_TIMEOUT_S)
        if thread.is_alive():
            server.force_exit = True
            _LOG.warning("%s server at %s did not stop in time", self._name, self.endpoint)


class HttpReceiver:
    """Listens for OTLP/HTTP and hands requests to ``consumer``."""

    def __init__(
        self, config: HttpConfig, consumer: Consumer, admission: Admission | None = None, *, reuse_port: bool = False
    ) -> None:
        """``reuse_port``: other processes of this collector listen on the same port."""
        self._app = build_otlp_app(config, consumer, admission)
        self._server = AsgiServer(self._app, config.endpoint, name="otlp-http", reuse_port=reuse_port)

    def counters(self) -> dict[str, int]:
        """``refused_<HTTP status>``: requests answered with that status, whoever refused them."""
        return self._app.counters()

    @property
    def endpoint(self) -> str:
        """Host as configured and the port in use."""
        return self._server.endpoint

    def start(self) -> None:
        """Listen. Raises StartError naming the address when it is taken."""
        self._server.start()

    def stop(self, timeout_s: float) -> None:
        """Take no new requests, finish those in flight within ``timeout_s``. Safe to call twice."""
        self._server.stop(timeout_s)
