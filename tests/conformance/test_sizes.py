"""C2 to C4, G2, H7: how large a request and a response may be."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from . import messages
from .clients import GrpcClient, HttpClient, grpc_client
from .conftest import LIMIT
from .messages import JSON, PROTOBUF, RESPONSES, unique
from .rows import NotApplicable
from .targets import Server

MIB = 2**20
DEFAULT_LIMIT = 64 * MIB
MAX_RESPONSE = 4 * MIB


@pytest.fixture(scope="module")
def limited_rpc(limited: Server) -> Iterator[GrpcClient]:
    with grpc_client(limited.grpc) as client:
        yield client


@pytest.fixture
def limited_web(limited: Server) -> HttpClient:
    return HttpClient(limited.http)


def of_size(n_bytes: int, name: str) -> bytes:
    """A logs request of exactly so many bytes."""
    record = messages.log_record(name)
    message = messages.request("logs", [record])
    filled = message.resource_logs[0].scope_logs[0].log_records[0].attributes.add(key="x")
    for _ in range(4):  # lengths of lengths settle
        filled.value.string_value = "x" * max(0, n_bytes - message.ByteSize() + len(filled.value.string_value))
    body = bytes(message.SerializeToString())
    assert len(body) == n_bytes
    return body


def bomb(n_mib: int) -> bytes:
    """A valid gzip body of so many MiB of zeros."""
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = bytes(MIB)
    block = press.compress(zeros) + press.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(n_mib):
        crc = zlib.crc32(zeros, crc)
    end = b"\x03\x00" + crc.to_bytes(4, "little") + (n_mib * MIB % 2**32).to_bytes(4, "little")
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block * n_mib + end


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_c2_over_grpc(limited: Server, limited_rpc: GrpcClient, compression: grpc.Compression) -> None:
    name = unique("c2")
    assert limited_rpc.export("logs", of_size(LIMIT, name), compression=compression).code is grpc.StatusCode.OK
    limited.delivers(name)
    reply = limited_rpc.export("logs", of_size(LIMIT + 1, unique("c2")), compression=compression)
    assert reply.code is not grpc.StatusCode.OK


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_c2_over_http(limited: Server, limited_web: HttpClient, compression: str, is_chunked: bool) -> None:
    _needs_http_limit(limited)
    headers = {"content_encoding": "gzip"} if compression == "gzip" else {}
    name = unique("c2")
    for body, is_taken in ((of_size(LIMIT, name), True), (of_size(LIMIT + 1, unique("c2")), False)):
        data = gzip.compress(body) if headers else body
        reply = limited_web.post("logs", iter([data]) if is_chunked else data, **headers)
        assert (reply.status == 200) is is_taken, reply.status
    limited.delivers(name)


def _needs_http_limit(limited: Server) -> None:
    if limited.child is not None and "rotel" in limited.child.log.lower():
        raise NotApplicable("no option for the limit over HTTP")


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_c2_a_bomb_costs_no_memory(limited: Server, limited_rpc: GrpcClient, limited_web: HttpClient, way: str) -> None:
    if limited.child is None:
        raise NotApplicable("its memory is not seen")
    before = limited.child.peak_bytes()
    if way == "http":
        reply = limited_web.post("logs", bomb(1024), content_encoding="gzip")
        assert reply.status != 200
    else:
        answer = limited_rpc.export("logs", bytes(128 * MIB), compression=grpc.Compression.Gzip)
        assert answer.code is not grpc.StatusCode.OK
    assert limited.child.peak_bytes() - before < 64 * MIB


@pytest.mark.faults
def test_c3_default_limit_over_grpc(server: Server, rpc: GrpcClient) -> None:
    fits = messages.request("logs", [messages.log_record("x" * (DEFAULT_LIMIT - 1000))]).SerializeToString()
    assert rpc.export("logs", fits, compression=grpc.Compression.Gzip, timeout_s=60).code is grpc.StatusCode.OK
    reply = rpc.export("logs", fits + bytes(2000), compression=grpc.Compression.Gzip, timeout_s=60)
    assert reply.code is not grpc.StatusCode.OK


@pytest.mark.faults
def test_c3_default_limit_over_http(server: Server, web: HttpClient) -> None:
    fits = messages.request("logs", [messages.log_record("x" * (DEFAULT_LIMIT - 1000))]).SerializeToString()
    assert web.post("logs", gzip.compress(fits, 1), content_encoding="gzip").status == 200
    assert web.post("logs", gzip.compress(fits + bytes(2000), 1), content_encoding="gzip").status != 200


def test_c4_thousands_of_bad_items(rpc: GrpcClient) -> None:
    items = [messages.span("bad", trace_id=b"t" * 15) for _ in range(20_000)]
    reply = rpc.export("traces", messages.request("traces", items).SerializeToString())
    assert len(reply.body) + len(reply.message) < MAX_RESPONSE
    if reply.code is grpc.StatusCode.OK:
        RESPONSES["traces"].FromString(reply.body)


@pytest.mark.parametrize("where", ["value", "name", "body"])
def test_c4_a_huge_mistake_is_not_sent_back(web: HttpClient, where: str) -> None:
    huge = "x" * (5 * MIB)
    wrong: dict[str, object] = {
        "value": {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": huge}]}]}]},
        "name": {"resourceLogs": [{huge: 1, "scopeLogs": 5}]},
        "body": huge,
    }
    reply = web.post("logs", json.dumps(wrong[where]).encode(), JSON)
    assert len(reply.body) < MAX_RESPONSE


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_g2_too_large(limited_rpc: GrpcClient, compression: grpc.Compression) -> None:
    reply = limited_rpc.export("logs", of_size(2 * LIMIT, unique("g2")), compression=compression)
    assert reply.code is grpc.StatusCode.RESOURCE_EXHAUSTED, (reply.code, reply.message)
    assert reply.detail(RetryInfo) is None


def test_g2_the_connection_lives_on(limited: Server, limited_rpc: GrpcClient) -> None:
    name = unique("g2")
    limited_rpc.export("logs", of_size(2 * LIMIT, unique("g2")))
    assert limited_rpc.export("logs", messages.body("logs", name)).code is grpc.StatusCode.OK
    limited.delivers(name)


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
@pytest.mark.parametrize("how", ["declared", "chunked", "gzip"])
def test_h7_too_large(web: HttpClient, limited: Server, how: str, content_type: str) -> None:
    # 80 MiB is beyond every known default, for those whose limit cannot be set
    client = HttpClient(limited.http)
    match how:
        case "declared":
            data = b"POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n{"
            answer = client.raw(data % (content_type.encode(), 80 * MIB))
            assert answer.startswith(b"HTTP/1.1 413 "), answer[:100]
            return
        case "chunked":
            reply = client.post("logs", (bytes(MIB) for _ in range(80)), content_type)
        case _:
            reply = client.post("logs", bomb(80), content_type, content_encoding="gzip")
    assert reply.status == 413, (reply.status, reply.body[:200])
