"""G3, G6, H9: a backend that does not answer, and a queue that is full."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from . import messages
from .clients import GrpcClient, GrpcReply, HttpClient, HttpReply, grpc_client
from .conftest import Start
from .messages import JSON, PROTOBUF, unique
from .rows import NotApplicable
from .targets import Server, Wish

PATIENCE_S = 8.0
"""A call that has not been answered by then is stuck behind the backend."""

ENOUGH = 3000
"""So many requests of 10 kB fill any queue that somebody who wished for one of one request gave us."""


@dataclass
class Full:
    """A server that has just refused something."""

    server: Server
    rpc: GrpcClient
    web: HttpClient
    reply: GrpcReply
    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def full(start_for_session: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    server = start_for_session(Wish(is_easily_full=True, signals=("traces",)))
    if server.backend is None:
        raise NotApplicable("the backend is not ours to hold")
    server.backend.hold()
    try:
        with grpc_client(server.grpc) as client:
            found = Full(server, client, HttpClient(server.http), GrpcReply(grpc.StatusCode.OK))
            for _ in range(ENOUGH):
                name = unique("full")
                message = messages.request("traces", [messages.span(name, trace_state="x" * 10_000)])
                found.reply = client.export("traces", message.SerializeToString(), timeout_s=PATIENCE_S)
                (found.accepted if found.reply.code is grpc.StatusCode.OK else found.refused).append(name)
                if found.refused:
                    break
            yield found
    finally:
        server.backend.release()


def test_g3_unavailable(full: Full) -> None:
    assert full.reply.code is grpc.StatusCode.UNAVAILABLE, (full.reply.code, full.reply.message)


def test_g6_beyond_retry_info(full: Full) -> None:
    info = full.reply.detail(RetryInfo)
    assert info is not None
    assert 0 < info.retry_delay.ToMilliseconds() <= 60_000


def test_g6_answered_at_once(full: Full) -> None:
    assert full.refused, f"{ENOUGH} requests were taken into a queue of one"
    began = time.monotonic()
    reply = full.rpc.export("traces", messages.body("traces", unique("g6")), timeout_s=PATIENCE_S)
    assert reply.code is grpc.StatusCode.UNAVAILABLE, reply.code
    assert time.monotonic() - began < PATIENCE_S / 2


def over_http(full: Full, content_type: str) -> HttpReply:
    message = messages.named("traces", unique("h9"))
    body = message.SerializeToString() if content_type == PROTOBUF else messages.to_json(message)
    try:
        return full.web.post("traces", body, content_type)
    except TimeoutError:
        raise AssertionError("not answered at all") from None


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_h9_overload(full: Full, content_type: str) -> None:
    reply = over_http(full, content_type)
    assert reply.status in (429, 503), reply.status
    reply.refusal(content_type)


def test_h9_beyond_retry_after(full: Full) -> None:
    assert 1 <= int(over_http(full, PROTOBUF).headers["retry-after"]) <= 60


def test_g6_taken_again_when_it_is_over(full: Full) -> None:
    """Last in this file: the backend answers again."""
    assert full.server.backend is not None
    full.server.backend.release()
    full.server.delivers(*full.accepted)
    assert not [name for name in full.refused if full.server.backend.attempts[name]], "something refused was passed on"
    for name in full.refused:
        _eventually_taken(lambda name=name: full.rpc.export("traces", messages.body("traces", name), timeout_s=5))  # type: ignore[misc]
    full.server.delivers(*full.refused)


def _eventually_taken(export: Callable[[], GrpcReply]) -> None:
    deadline = time.monotonic() + 20
    while (reply := export()).code is not grpc.StatusCode.OK:
        assert time.monotonic() < deadline, reply
        time.sleep(0.05)
