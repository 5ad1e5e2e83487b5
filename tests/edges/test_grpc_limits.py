"""OTLP/gRPC: bounds on connections, calls and pings; socket files; a port shared on purpose."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from bmad_processor.errors import StartError
from bmad_processor.model import Signal
from bmad_processor.quantities import split_endpoint
from bmad_processor.receive import GrpcConfig, GrpcReceiver, HttpConfig, HttpReceiver

from .peers import PATHS, Recorder, eventually, spans_body

TRACES = PATHS[Signal.TRACES]
OWN = ("grpc.use_local_subchannel_pool", 1)


@contextmanager
def receiving(consumer: Recorder, *, reuse_port: bool = False, **options: Any) -> Iterator[GrpcReceiver]:
    receiver = GrpcReceiver(GrpcConfig(**{"endpoint": "127.0.0.1:0", **options}), consumer, reuse_port=reuse_port)
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop(2)


class Relay:
    """Between a client and a receiver; after so many bytes of the client it passes on nothing, and says nothing."""

    def __init__(self, to: str, stop_after: int) -> None:
        self._to = split_endpoint(to)
        self._stop_after = stop_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.was_closed = threading.Event()
        self._ended = threading.Event()

    def __enter__(self) -> Relay:
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._listener.close()

    def _run(self) -> None:
        client, _ = self._listener.accept()
        with client, socket.create_connection(self._to) as server:
            threading.Thread(target=self._back, args=(server, client), daemon=True).start()
            n = 0
            while n < self._stop_after:
                data = client.recv(16_384)
                server.sendall(data)
                n += len(data)
            self._ended.wait(30)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)
        self.was_closed.set()


def code_of(call: Any) -> grpc.StatusCode:
    error = call.exception()
    return grpc.StatusCode.OK if error is None else error.code()


def frames(raw: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """Kind, flags and content of the HTTP/2 frames that come."""
    data = b""
    while True:
        while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3]):
            part = raw.recv(65536)
            if not part:
                return
            data += part
        size = int.from_bytes(data[:3])
        yield data[3], data[4], data[9 : 9 + size]
        data = data[9 + size :]


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
PING = b"\0\0\x08\x06\0\0\0\0\0" + bytes(8)
SETTINGS, GOAWAY = 4, 7
MAX_CONCURRENT_STREAMS = 3


def test_streams_per_connection(consumer: Recorder) -> None:
    with (
        receiving(consumer, max_concurrent_streams=7) as receiver,
        socket.create_connection(split_endpoint(receiver.endpoint), timeout=10) as raw,
    ):
        raw.sendall(PREFACE)
        content = next(content for kind, flags, content in frames(raw) if kind == SETTINGS and not flags)
    assert dict(struct.iter_unpack(">HI", content))[MAX_CONCURRENT_STREAMS] == 7


@pytest.mark.parametrize(("policy", "is_cut_off"), [
    ({"min_time": "1m"}, True), ({"min_time": "1ms", "permit_without_stream": True}, False),
])  # fmt: skip
def test_clients_that_ask_too_often_are_cut_off(consumer: Recorder, policy: dict[str, Any], is_cut_off: bool) -> None:
    with (
        receiving(consumer, keepalive={"enforcement_policy": policy}) as receiver,
        socket.create_connection(split_endpoint(receiver.endpoint), timeout=0.05) as raw,
    ):
        raw.sendall(PREFACE)
        got, is_closed = b"", False
        for _ in range(6):
            time.sleep(0.01)
            try:
                raw.sendall(PING)
                part = raw.recv(65536)
            except TimeoutError:
                continue
            except ConnectionError:
                part = b""
            got += part
            is_closed |= not part
    assert is_closed == (b"too_many_pings" in got) == is_cut_off


def test_old_connections_are_closed_and_clients_come_again(consumer: Recorder) -> None:
    keepalive = {"server_parameters": {"max_connection_age": "200ms", "max_connection_age_grace": "100ms"}}
    with receiving(consumer, keepalive=keepalive) as receiver:
        with socket.create_connection(split_endpoint(receiver.endpoint), timeout=10) as raw:
            raw.sendall(PREFACE)
            assert any(kind == GOAWAY for kind, _, _ in frames(raw))
        with grpc.insecure_channel(receiver.endpoint) as channel:
            for _ in range(3):
                assert channel.unary_unary(TRACES)(b"", timeout=10, wait_for_ready=True) == b""
                time.sleep(0.2)


@pytest.mark.parametrize(
    "keepalive",
    [
        {
            "server_parameters": {"time": "100ms", "timeout": "100ms"},
            "enforcement_policy": {"permit_without_stream": True},
        },
        {"server_parameters": {"max_connection_idle": "200ms"}},
    ],
    ids=["asked", "idle"],
)
def test_a_dead_client_is_noticed(consumer: Recorder, keepalive: dict[str, Any]) -> None:
    with (
        receiving(consumer, keepalive=keepalive) as receiver,
        socket.create_connection(split_endpoint(receiver.endpoint), timeout=10) as raw,
    ):
        raw.sendall(PREFACE)
        began = time.monotonic()
        for _ in frames(raw):  # nothing is answered, neither settings nor pings
            pass
        assert time.monotonic() - began < 8


@pytest.mark.parametrize("beginning", [b"", PREFACE[:10]], ids=["silent", "half a preface"])
def test_a_client_that_never_says_what_it_speaks_is_closed(
    consumer: Recorder, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    monkeypatch.setattr("bmad_processor.receive.grpc_options._HANDSHAKE_MS", 200)
    with (
        receiving(consumer) as receiver,
        socket.create_connection(split_endpoint(receiver.endpoint), timeout=10) as raw,
    ):
        raw.sendall(beginning)
        assert list(frames(raw)) is not None, "it ends"


def test_half_open_in_a_body_is_noticed_and_leaves_nothing(consumer: Recorder) -> None:
    """The client is gone in the middle of a request: neither data nor answers to pings come any more."""
    keepalive = {"server_parameters": {"time": "200ms", "timeout": "200ms"}}
    with receiving(consumer, keepalive=keepalive) as receiver, Relay(receiver.endpoint, stop_after=300_000) as relay:
        with grpc.insecure_channel(relay.endpoint, [OWN]) as channel:
            call = channel.unary_unary(TRACES).future(spans_body(name="x" * 2_000_000), timeout=30)
            assert relay.was_closed.wait(10), "the connection was given up"
            call.cancel()
        with grpc.insecure_channel(receiver.endpoint, [OWN]) as channel:
            assert channel.unary_unary(TRACES)(b"", timeout=10) == b""
        assert receiver._pool.in_hand == 0
    assert len(consumer.got) == 1


def test_further_connections_are_closed(consumer: Recorder) -> None:
    with receiving(consumer, max_connections=2) as receiver:
        address = split_endpoint(receiver.endpoint)
        first, second = (socket.create_connection(address, timeout=10) for _ in range(2))
        for raw in (first, second):
            raw.sendall(PREFACE)
            assert raw.recv(9)
        with socket.create_connection(address, timeout=10) as third:
            third.sendall(PREFACE)
            assert third.recv(1000) == b""
        first.close()
        second.close()
        with grpc.insecure_channel(receiver.endpoint) as channel:
            assert channel.unary_unary(TRACES)(b"", timeout=10, wait_for_ready=True) == b""


def test_further_calls_are_told_to_come_again(consumer: Recorder) -> None:
    consumer.delay_s = 0.05
    consumer.may_wait = True
    with receiving(consumer, max_concurrent_requests=20, max_concurrent_streams=1000) as receiver:
        with grpc.insecure_channel(receiver.endpoint) as channel:
            export = channel.unary_unary(TRACES)
            calls = [export.future(spans_body(), timeout=20) for _ in range(100)]
            codes = [code_of(call) for call in calls]
            assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
            status = rpc_status.from_call(calls[codes.index(grpc.StatusCode.UNAVAILABLE)])
            info = RetryInfo()
            assert status is not None
            assert status.details[0].Unpack(info)
            assert info.retry_delay.seconds == 1
            assert export(spans_body(), timeout=20) == b""
        assert receiver.counters()["refused_unavailable"] == codes.count(grpc.StatusCode.UNAVAILABLE)
    assert len(consumer.got) == codes.count(grpc.StatusCode.OK) + 1


def test_more_calls_than_the_library_would_let_wait_are_all_answered(consumer: Recorder) -> None:
    """Above 1000 waiting calls gRPC's core would say RESOURCE_EXHAUSTED, and senders would drop what they have."""
    consumer.delay_s = 0.0005
    with (
        receiving(consumer, max_concurrent_streams=2000) as receiver,
        grpc.insecure_channel(receiver.endpoint) as channel,
    ):
        export = channel.unary_unary(TRACES)
        calls = [export.future(b"", timeout=30) for _ in range(1800)]
        assert {code_of(call) for call in calls} == {grpc.StatusCode.OK}


def test_a_waiting_consumer_has_many_at_once(consumer: Recorder) -> None:
    consumer.delay_s = 0.3
    consumer.may_wait = True
    with receiving(consumer) as receiver, grpc.insecure_channel(receiver.endpoint) as channel:
        export = channel.unary_unary(TRACES)
        began = time.monotonic()
        calls = [export.future(b"", timeout=20) for _ in range(16)]
        assert {code_of(call) for call in calls} == {grpc.StatusCode.OK}
        assert time.monotonic() - began < 2
    assert 8 < consumer.most_at_once <= 16


def test_senders_that_never_send_do_not_hold_up_a_waiting_consumer(consumer: Recorder) -> None:
    consumer.may_wait = True
    with receiving(consumer) as receiver, grpc.insecure_channel(receiver.endpoint, [OWN]) as channel:
        ended = threading.Event()

        def silence() -> Iterator[bytes]:
            ended.wait(30)
            yield from ()

        slow = [channel.stream_unary(TRACES).future(silence()) for _ in range(30)]
        with grpc.insecure_channel(receiver.endpoint, [OWN]) as other:
            assert other.unary_unary(TRACES)(b"", timeout=20) == b""
        for call in slow:
            call.cancel()
        ended.set()


@pytest.mark.parametrize("may_wait", [False, True])
def test_calls_given_up_before_they_are_received_leave_nothing(consumer: Recorder, may_wait: bool) -> None:
    consumer.may_wait = may_wait
    ended = threading.Event()

    def silence() -> Iterator[bytes]:
        ended.wait(30)
        yield from ()

    with receiving(consumer) as receiver:
        for n in range(1, 6):
            with grpc.insecure_channel(receiver.endpoint, [OWN]) as channel:
                slow = [channel.stream_unary(TRACES).future(silence()) for _ in range(50)]
                eventually(lambda: receiver._pool.in_hand >= 20)  # a few are received, the others wait
                for call in slow:
                    call.cancel()
            with grpc.insecure_channel(receiver.endpoint, [OWN]) as other:
                assert other.unary_unary(TRACES)(b"", timeout=10) == b""
            eventually(lambda: receiver._pool.in_hand == 0)
            assert len(consumer.got) == n
        ended.set()


# Where it listens -----------------------------------------------------------------------------------------------------


def make(protocol: str, consumer: Recorder, **options: Any) -> GrpcReceiver | HttpReceiver:
    if protocol == "grpc":
        return GrpcReceiver(GrpcConfig(**options), consumer)
    return HttpReceiver(HttpConfig(**options), consumer)


def send(protocol: str, path: str) -> None:
    if protocol == "grpc":
        with grpc.insecure_channel(f"unix:{path}", [OWN]) as channel:
            assert channel.unary_unary(TRACES)(b"", timeout=10) == b""
        return
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(path)
        raw.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    b"Content-Length: 2\r\n\r\n{}")  # fmt: skip
        assert raw.recv(1000).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_socket_files(protocol: str, consumer: Recorder, tmp_path: Path) -> None:
    path = str(tmp_path / "otlp.sock")
    for _ in range(2):
        receiver = make(protocol, consumer, endpoint=path, transport="unix")
        receiver.start()
        assert receiver.endpoint == path
        send(protocol, path)
        with pytest.raises(StartError, match=f"{path}.*in use"):
            make(protocol, consumer, endpoint=path, transport="unix").start()
        send(protocol, path)  # nothing was taken from the one that listens
        receiver.stop(2)
        assert not os.path.lexists(path)
        with socket.socket(socket.AF_UNIX) as left_behind:  # as by a process that was killed
            left_behind.bind(path)
    assert len(consumer.got) == 4


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_what_is_no_socket_is_left_alone(protocol: str, consumer: Recorder, tmp_path: Path) -> None:
    file = tmp_path / "precious"
    file.write_text("data")
    for path in (str(file), str(tmp_path / "missing" / "otlp.sock"), str(tmp_path)):
        receiver = make(protocol, consumer, endpoint=path, transport="unix")
        with pytest.raises(StartError, match=path):
            receiver.start()
        receiver.stop(1)
    assert file.read_text() == "data"


def test_somebody_elses_socket_file_stays(consumer: Recorder, tmp_path: Path) -> None:
    path = tmp_path / "otlp.sock"
    receiver = make("http", consumer, endpoint=str(path), transport="unix")
    receiver.start()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        receiver.stop(2)
        assert stat.S_ISSOCK(path.stat().st_mode)


def test_a_shared_port(consumer: Recorder) -> None:
    other = Recorder()
    with (
        receiving(consumer, reuse_port=True) as first,
        receiving(other, reuse_port=True, endpoint=first.endpoint) as second,
    ):
        assert first.endpoint == second.endpoint

        def send(_: int) -> None:
            with grpc.insecure_channel(first.endpoint, [OWN]) as channel:
                channel.unary_unary(TRACES)(b"", timeout=10)

        with ThreadPoolExecutor(4) as pool:
            eventually(lambda: bool(list(pool.map(send, range(8))) and consumer.got and other.got))
    http = [HttpReceiver(HttpConfig(endpoint="127.0.0.1:0"), consumer, reuse_port=True)]
    http[0].start()
    http.append(HttpReceiver(HttpConfig(endpoint=http[0].endpoint), consumer, reuse_port=True))
    http[1].start()
    with pytest.raises(StartError):
        HttpReceiver(HttpConfig(endpoint=http[0].endpoint), consumer).start()
    for receiver in http:
        receiver.stop(1)
