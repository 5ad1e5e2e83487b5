"""G1, G4, G7 to G9, G11: OTLP/gRPC."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest

from tests.edges.peers import eventually

from . import messages
from .clients import GrpcClient, HttpClient, grpc_client
from .conftest import TUNED, Launch, Start
from .messages import SIGNALS, unique
from .targets import Child, Server, Wish


@pytest.mark.parametrize("signal", SIGNALS)
def test_g1_export(server: Server, rpc: GrpcClient, signal: str) -> None:
    name = unique("g1")
    assert rpc.export(signal, messages.body(signal, name)).code is grpc.StatusCode.OK
    server.delivers(name)


@pytest.mark.parametrize(
    "method", ["/opentelemetry.proto.collector.trace.v1.TraceService/Import", "/no.such.Service/Export"]
)
def test_g1_anything_else_is_unimplemented(rpc: GrpcClient, method: str) -> None:
    assert rpc.call(method, b"").code is grpc.StatusCode.UNIMPLEMENTED


def test_g1_a_signal_nobody_takes_is_unimplemented(limited: Server) -> None:
    with grpc_client(limited.grpc) as client:
        assert client.export("metrics", messages.body("metrics", "x")).code is grpc.StatusCode.UNIMPLEMENTED


GARBAGE = {
    "no protobuf": b"\xff\xff\xff\xff garbage",
    "cut off": messages.body("traces", "x")[:-3],
    "a length beyond the end": b"\x0a\x7f\x00",
    "a field number of zero": b"\x00\x01",
}


@pytest.mark.parametrize("what", GARBAGE)
@pytest.mark.parametrize("signal", SIGNALS)
def test_g4_garbage(rpc: GrpcClient, signal: str, what: str) -> None:
    reply = rpc.export(signal, GARBAGE[what])
    assert reply.code is grpc.StatusCode.INVALID_ARGUMENT, (reply.code, reply.message)
    assert reply.message


def test_g4_beyond_bad_request_says_what(rpc: GrpcClient) -> None:
    details = rpc.export("traces", GARBAGE["no protobuf"]).detail(BadRequest)
    assert details is not None
    assert details.field_violations[0].description


@pytest.mark.parametrize("n", [1, 10, 100])
def test_g7_calls_at_once(server: Server, rpc: GrpcClient, n: int) -> None:
    names = [unique(f"g7-{i}") for i in range(n)]
    export = rpc.channel.unary_unary(messages.METHODS["traces"])
    calls = [export.future(messages.body("traces", name), timeout=30) for name in names]
    for call in calls:
        call.result()
    server.delivers(*names)


def ends_with_an_error(child: Child, *mentions: str) -> None:
    assert child.wait() != 0, child.log
    assert any(word in child.log for word in mentions), child.log


def taken_port(port: int) -> socket.socket | None:
    """Somebody listens there when this returns: we, or whoever was there before."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_g11_a_port_in_use(server: Server, launch: Launch, protocol: str) -> None:
    address = server.grpc if protocol == "grpc" else server.http
    wish = Wish(grpc=address, http=None) if protocol == "grpc" else Wish(grpc=None, http=address)
    ends_with_an_error(launch(wish), address.rpartition(":")[2], "in use")


def test_g8_default_port(launch: Launch) -> None:
    _default_port(launch, Wish(grpc="", http=None), 4317)


def test_h18_default_port(launch: Launch) -> None:
    _default_port(launch, Wish(grpc=None, http=""), 4318)


def _default_port(launch: Launch, wish: Wish, port: int) -> None:
    """The port is occupied, so that nothing is left listening there: it must be missed."""
    occupied = taken_port(port)
    try:
        ends_with_an_error(launch(wish), str(port), "in use")
    finally:
        if occupied is not None:
            occupied.close()


def settings_of(address: str) -> dict[int, int]:
    """The first SETTINGS frame of an HTTP/2 server: identifier to value."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\x00" + bytes(4))
        stream = connection.makefile("rb")
        head = stream.read(9)
        assert head[3] == 4, "the first frame is SETTINGS"
        payload = stream.read(int.from_bytes(head[:3], "big"))
    pairs = [payload[at : at + 6] for at in range(0, len(payload), 6)]
    return {int.from_bytes(pair[:2], "big"): int.from_bytes(pair[2:], "big") for pair in pairs}


MAX_CONCURRENT_STREAMS = 3


@pytest.fixture
def tuned(start_for_session: Start) -> Server:
    """At most seven streams per connection; pings allowed every 10 ms."""
    return start_for_session(TUNED)


def test_g9_streams_per_connection(tuned: Server) -> None:
    assert settings_of(tuned.grpc)[MAX_CONCURRENT_STREAMS] == 7


def pings_too_often(address: str) -> bool:
    """Whether a client that pings every 100 ms for 1.5 s is turned away (ENHANCE_YOUR_CALM)."""
    options = {
        "grpc__keepalive_time_ms": 100, "grpc__keepalive_permit_without_calls": 1,
        "grpc__http2__max_pings_without_data": 0, "grpc__http2__min_time_between_pings_ms": 100,
    }  # fmt: skip
    states: list[grpc.ChannelConnectivity] = []
    with grpc_client(address, **options) as client:
        client.channel.subscribe(states.append)
        assert client.export("traces", b"").code is grpc.StatusCode.OK
        time.sleep(1.5)
        client.channel.unsubscribe(states.append)
    return grpc.ChannelConnectivity.IDLE in states[1:] or grpc.ChannelConnectivity.TRANSIENT_FAILURE in states


@pytest.mark.faults
def test_g9_pings_as_often_as_allowed(tuned: Server) -> None:
    assert not pings_too_often(tuned.grpc)


@pytest.mark.faults
def test_g9_connections_have_an_age(start: Start) -> None:
    aged = start(Wish(keepalive={"server_parameters": {"max_connection_age": "1s", "max_connection_age_grace": "1s"}}))
    states: list[grpc.ChannelConnectivity] = []
    with grpc_client(aged.grpc) as client:
        client.channel.subscribe(states.append)
        name = unique("g9")
        assert client.export("traces", messages.body("traces", name)).code is grpc.StatusCode.OK
        eventually(lambda: grpc.ChannelConnectivity.IDLE in states[1:])
        assert client.export("traces", b"").code is grpc.StatusCode.OK, "and the next call connects again"
        client.channel.unsubscribe(states.append)
    aged.delivers(name)


def test_g9_beyond_unix_sockets(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "otlp.sock"
    listening = start(Wish(unix=path))
    name = unique("g9")
    with grpc_client(f"unix:{path}") as client:
        assert client.export("traces", messages.body("traces", name)).code is grpc.StatusCode.OK
    listening.delivers(name)


def test_h17_the_wrong_protocol_is_turned_away(server: Server, web: HttpClient) -> None:
    with grpc_client(server.http) as client:
        assert client.export("traces", b"", timeout_s=5).code is not grpc.StatusCode.DEADLINE_EXCEEDED
    with suppress(OSError):
        HttpClient(server.grpc).raw(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    name = unique("h17")
    web.post("traces", messages.body("traces", name)).response("traces")
    with grpc_client(server.grpc) as client:
        assert client.export("traces", b"").code is grpc.StatusCode.OK
    server.delivers(name)
