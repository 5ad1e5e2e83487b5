"""OTLP/HTTP as an ASGI application: one port for three signals, protobuf and JSON.

Every 4xx and 5xx body is a google.rpc.Status in the content type of the request, as OTLP demands; when the request's
content type is missing or unknown the body is JSON, which a person can read.

The consumer is called in the thread of the event loop: a request takes it about a millisecond, less than handing it to
another thread and back, and Python would not run the two at once. Only JSON that is large enough to take long is
converted in a worker thread, one body at a time, so that other connections are served meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc

from bmad_processor.errors import Overloaded, TooLarge
from bmad_processor.limit import Admission, ByteBudget
from bmad_processor.model import Signal

from .config import HttpConfig
from .consumer import Accepted, Consumer
from .http_body import Body, GzipBody, IdentityBody
from .otlp_json import to_protobuf
from .otlp_status import Answer, answer, partial_success, partial_success_json, refusal, status_json
from .rate_limit import LimitedLog

_LOG: Final = logging.getLogger("bmad_otel.collector")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_PATHS: Final = {f"/v1/{signal}": signal for signal in Signal}

_PROTOBUF: Final = b"application/x-protobuf"
_JSON: Final = b"application/json"

_LARGE_JSON_BYTES: Final = 256 * 1024
"""Conversion runs at some ten MB/s: up to this size it holds up other connections for less than 30 ms."""

_BUFFERED_LIMITS: Final = 4
"""Bodies in hand may together hold this many times the limit of one body, when nobody gives a budget."""

_BUSY_RETRY_S: Final = 1.0

Headers = list[tuple[bytes, bytes]]

_OK: Final[dict[bytes, tuple[Headers, bytes]]] = {
    _PROTOBUF: ([(b"content-type", _PROTOBUF), (b"content-length", b"0")], b""),
    _JSON: ([(b"content-type", _JSON), (b"content-length", b"2")], b"{}"),
}


class _Gone(Exception):
    """The client went away before its request was complete; there is nobody to answer."""


class OtlpApp:
    """See the module."""

    def __init__(self, config: HttpConfig, consumer: Consumer, admission: Admission | None = None) -> None:
        self._limit = config.max_request_body_size
        self._consumer = consumer
        self._limited = LimitedLog(_LOG)
        self._admission = admission or Admission(ByteBudget(_BUFFERED_LIMITS * self._limit))
        self._refused: Counter[str] = Counter()
        self._converter = ThreadPoolExecutor(1, thread_name_prefix="otlp-json")

    def counters(self) -> dict[str, int]:
        """``refused_<HTTP status>``: requests answered with that status."""
        return dict(self._refused)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"not an HTTP connection: {scope['type']}")
        headers: dict[bytes, bytes] = dict(scope["headers"])
        content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        try:
            signal = _PATHS.get(scope["path"].rstrip("/"))
            if signal is None:
                told = refusal(404, grpc.StatusCode.UNIMPLEMENTED, "OTLP paths are /v1/traces, /v1/metrics, /v1/logs")
            elif scope["method"] != "POST":
                told = refusal(405, grpc.StatusCode.UNIMPLEMENTED, "OTLP requests are sent with POST")
            elif content_type not in _OK:
                told = refusal(
                    415,
                    grpc.StatusCode.INVALID_ARGUMENT,
                    "Content-Type must be application/x-protobuf or application/json",
                )
            elif (refused := self._admission.refusal(signal)) is not None:
                told = answer(refused)
            elif (collected := self._body_for(headers)) is None:
                told = refusal(415, grpc.StatusCode.INVALID_ARGUMENT, "Content-Encoding must be gzip or identity")
            else:
                try:
                    await self._receive(receive, headers, collected)
                    accepted = await self._consume(signal, content_type, collected.finish())
                except asyncio.CancelledError:
                    # the server stops and its grace is over; what was awaited comes before the consumer
                    raise Overloaded("shutting down", retry_after_s=_BUSY_RETRY_S) from None
                finally:
                    self._admission.give(collected.held)
                await self._succeed(send, signal, content_type, accepted)
                return
        except _Gone:
            return
        except Exception as error:  # noqa: BLE001 - whatever happens to one request, the server lives on
            told = answer(error)
            if told.is_ours:
                self._limited.error(f"internal error while handling {scope['path'][:100]!r}", error)
        self._refused[f"refused_{told.http_status}"] += 1
        await _refuse(send, told, content_type)

    def _body_for(self, headers: dict[bytes, bytes]) -> Body | None:
        match headers.get(b"content-encoding", b"").strip().lower():
            case b"" | b"identity":
                return IdentityBody(self._limit)
            case b"gzip" | b"x-gzip":
                return GzipBody(self._limit)
            case _:
                return None

    async def _receive(self, receive: Receive, headers: dict[bytes, bytes], body: Body) -> None:
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > self._limit:
            raise TooLarge(f"request body is larger than {self._limit} bytes")
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise _Gone
            if chunk := event.get("body"):
                body.feed(chunk)
                self._admission.take(body.size - body.held, body.held)
                body.held = body.size
            if not event.get("more_body"):
                return

    async def _consume(self, signal: Signal, content_type: bytes, body: bytes) -> Accepted:
        if content_type == _JSON:
            if len(body) > _LARGE_JSON_BYTES:
                body = await asyncio.get_running_loop().run_in_executor(self._converter, to_protobuf, signal, body)
            else:
                body = to_protobuf(signal, body)
        return self._consumer.consume(signal, body)

    async def _succeed(self, send: Send, signal: Signal, content_type: bytes, accepted: Accepted) -> None:
        headers, body = _OK[content_type]
        if accepted.rejected or accepted.message:
            if content_type == _JSON:
                body = partial_success_json(signal, accepted)
            else:
                body = partial_success(signal, accepted).SerializeToString()
            headers = _headers(content_type, body)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _headers(content_type: bytes, body: bytes) -> Headers:
    return [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]


async def _refuse(send: Send, told: Answer, content_type: bytes) -> None:
    if content_type == _PROTOBUF:
        body = told.status.SerializeToString()
    else:
        content_type, body = _JSON, status_json(told.status)
    headers = _headers(content_type, body)
    if told.http_status == 405:
        headers.append((b"allow", b"POST"))
    if told.retry_after_s is not None:
        headers.append((b"retry-after", str(told.retry_after_s).encode()))
    await send({"type": "http.response.start", "status": told.http_status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def build_otlp_app(config: HttpConfig, consumer: Consumer, admission: Admission | None = None) -> OtlpApp:
    """ASGI application for POST /v1/traces, /v1/metrics and /v1/logs; a trailing slash is tolerated."""
    return OtlpApp(config, consumer, admission)
