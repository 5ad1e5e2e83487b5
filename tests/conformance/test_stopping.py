"""G12: SIGTERM while requests come in over both protocols."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable

import grpc
import pytest

from . import messages
from .clients import HttpClient, exchange, grpc_client
from .conftest import Start
from .messages import PROTOBUF, unique
from .rows import NotApplicable
from .targets import Server, Wish

SPANS = 20


def test_g12_everything_acknowledged_is_delivered(start: Start) -> None:
    server = start(Wish())
    if server.child is None:
        raise NotApplicable("it is not ours to stop")
    by_grpc: list[str] = []
    by_http: list[str] = []
    senders = [
        threading.Thread(target=_by_grpc, args=(server, by_grpc)),
        threading.Thread(target=_by_http, args=(server, by_http)),
    ]
    for sender in senders:
        sender.start()
    server.child.wait_until(lambda: len(by_grpc) > 2 * SPANS and len(by_http) > 2 * SPANS)
    server.child.ask_to_stop()
    for sender in senders:
        sender.join(60)
    assert server.child.wait() == 0, server.child.log[-1000:]
    acknowledged = by_grpc + by_http
    assert server.backend is not None
    lost = [name for name in acknowledged if not server.backend.taken[name]]
    assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged spans were lost"
    with pytest.raises(OSError, match="refused"):
        HttpClient(server.http).post("traces", b"")


def _until_refused(export: Callable[[bytes], bool], acknowledged: list[str]) -> None:
    while True:
        names = [unique("g12") for _ in range(SPANS)]
        if not export(messages.body("traces", *names)):
            return
        acknowledged += names


def _by_grpc(server: Server, acknowledged: list[str]) -> None:
    with grpc_client(server.grpc) as client:
        _until_refused(lambda body: client.export("traces", body, timeout_s=5).code is grpc.StatusCode.OK, acknowledged)


def _by_http(server: Server, acknowledged: list[str]) -> None:
    connection = HttpClient(server.http).connect()

    def export(body: bytes) -> bool:
        try:
            return exchange(connection, "POST", "/v1/traces", body, content_type=PROTOBUF).status == 200
        except (OSError, http.client.HTTPException):
            return False

    _until_refused(export, acknowledged)
    connection.close()
