"""Answers of OTLP/HTTP as headers and body.

Every 4xx and 5xx body is a google.rpc.Status in the content type of the request, as OTLP demands; when the request's
content type is missing or unknown the body is JSON, which a person can read.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bmad_processor.model import Signal

from .consumer import Accepted
from .otlp_status import Answer, partial_success, partial_success_json, status_json

PROTOBUF: Final = b"application/x-protobuf"
JSON: Final = b"application/json"
CONTENT_TYPES: Final = (PROTOBUF, JSON)

_GZIP_FROM_BYTES: Final = 512
"""Shorter bodies fit into the packet with the headers either way."""

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent; the headers lack Content-Encoding, Content-Length and CORS."""

    status: int
    headers: Headers
    body: bytes = b""


OK: Final = {PROTOBUF: Reply(200, [(b"content-type", PROTOBUF)]), JSON: Reply(200, [(b"content-type", JSON)], b"{}")}
"""Full success: `partial_success` is not there at all."""


def success(signal: Signal, content_type: bytes, accepted: Accepted) -> Reply:
    """For a request that was taken, perhaps in part."""
    if not accepted.rejected and not accepted.message:
        return OK[content_type]
    if content_type == JSON:
        body = partial_success_json(signal, accepted)
    else:
        body = partial_success(signal, accepted).SerializeToString()
    return Reply(200, [(b"content-type", content_type)], body)


def refused(told: Answer, content_type: bytes, allow: bytes) -> Reply:
    """For a request that was not; ``allow`` is what 405 names."""
    if content_type == PROTOBUF:
        body = told.status.SerializeToString()
    else:
        content_type, body = JSON, status_json(told.status)
    headers = [(b"content-type", content_type)]
    if told.http_status == 405:
        headers.append((b"allow", allow))
    if told.retry_after_s is not None:
        headers.append((b"retry-after", str(told.retry_after_s).encode()))
    if told.challenge:
        headers.append((b"www-authenticate", told.challenge.encode("latin-1")))
    return Reply(told.http_status, headers, body)


def packed(reply: Reply, request: Mapping[bytes, bytes]) -> tuple[Headers, bytes]:
    """Headers and body as they go out, compressed when the client takes it and it is worth it."""
    headers, body = [*reply.headers], reply.body
    if len(body) >= _GZIP_FROM_BYTES:
        headers.append((b"vary", b"Accept-Encoding"))
        if _takes_gzip(request.get(b"accept-encoding", b"")):
            body = gzip.compress(body, 1, mtime=0)
            headers.append((b"content-encoding", b"gzip"))
    if reply.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    return headers, body


def _takes_gzip(accepted: bytes) -> bool:
    for part in accepted.lower().split(b","):
        name, *parameters = part.replace(b" ", b"").split(b";")
        if name in (b"gzip", b"x-gzip", b"*"):
            return not any(p.startswith(b"q=0") and not p[3:].strip(b".0") for p in parameters)
    return False
