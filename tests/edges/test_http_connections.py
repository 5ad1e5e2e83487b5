"""Connections that take their time: each wait has an end, and there are never more of them than configured."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bmad_processor.model import Signal
from bmad_processor.quantities import split_endpoint
from bmad_processor.receive import AsgiServer, HttpConfig, HttpReceiver
from bmad_processor.receive.limits import HttpLimits

from .peers import Recorder, eventually, spans_body

HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WHOLE = HEAD + b"Content-Length: 0\r\n\r\n"


@contextmanager
def receiving(consumer: Recorder, **options: Any) -> Iterator[socket.socket]:
    """A receiver with ``options`` and a connection to it."""
    receiver = HttpReceiver(HttpConfig(endpoint="127.0.0.1:0", **options), consumer)
    receiver.start()
    try:
        with socket.create_connection(split_endpoint(receiver.endpoint), timeout=10) as raw:
            yield raw
    finally:
        receiver.stop(2)


def answer(raw: socket.socket) -> bytes:
    """One whole answer."""
    got = b""
    while b"\r\n\r\n" not in got:
        part = raw.recv(65536)
        assert part, f"closed behind {got!r}"
        got += part
    head, _, body = got.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    while length is not None and len(body) < int(length[1]):
        body += raw.recv(65536)
    return head + b"\r\n\r\n" + body


def trickle(raw: socket.socket, data: Callable[[int], bytes], every_s: float = 0.02) -> float:
    """Sends little by little until the other side closes; the seconds that took."""
    began = time.monotonic()
    raw.settimeout(every_s)
    for n in range(1000):
        try:
            raw.sendall(data(n))
            if raw.recv(1000) == b"":
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    else:
        pytest.fail("it was never closed")
    return time.monotonic() - began


SHORT = {"read_header_timeout": "200ms", "read_timeout": "200ms"}


@pytest.mark.parametrize(
    ("beginning", "more"),
    [
        (b"", lambda n: b""),
        (b"", lambda n: b"\r\n"),
        (b"POST /v1/traces HTTP/1.1\r\nHost:", lambda n: b"x"),
        (b"POST /v1/traces HTTP/1.1\r\nHost: x\r\n", lambda n: b"A%d: b\r\n" % n),
        (HEAD + b"Content-Length: 100000\r\n\r\n", lambda n: b"x"),
        (CHUNKED, lambda n: b"1\r\nx\r\n"),
        (CHUNKED + b"1", lambda n: b";a=b"),
        (CHUNKED + b"0\r\n", lambda n: b"A%d: b\r\n" % n),
        (WHOLE, lambda n: b"\r\n"),
        (WHOLE, lambda n: b""),
        (HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(50_000), lambda n: b""),
        (CHUNKED + b"ffff\r\n" + bytes(50_000), lambda n: b""),
        (b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", lambda n: b"x"),
    ],
    ids=["silence", "empty lines", "slow header", "endless headers", "slow body", "endless chunks",
         "endless chunk extension", "endless trailers", "empty lines after a request", "half-open after a request",
         "half-open in a body", "half-open in a chunk", "refused, then a slow body"],
)  # fmt: skip
def test_slow_requests_are_cut_off(consumer: Recorder, beginning: bytes, more: Callable[[int], bytes]) -> None:
    with receiving(consumer, idle_timeout="200ms", **SHORT) as raw:
        raw.sendall(beginning)
        took = trickle(raw, more)
    assert 0.15 < took < 20
    assert len(consumer.got) <= 1


def test_headers_have_their_own_time(consumer: Recorder) -> None:
    with receiving(consumer, read_header_timeout="200ms") as raw:
        raw.sendall(HEAD + b"Content-Length: 2\r\n\r\n")
        time.sleep(0.6)
        raw.sendall(b"\n\0")  # resource_spans, empty
        assert answer(raw).startswith(b"HTTP/1.1 200 ")


def test_idle_connections_are_closed_and_active_ones_stay(consumer: Recorder) -> None:
    with receiving(consumer, idle_timeout="1s") as raw:
        for _ in range(4):
            raw.sendall(WHOLE)
            assert answer(raw).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.35)
        began = time.monotonic()
        assert raw.recv(1000) == b""
        assert time.monotonic() - began < 5


def test_idle_connection_whose_refused_body_came_later_is_closed(consumer: Recorder) -> None:
    with receiving(consumer, idle_timeout="200ms") as raw:
        raw.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        assert answer(raw).startswith(b"HTTP/1.1 404 ")
        raw.sendall(b"abc")
        assert raw.recv(1000) == b""


def test_a_slow_consumer_is_not_a_slow_request(consumer: Recorder) -> None:
    consumer.delay_s = 0.8
    consumer.may_wait = True
    with receiving(consumer, idle_timeout="200ms", **SHORT) as raw:
        raw.sendall(WHOLE)
        assert answer(raw).startswith(b"HTTP/1.1 200 ")


def rest(raw: socket.socket) -> bytes:
    """Everything until the other side closes."""
    got = b""
    while part := raw.recv(65536):
        got += part
    return got


def test_without_keep_alive_each_request_has_its_connection(consumer: Recorder) -> None:
    with receiving(consumer, keep_alives_enabled=False) as raw:
        raw.sendall(WHOLE)
        assert b"connection: close" in rest(raw)


def test_who_does_not_take_the_answer_is_dropped() -> None:
    done, ended = threading.Event(), threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
            done.set()
        ended.set()

    server = AsgiServer(app, "127.0.0.1:0", limits=HttpLimits(write_s=0.3))
    server.start()
    try:
        with socket.create_connection(split_endpoint(server.endpoint), timeout=10) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert done.wait(5)
            assert ended.wait(5), "nobody waits for it any more"
    finally:
        server.stop(1)


@pytest.mark.parametrize(
    "flood", [b";" + b"a" * 60_000, b"\r\nx\r\n0\r\n" + b"A: b\r\n" * 10_000, b"\r\nx\r\n0\r\nA: " + b"b" * 60_000],
    ids=["chunk extension", "trailers", "a trailer"],
)  # fmt: skip
def test_framing_without_end_costs_no_memory(consumer: Recorder, flood: bytes) -> None:
    more = flood[-6:] * 10_000
    with receiving(consumer) as raw:
        try:
            raw.sendall(CHUNKED + b"1" + flood)
            for _ in range(200):
                raw.sendall(more)
            pytest.fail("taken without end")
        except ConnectionError:
            pass


def test_many_small_chunks_are_a_body(consumer: Recorder) -> None:
    body = spans_body(500)
    with receiving(consumer) as raw:
        raw.sendall(CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\nTrailer: x\r\n\r\n")
        assert answer(raw).startswith(b"HTTP/1.1 200 ")
    assert consumer.got == [(Signal.TRACES, body)]


def test_further_connections_are_closed(consumer: Recorder) -> None:
    receiver = HttpReceiver(HttpConfig(endpoint="127.0.0.1:0", max_connections=3), consumer)
    receiver.start()
    address = split_endpoint(receiver.endpoint)
    connections = [socket.create_connection(address, timeout=10) for _ in range(3)]
    with socket.create_connection(address, timeout=10) as fourth:
        assert fourth.recv(1000) == b""
    for raw in connections:
        raw.close()

    def is_served() -> bool:
        with socket.create_connection(address, timeout=10) as raw:
            raw.sendall(WHOLE)
            return raw.recv(1000).startswith(b"HTTP/1.1 200 ")

    eventually(is_served)
    receiver.stop(2)


def test_further_requests_are_told_to_come_again(consumer: Recorder) -> None:
    receiver = HttpReceiver(HttpConfig(endpoint="127.0.0.1:0", max_concurrent_requests=2), consumer)
    receiver.start()
    address = split_endpoint(receiver.endpoint)
    first, second, third = (socket.create_connection(address, timeout=10) for _ in range(3))
    for raw in (first, second):
        raw.sendall(HEAD + b"Content-Length: 2\r\n\r\n")
    eventually(lambda: receiver._app._requests == 2)
    third.sendall(WHOLE)
    later = answer(third)
    assert later.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in later
    first.sendall(b"\n\0")
    assert answer(first).startswith(b"HTTP/1.1 200 ")
    third.sendall(WHOLE)
    assert answer(third).startswith(b"HTTP/1.1 200 ")
    for raw in (first, second, third):
        raw.close()
    receiver.stop(2)


def test_a_consumer_that_waits_does_not_hold_up_others(consumer: Recorder) -> None:
    consumer.may_wait = True
    consumer.delay_s = 0.4
    receiver = HttpReceiver(HttpConfig(endpoint="127.0.0.1:0"), consumer)
    receiver.start()
    answers: list[bytes] = []

    def post() -> None:
        with socket.create_connection(split_endpoint(receiver.endpoint), timeout=10) as raw:
            raw.sendall(WHOLE)
            answers.append(answer(raw))

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    receiver.stop(2)
    assert [answered.split()[1] for answered in answers] == [b"200"] * 8
    assert consumer.most_at_once > 2


def test_expect_100_continue(consumer: Recorder) -> None:
    expect = b"Expect: 100-continue\r\n"
    with receiving(consumer, max_request_body_size=100) as raw:
        raw.sendall(HEAD + expect + b"Content-Length: 2\r\n\r\n")
        assert raw.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(b"\n\0")
        assert answer(raw).startswith(b"HTTP/1.1 200 ")
        # refused before the body is asked for; whether it comes cannot be known, so nothing can follow
        raw.sendall(HEAD + expect + b"Content-Length: 101\r\n\r\n")
        refused = rest(raw)
    assert refused.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in refused


@pytest.mark.parametrize("end", [b"5\r\nab", b"zz\r\n", b"0\r\n"], ids=["in a chunk", "wrong size", "in the trailers"])
def test_a_truncated_chunked_body_is_no_request(consumer: Recorder, end: bytes) -> None:
    with receiving(consumer) as raw:
        raw.sendall(CHUNKED + end)
        raw.shutdown(socket.SHUT_WR)
        raw.settimeout(0.3)
        got = b""
        with contextlib.suppress(TimeoutError):
            got = raw.recv(1000)
    assert b" 200 " not in got
    assert not consumer.got
