"""The real HTTP protocol and application on a connection that is no socket.

A byte stream goes in pieces into the protocol class the collector serves with; its answers come back out of a
transport that remembers them. The event loop is real and never waits: an input that would need to wait is an incomplete
request.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import uvicorn
from uvicorn.server import ServerState

from bmad_processor.errors import Malformed
from bmad_processor.limit import Admission, ByteBudget
from bmad_processor.model import Signal
from bmad_processor.receive import ACCEPTED, Accepted, HttpConfig
from bmad_processor.receive.http_app import build_otlp_app
from bmad_processor.receive.http_protocol import BoundedHttpProtocol
from bmad_processor.receive.limits import HttpLimits

from .laws import Broken, Laws

_TURNS: Final = 40
"""Of the loop, after each piece: a request takes five, and a stream of a few kB holds at most some dozens."""


class _Consumer:
    """Holds what arrives against the laws of the decoders."""

    may_wait = False

    def __init__(self, laws: Laws) -> None:
        self._laws = laws

    def consume(self, signal: Signal, body: bytes) -> Accepted:
        decoded = self._laws.request(signal, body)
        if decoded is None:
            raise Malformed("not a request")
        return ACCEPTED if not decoded.rejected else Accepted(decoded.rejected, decoded.message)


class _Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self._is_closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 4318) if name in ("sockname", "peername") else default

    def write(self, data: Any) -> None:
        if not self._is_closing:
            self.written += data

    def writelines(self, parts: Any) -> None:
        for part in parts:
            self.write(part)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True

    def abort(self) -> None:
        self._is_closing = True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_reading(self) -> bool:
        return not self._is_closing

    def set_protocol(self, protocol: Any) -> None:
        raise Broken("another protocol was asked for")


class Connections:
    """One application for all inputs, a connection for each."""

    def __init__(self, laws: Laws) -> None:
        self._loop = asyncio.new_event_loop()
        self.failures: list[dict[str, Any]] = []
        self._loop.set_exception_handler(lambda _, context: self.failures.append(context))
        self._budget = ByteBudget(256 * 1024)
        self._app = build_otlp_app(
            HttpConfig(endpoint="127.0.0.1:0", max_request_body_size=64 * 1024),
            _Consumer(laws),
            admission=Admission(self._budget),
        )
        self._config = uvicorn.Config(
            self._app, http=BoundedHttpProtocol, ws="none", interface="asgi3", lifespan="off", log_config=None,
            access_log=False, proxy_headers=False, server_header=False,
        )  # fmt: skip
        self._config.load()
        self._limits = HttpLimits()

    def close(self) -> None:
        self._app.close()
        self._loop.close()

    def hold(self, data: bytes) -> bytes:
        """Holds a stream against the laws; the first byte is the size of its pieces. What was answered."""
        if not data:
            return b""
        size = 1 + 16 * data[0]
        state = ServerState()
        transport = _Transport()
        protocol = BoundedHttpProtocol(self._limits, self._config, state, {}, self._loop)
        self._loop.call_soon(protocol.connection_made, transport)
        self._turn(2)
        for at in range(1, len(data), size):
            if transport.is_closing():
                break
            protocol.data_received(data[at : at + size])
            self._turn(_TURNS)
        protocol.connection_lost(None)
        self._turn(_TURNS)
        self._hold(bytes(transport.written), state)
        return bytes(transport.written)

    def _turn(self, n: int) -> None:
        for _ in range(n):
            self._loop.call_soon(self._loop.stop)
            self._loop.run_forever()
            if not self._loop._ready:  # type: ignore[attr-defined]  # nothing left to do: further turns are idle
                break

    def _hold(self, written: bytes, state: ServerState) -> None:
        if self.failures:
            failure = self.failures.pop()
            raise Broken(f"in the loop: {failure.get('message')}") from failure.get("exception")
        if state.tasks:
            raise Broken(f"{len(state.tasks)} requests hang")
        if written and not written.startswith(b"HTTP/1.1 "):
            raise Broken("what was answered is not HTTP")
        counters = self._app.counters()
        if counters.get("refused_500"):
            raise Broken("an error of ours: 500")
        if self._budget.held_bytes or self._app._requests:
            raise Broken("bytes or requests are still held after the end of the connection")
