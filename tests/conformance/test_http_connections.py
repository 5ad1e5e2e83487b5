"""H21: requests that come slowly, in part, or lie about themselves."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from . import messages
from .clients import HttpClient
from .conftest import Start
from .messages import unique
from .targets import Server, Wish

HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
TIMEOUT_S = 2


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def is_fine(server: Server) -> None:
    """It serves, and what comes now is delivered."""
    name = unique("h21")
    HttpClient(server.http).post("traces", messages.body("traces", name)).response("traces")
    server.delivers(name)


def test_h21_expect_100_continue(server: Server) -> None:
    name = unique("h21")
    body = messages.body("traces", name)
    with connect(server.http) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    server.delivers(name)


LIES = {
    "Content-Length too long": HEAD + b"Content-Length: 1000\r\n\r\n%b",
    "chunk cut off": HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n%b",
    "no last chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n%b",
    "header cut off": HEAD,
}


@pytest.mark.parametrize("lie", LIES)
def test_h21_what_is_incomplete_is_not_taken(server: Server, lie: str) -> None:
    name = unique("h21")
    body = messages.body("traces", name)
    if lie == "no last chunk":
        body = b"%x\r\n%b\r\n" % (len(body), body)
    data = LIES[lie] % body if b"%b" in LIES[lie] else LIES[lie]
    with connect(server.http) as connection:
        connection.sendall(data)
    is_fine(server)
    assert server.backend is None or not server.backend.taken[name]


@pytest.mark.parametrize("length", [b"-1", b"x", b"1, 2", b"99999999999999999999"])
def test_h21_lengths_that_are_none(server: Server, length: bytes) -> None:
    with connect(server.http) as connection:
        connection.sendall(HEAD + b"Content-Length: " + length + b"\r\n\r\n")
        answer = connection.recv(1000)
    assert answer[:10] == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:60]
    is_fine(server)


def test_h21_two_lengths_are_refused(server: Server) -> None:
    """The first step of request smuggling."""
    with connect(server.http) as connection:
        connection.sendall(HEAD + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        answer = connection.recv(1000)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200 ")), answer[:60]
    is_fine(server)


@pytest.fixture
def hasty(start_for_session: Start) -> Server:
    return start_for_session(Wish(request_timeout_s=TIMEOUT_S))


def slowly(address: str, parts: Iterator[bytes]) -> float:
    """Sends a byte now and then until it is turned away; how long that took."""
    began = time.monotonic()
    with connect(address) as connection:
        connection.settimeout(0.25)
        for part in parts:
            try:
                connection.sendall(part)
                if not connection.recv(1000):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
            if time.monotonic() - began > 6 * TIMEOUT_S:
                break
    return time.monotonic() - began


def endless(start: bytes, then: bytes) -> Iterator[bytes]:
    yield start
    for _ in range(30 * TIMEOUT_S):
        yield then


@pytest.mark.faults
def test_h21_slow_requests_are_ended(hasty: Server) -> None:
    ways = [
        endless(b"", b"P"),
        endless(HEAD, b"X"),
        endless(HEAD + b"Content-Length: 10000\r\n\r\n", b"\n"),
        endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n\n\r\n"),
    ]
    with ThreadPoolExecutor(len(ways)) as pool:
        took = list(pool.map(slowly, [hasty.http] * len(ways), ways))
    assert max(took) < 5 * TIMEOUT_S, took
    is_fine(hasty)
