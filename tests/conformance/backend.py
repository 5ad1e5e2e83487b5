"""Where a target sends what it took: records it, and answers as it is told."""

from __future__ import annotations

import gzip
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from tests.edges.peers import http_backend

from .messages import REQUESTS, SIGNAL_OF_METHOD, names_in


@dataclass(frozen=True, slots=True)
class Answer:
    """How one request is answered; the default takes it."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    http_status: int = 200
    body: bytes = b""
    retry_delay_s: float | None = None
    """With RetryInfo of this delay."""


TAKEN = Answer()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request as it arrived."""

    signal: str
    body: bytes
    names: tuple[str, ...]
    is_parsed: bool


class Backend:
    """Answers are chosen by the names of the items in a request."""

    def __init__(self) -> None:
        self.grpc = ""
        """host:port"""
        self.http = ""
        """Base URL."""
        self.deliveries: list[Delivery] = []
        self.attempts: Counter[str] = Counter()
        """Item name to how often it arrived, taken or not."""
        self.taken: Counter[str] = Counter()
        self._answers: dict[str, deque[Answer]] = defaultdict(deque)
        self._changed = threading.Condition()
        self._is_open = threading.Event()
        self._is_open.set()

    def answer_next(self, name: str, *answers: Answer) -> None:
        """The next requests with an item ``name`` are answered so; those after them are taken."""
        self._answers[name].extend(answers)

    def hold(self) -> None:
        """Answer nobody until `release`."""
        self._is_open.clear()

    def release(self) -> None:
        self._is_open.set()

    def of(self, name: str) -> Delivery:
        """The first request with the item ``name``."""
        return next(delivery for delivery in self.deliveries if name in delivery.names)

    def wait_for(self, *names: str, timeout_s: float = 30.0) -> None:
        """Returns when an item of each name has been taken."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while missing := [name for name in names if not self.taken[name]]:
                left = deadline - time.monotonic()
                assert left > 0, f"{len(missing)} of {len(names)} acknowledged items were not delivered: {missing[:3]}"
                self._changed.wait(left)

    def take(self, signal: str, body: bytes) -> Answer:
        """Called for every request."""
        try:
            names, is_parsed = tuple(names_in(signal, REQUESTS[signal].FromString(body))), True
        except DecodeError:
            names, is_parsed = (), False
        self._is_open.wait(60)
        with self._changed:
            self.deliveries.append(Delivery(signal, body, names, is_parsed))
            answer = next((self._answers[name].popleft() for name in names if self._answers.get(name)), TAKEN)
            self.attempts.update(names)
            if answer.code is grpc.StatusCode.OK and answer.http_status == 200:
                self.taken.update(names)
            self._changed.notify_all()
        return answer


@contextmanager
def running() -> Iterator[Backend]:
    """A backend that speaks gRPC and HTTP at ports of its own."""
    backend = Backend()

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            signal = SIGNAL_OF_METHOD.get(handler_call_details.method)
            if signal is None:
                return None

            def export(body: bytes, context: Any) -> bytes:
                answer = backend.take(signal, body)
                if answer.code is grpc.StatusCode.OK:
                    return answer.body
                status = Status(code=answer.code.value[0], message=f"told to answer {answer.code.name}")
                if answer.retry_delay_s is not None:
                    info = RetryInfo()
                    info.retry_delay.FromNanoseconds(round(answer.retry_delay_s * 1e9))
                    status.details.add().Pack(info)
                context.abort_with_status(rpc_status.to_status(status))
                raise AssertionError

            return grpc.unary_unary_rpc_method_handler(export)

    def answer_http(scope: dict[str, Any], body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = dict(scope["headers"])
        if headers.get(b"content-encoding") == b"gzip":
            body = gzip.decompress(body)
        answer = backend.take(scope["path"].removeprefix("/v1/"), body)
        content_type = headers.get(b"content-type", b"").decode()
        return answer.http_status, {"content-type": content_type}, answer.body

    pool = ThreadPoolExecutor(16)
    unlimited = (("grpc.max_receive_message_length", -1),)
    server = grpc.server(pool, handlers=(Handler(),), options=unlimited)
    backend.grpc = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        with http_backend(answer_http) as backend.http:
            yield backend
    finally:
        backend.release()
        server.stop(0).wait(5)
        pool.shutdown()
