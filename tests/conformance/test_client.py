"""C10, G5, H8: how a target behaves as a client of the next one."""

from __future__ import annotations

import time

import grpc
import pytest
from google.rpc.status_pb2 import Status

from . import messages
from .backend import Answer, Backend
from .clients import GrpcClient
from .messages import RESPONSES, unique
from .rows import NotApplicable
from .targets import Server

Code = grpc.StatusCode

RETRYABLE = {
    Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.ABORTED, Code.OUT_OF_RANGE, Code.UNAVAILABLE, Code.DATA_LOSS,
}  # fmt: skip
RETRYABLE_HTTP = {429, 502, 503, 504}
FINAL_HTTP = (400, 401, 403, 404, 405, 408, 413, 415, 500, 501, 505)
PATIENCE_S = 4.0
QUIET_S = 1.0
"""Five times the longest interval between the attempts of a target."""


@pytest.fixture
def told(server: Server) -> Backend:
    if server.backend is None:
        raise NotApplicable("nobody sees what it passes on")
    return server.backend


def attempts(
    told: Backend, rpc: GrpcClient, signal: str, names: dict[str, str], expected: dict[str, int]
) -> dict[str, int]:
    """Sends one request after the other, each when the one before came as often as expected: what waits together may be
    sent on together. How often each arrived when nothing more comes."""
    for what, name in names.items():
        assert rpc.export(signal, messages.body(signal, name)).code is Code.OK
        deadline = time.monotonic() + PATIENCE_S
        while told.attempts[name] < expected[what] and time.monotonic() < deadline:
            time.sleep(0.01)
    time.sleep(QUIET_S)
    return {what: told.attempts[name] for what, name in names.items()}


def test_c10_partial_success_is_not_sent_again(told: Backend, rpc: GrpcClient) -> None:
    partial = RESPONSES["traces"](partial_success={"rejected_spans": 1, "error_message": "told to reject one"})
    for signal in ("traces", "logs"):
        name = unique("c10")
        told.answer_next(name, Answer(body=partial.SerializeToString()))
        assert attempts(told, rpc, signal, {signal: name}, {signal: 1}) == {signal: 1}


def test_g5_codes(told: Backend, rpc: GrpcClient) -> None:
    names = {code.name: unique(f"g5-{code.name}") for code in Code if code is not Code.OK}
    for code, name in names.items():
        told.answer_next(name, Answer(Code[code]))
    with_info = "RESOURCE_EXHAUSTED with RetryInfo"
    names[with_info] = unique("g5-info")
    told.answer_next(names[with_info], Answer(Code.RESOURCE_EXHAUSTED, retry_delay_s=0.1))
    expected = {what: 2 if what == with_info or Code[what] in RETRYABLE else 1 for what in names}
    assert attempts(told, rpc, "traces", names, expected) == expected


def test_h8_statuses(told: Backend, rpc: GrpcClient) -> None:
    names = {str(status): unique(f"h8-{status}") for status in (*RETRYABLE_HTTP, *FINAL_HTTP)}
    body = Status(message="told to refuse").SerializeToString()
    for status, name in names.items():
        told.answer_next(name, Answer(http_status=int(status), body=body))
    expected = {status: 2 if int(status) in RETRYABLE_HTTP else 1 for status in names}
    assert attempts(told, rpc, "logs", names, expected) == expected
