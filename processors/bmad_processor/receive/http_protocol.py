"""uvicorn's HTTP protocol with the bounds it lacks: time for a request to arrive, and number of connections."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LOG: Final = logging.getLogger("bmad_otel.collector")

REQUEST_TIMEOUT_S: Final = 60.0
"""A request must have arrived completely within this time, or its connection is closed. uvicorn itself would wait for
ever for the rest of a header; 60 s is the Collector's `read_header_timeout`."""

MAX_CONNECTIONS: Final = 1000
"""Further connections are closed at once. uvicorn's `limit_concurrency` would answer them in plain text."""


MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers. httptools itself would collect without end."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. The deadline runs from the connection (or from the first byte of a further request) until the
    request is complete; between requests uvicorn's keep-alive timeout runs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._is_in_head = True
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            _LOG.debug("connection closed at once: %d are open", MAX_CONNECTIONS)
            transport.close()
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large", "request headers are too large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        self._disarm()
        self._arm()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._disarm()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Not HTTP at all."""
        self._refuse(b"400 Bad Request", msg)

    def _refuse(self, status: bytes, message: str) -> None:
        """Answer with a JSON google.rpc.Status, as OTLP demands for everything refused, and close."""
        if self.transport.is_closing():
            return
        body = json.dumps({"code": 3, "message": message}).encode()
        self.transport.write(
            b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
            % (status, len(body), body)
        )
        self.transport.close()

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_TIMEOUT_S, self._expire)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
