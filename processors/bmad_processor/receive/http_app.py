"""OTLP/HTTP as an ASGI application: one port for three signals, protobuf and JSON.

A consumer that does not wait is called in the thread of the event loop: a request takes it about a millisecond, less
than handing it to another thread and back, and Python would not run the two at once. One that may wait for a disk is
called in threads. Only JSON that is large enough to take long is converted in a worker thread, one body at a time, so
that other connections are served meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc

from bmad_processor.errors import Overloaded, TooLarge
from bmad_processor.limit import Admission, ByteBudget
from bmad_processor.model import Signal
from bmad_processor.security import Authenticator, Guard

from .config import HttpConfig
from .consumer import Accepted, Consumer
from .cors import Cors
from .http_answers import CONTENT_TYPES, JSON, Headers, Reply, packed, refused, success
from .http_body import ENCODINGS, Body, body_for
from .otlp_json import to_protobuf
from .otlp_status import Answer, answer, refusal

_LOG: Final = logging.getLogger("bmad_otel.collector")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_LARGE_JSON_BYTES: Final = 256 * 1024
"""Conversion runs at some ten MB/s: up to this size it holds up other connections for less than 30 ms."""

_BUFFERED_LIMITS: Final = 4
"""Bodies in hand may together hold this many times the limit of one body, when nobody gives a budget."""

_WAITING_THREADS: Final = 16
"""For a consumer that may wait: as many requests share one write to the disk."""

_BUSY_RETRY_S: Final = 1.0


class _Gone(Exception):
    """The client went away before its request was complete; there is nobody to answer."""


class _Refused(Exception):
    """What the protocol itself does not allow."""

    def __init__(self, told: Answer) -> None:
        self.told = told


class OtlpApp:
    """See the module."""

    def __init__(
        self,
        config: HttpConfig,
        consumer: Consumer,
        admission: Admission | None = None,
        authenticator: Authenticator | None = None,
    ) -> None:
        self._signals = config.signals_by_path
        self._limit = config.max_request_body_size
        self._most_requests = config.max_concurrent_requests
        self._is_strict = config.strict_json
        self._consumer = consumer
        self._cors = Cors(config.cors)
        self._guard = None if authenticator is None else Guard(authenticator)
        self._admission = admission or Admission(ByteBudget(_BUFFERED_LIMITS * self._limit))
        self._requests = 0
        """In hand; touched by the loop's thread only."""
        self._refused: Counter[str] = Counter()
        self._converter = ThreadPoolExecutor(1, thread_name_prefix="otlp-json")
        self._waiters = (
            ThreadPoolExecutor(_WAITING_THREADS, thread_name_prefix="otlp-http") if consumer.may_wait else None
        )

    def counters(self) -> dict[str, int]:
        """``refused_<HTTP status>``: requests answered with that status."""
        return dict(self._refused)

    def close(self) -> None:
        """Ends the worker threads, after the server has stopped. Safe to call twice."""
        for pool in (self._converter, self._waiters):
            if pool is not None:
                pool.shutdown(wait=False, cancel_futures=True)
        if self._guard is not None:
            self._guard.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"not an HTTP connection: {scope['type']}")
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if self._cors.is_preflight(scope["method"], headers):
            await self._send(send, Reply(204, []), headers, self._cors.preflight(headers))
            return
        content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        asked = _Asked(receive)
        self._requests += 1
        try:
            reply = await self._reply(scope, headers, content_type, asked)
        except _Gone:
            return
        except Exception as error:  # noqa: BLE001 - whatever happens to one request, the server lives on
            told = error.told if isinstance(error, _Refused) else answer(error)
            if told.is_ours:
                _LOG.error("internal error while handling %r over HTTP", scope["path"][:100], exc_info=error)
            self._refused[f"refused_{told.http_status}"] += 1
            reply = refused(told, content_type, b"POST, OPTIONS" if self._cors.is_on else b"POST")
            if b"expect" in headers and not asked.was_asked:
                # the client holds its body back; whether it sends it now is not known, so nothing may come behind it
                reply.headers.append((b"connection", b"close"))
        finally:
            self._requests -= 1
        await self._send(send, reply, headers, self._cors.answer(headers))

    async def _reply(self, scope: Scope, headers: Mapping[bytes, bytes], content_type: bytes, asked: _Asked) -> Reply:
        """Raises everything that makes it a refusal; in order of what costs the least to find out."""
        path = scope["path"]
        signal = self._signals.get(path if path == "/" else path.rstrip("/"))
        if signal is None:
            said = f"OTLP paths are {', '.join(self._signals)}"
            raise _Refused(refusal(404, grpc.StatusCode.UNIMPLEMENTED, said))
        if scope["method"] != "POST":
            raise _Refused(refusal(405, grpc.StatusCode.UNIMPLEMENTED, "OTLP requests are sent with POST"))
        if self._guard is not None:
            await self._admit(self._guard, headers)
        if content_type not in CONTENT_TYPES:
            said = "Content-Type must be application/x-protobuf or application/json"
            raise _Refused(refusal(415, grpc.StatusCode.INVALID_ARGUMENT, said))
        if (limited := self._admission.refusal(signal)) is not None:
            raise limited
        body = body_for(headers.get(b"content-encoding", b""), self._limit)
        if body is None:
            said = f"Content-Encoding must be one of {', '.join(ENCODINGS)}"
            raise _Refused(refusal(415, grpc.StatusCode.INVALID_ARGUMENT, said))
        if self._requests > self._most_requests:
            raise Overloaded("too many requests at once", retry_after_s=_BUSY_RETRY_S)
        try:
            await self._receive(asked, headers, body)
            accepted = await self._consume(signal, content_type, body.finish())
        except asyncio.CancelledError:
            # the server stops and its grace is over. What was awaited comes before the consumer, or is a consumer that
            # waits for its disk: then the request, sent again, may be there twice, but it is there
            raise Overloaded("shutting down", retry_after_s=_BUSY_RETRY_S) from None
        finally:
            self._admission.give(body.held)
        return success(signal, content_type, accepted)

    @staticmethod
    async def _admit(guard: Guard, headers: Mapping[bytes, bytes]) -> None:
        value = headers.get(guard.header.encode())
        future = guard.admit(None if value is None else value.decode("latin-1"))
        if future is not None and not await asyncio.wrap_future(future):
            raise guard.refusal()

    async def _receive(self, asked: _Asked, headers: Mapping[bytes, bytes], body: Body) -> None:
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > self._limit:
            raise TooLarge(f"request body is larger than {self._limit} bytes")
        while True:
            event = await asked.receive()
            if event["type"] == "http.disconnect":
                raise _Gone
            if chunk := event.get("body"):
                body.feed(chunk)
                self._admission.take(body.size - body.held, body.held)
                body.held = body.size
            if not event.get("more_body"):
                return

    async def _consume(self, signal: Signal, content_type: bytes, body: bytes) -> Accepted:
        loop = asyncio.get_running_loop()
        if content_type == JSON:
            if len(body) > _LARGE_JSON_BYTES:
                body = await loop.run_in_executor(self._converter, to_protobuf, signal, body, self._is_strict)
            else:
                body = to_protobuf(signal, body, self._is_strict)
        if self._waiters is not None:
            return await loop.run_in_executor(self._waiters, self._consumer.consume, signal, body)
        return self._consumer.consume(signal, body)

    @staticmethod
    async def _send(send: Send, reply: Reply, request: Mapping[bytes, bytes], more: Headers) -> None:
        headers, body = packed(reply, request)
        await send({"type": "http.response.start", "status": reply.status, "headers": [*headers, *more]})
        await send({"type": "http.response.body", "body": body})


class _Asked:
    """`receive`, and whether anybody called it: the call is what sends 100 Continue."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.was_asked = False

    async def receive(self) -> MutableMapping[str, Any]:
        self.was_asked = True
        return await self._receive()


def build_otlp_app(
    config: HttpConfig,
    consumer: Consumer,
    admission: Admission | None = None,
    *,
    authenticator: Authenticator | None = None,
) -> OtlpApp:
    """ASGI application for the POST paths of ``config``; a trailing slash is tolerated."""
    return OtlpApp(config, consumer, admission, authenticator)
