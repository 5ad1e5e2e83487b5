"""An HTTP server in a thread: uvicorn with a socket of ours, no signal handlers, and every wait bounded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import threading
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from bmad_processor.errors import StartError
from bmad_processor.limit import Admission
from bmad_processor.security import Authenticator, ServerTls

from .config import HttpConfig
from .consumer import Consumer
from .http_app import build_otlp_app
from .http_protocol import BoundedHttpProtocol
from .limits import HttpLimits
from .listen import SocketFile, bind, bind_unix, release

_LOG: Final = logging.getLogger("bmad_otel.collector")

_START_TIMEOUT_S: Final = 10.0
"""A started loop answers in milliseconds; on a machine that is badly short of CPU, in seconds."""

_CANCEL_TIMEOUT_S: Final = 1.0

_HANDSHAKE_TIMEOUT_S: Final = 10.0
"""Until its TLS is set up a connection is not counted; asyncio would give it a minute."""


class _Server(uvicorn.Server):
    """uvicorn that says when it serves, leaves the process's signals alone and looks after its connections."""

    def __init__(self, config: uvicorn.Config, limits: HttpLimits, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self._limits = limits
        self._tls = tls
        self._looked_s = 0.0
        self.is_settled = threading.Event()
        """Serving, or failed to."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: Any = None) -> None:
        # uvicorn's own, but for the protocol's limits and the time for a TLS handshake
        loop = asyncio.get_running_loop()

        def connection() -> BoundedHttpProtocol:
            return BoundedHttpProtocol(self._limits, self.config, self.server_state, {}, loop)

        timeout_s = None if self._tls is None else _HANDSHAKE_TIMEOUT_S
        self.servers = [
            await loop.create_server(
                connection, sock=sock, ssl=self._tls, ssl_handshake_timeout=timeout_s, backlog=self.config.backlog
            )
            for sock in sockets
        ]
        self.started = True
        loop.create_task(self._look_after()).add_done_callback(_say_why)
        self.is_settled.set()

    async def _look_after(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._limits.look_every_s)
            now_s = loop.time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedHttpProtocol):
                    connection.look(now_s)


def _say_why(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.error("connections are not looked after any more", exc_info=error)


class AsgiServer:
    """Serves any ASGI application (without lifespan) at ``endpoint`` from a thread with its own event loop.

    ``endpoint`` is host:port or, when ``is_unix``, the path of a socket file.
    """

    def __init__(
        self,
        app: Any,
        endpoint: str,
        *,
        name: str = "http",
        limits: HttpLimits | None = None,
        tls: ServerTls | None = None,
        is_unix: bool = False,
        reuse_port: bool = False,
    ) -> None:
        self._app = app
        self._endpoint = endpoint
        self._name = name
        self._limits = limits or HttpLimits()
        self._tls = tls
        self._is_unix = is_unix
        self._reuse_port = reuse_port
        self._port = 0
        self._file: SocketFile | None = None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def endpoint(self) -> str:
        """Host as configured and the port in use; port 0 is replaced by the real one after `start`."""
        if self._is_unix:
            return self._endpoint
        host, _, port = self._endpoint.rpartition(":")
        return f"{host}:{self._port or port}"

    def start(self) -> None:
        """Listen and serve. Raises StartError naming the address when it is taken."""
        if self._is_unix:
            sockets = bind_unix(self._endpoint)
            self._file = SocketFile(self._endpoint)
        else:
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
            # whole seconds by its type, and one of several deadlines by ours
            timeout_keep_alive=max(1, round(self._limits.idle_s)),
        )
        context = None if self._tls is None else self._tls.context()
        self._server = server = _Server(config, self._limits, context)

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
        if self._file is not None:
            self._file.remove()


class HttpReceiver:
    """Listens for OTLP/HTTP and hands requests to ``consumer``.

    ``authenticator`` is asked about every request; ``reuse_port`` shares the port with other processes. Raises
    StartError for TLS files that cannot be used.
    """

    def __init__(
        self,
        config: HttpConfig,
        consumer: Consumer,
        admission: Admission | None = None,
        *,
        authenticator: Authenticator | None = None,
        reuse_port: bool = False,
    ) -> None:
        self._app = build_otlp_app(config, consumer, admission, authenticator=authenticator)
        self._server = AsgiServer(
            self._app,
            config.endpoint,
            name="otlp-http",
            limits=HttpLimits.of(config),
            tls=None if config.tls is None else ServerTls(config.tls),
            is_unix=config.transport == "unix",
            reuse_port=reuse_port,
        )

    def counters(self) -> dict[str, int]:
        """``refused_<HTTP status>``: requests answered with that status, whoever refused them."""
        return self._app.counters()

    @property
    def endpoint(self) -> str:
        """Host as configured and the port in use; the path of a socket file."""
        return self._server.endpoint

    def start(self) -> None:
        """Listen. Raises StartError naming the address when it is taken."""
        self._server.start()

    def stop(self, timeout_s: float) -> None:
        """Take no new requests, finish those in flight within ``timeout_s``. Safe to call twice."""
        self._server.stop(timeout_s)
        self._app.close()
