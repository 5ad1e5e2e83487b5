"""uvicorn's HTTP protocol with the bounds it lacks: time for everything that is waited for, and number of connections.

A connection is always in one of four phases, each but `BUSY` with a deadline. Deadlines are numbers that
`Deadlines.look` compares for all connections a few times a second: that costs less than a timer per request, and no
phase can be left without one.
"""

from __future__ import annotations

import asyncio
import json
import logging
from enum import Enum
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .limits import HttpLimits

_LOG: Final = logging.getLogger("bmad_otel.collector")

MAX_HEAD_BYTES: Final = 64 * 1024
"""Request line and headers. httptools itself would collect without end."""

_FRAMING_PER_BYTE: Final = 16
"""A chunk of one byte takes six; what takes more than this per byte of body, and more than `MAX_HEAD_BYTES`, is no body
but an attempt to fill the memory with chunk extensions or trailers."""


class Phase(Enum):
    """What a connection waits for."""

    IDLE = "the next request"
    HEAD = "the rest of the headers"
    BODY = "the rest of the body"
    BUSY = "our answer"


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, limits: HttpLimits, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._phase = Phase.HEAD
        self._began_s = 0.0
        """When the present request began."""
        self._deadline_s = float("inf")
        self._write_deadline_s = float("inf")
        self._head_bytes = 0
        self._framing_bytes = self._body_bytes = 0
        """Of the present body: what came, less the body itself; and the body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            _LOG.debug("connection closed at once: %d are open", self._limits.max_connections)
            transport.close()
            return
        self._enter(Phase.HEAD)

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.IDLE:
            self._enter(Phase.HEAD)  # by any byte, also one of the empty lines that may stand before a request
        if self._phase is Phase.HEAD:
            self._head_bytes += len(data)
            super().data_received(data)
            if self._phase is Phase.HEAD and self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(b"431 Request Header Fields Too Large", "request headers are too large")
            return
        self._framing_bytes += len(data)
        super().data_received(data)
        if self._phase is Phase.BODY:
            allowed = MAX_HEAD_BYTES + _FRAMING_PER_BYTE * self._body_bytes
            if self._framing_bytes - self._body_bytes > allowed:
                self._refuse(b"400 Bad Request", "the framing of the request body is larger than the body")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = 0
        if self._phase is not Phase.HEAD:
            self._enter(Phase.HEAD)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase is Phase.HEAD:  # else it is a trailer, which nobody reads
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._phase = Phase.BODY
        self._deadline_s = self._began_s + self._limits.read_s
        self._framing_bytes = self._body_bytes = 0
        super().on_headers_complete()
        if not self._limits.is_kept_alive:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._enter(Phase.IDLE if self.cycle.response_complete else Phase.BUSY)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._phase is Phase.BUSY:
            self._enter(Phase.IDLE)
        super().on_response_complete()

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        match phase:
            case Phase.IDLE:
                self._deadline_s = self.loop.time() + self._limits.idle_s
            case Phase.BUSY:
                self._deadline_s = float("inf")
            case _:
                self._began_s = self.loop.time()
                self._head_bytes = 0
                self._deadline_s = self._began_s + min(self._limits.read_header_s, self._limits.read_s)

    def look(self, now_s: float) -> None:
        """Close what has waited too long, and drop what does not take its answer."""
        if self.transport.get_write_buffer_size():
            if now_s >= self._write_deadline_s:
                self.transport.abort()
            self._write_deadline_s = min(self._write_deadline_s, now_s + self._limits.write_s)
        else:
            self._write_deadline_s = float("inf")
        if now_s >= self._deadline_s and not self.transport.is_closing():
            _LOG.debug("connection closed: it waited too long for %s", self._phase.value)
            self.transport.close()

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
