"""H1 to H6, H10, H16, H18 to H20: OTLP/HTTP."""

from __future__ import annotations

import gzip
import time
from typing import Any

import pytest
from google.rpc.error_details_pb2 import BadRequest

from . import messages
from .broken import broken_requests, is_about_text
from .clients import HttpClient, HttpReply, exchange
from .conftest import BROWSERS, Start
from .messages import JSON, PROTOBUF, REQUESTS, SIGNALS, unique
from .targets import Server

TYPES = [PROTOBUF, JSON]


def encoded(message: Any, content_type: str) -> bytes:
    return bytes(message.SerializeToString()) if content_type == PROTOBUF else messages.to_json(message)


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("signal", SIGNALS)
def test_h1_post(server: Server, web: HttpClient, signal: str, content_type: str) -> None:
    name = unique("h1")
    web.post(signal, encoded(messages.named(signal, name), content_type), content_type).response(signal)
    server.delivers(name)


@pytest.mark.parametrize("signal", SIGNALS)
def test_h2_paths(server: Server, web: HttpClient, signal: str) -> None:
    name = unique("h2")
    reply = web.send("POST", f"/v1/{signal}", messages.body(signal, name), content_type=PROTOBUF)
    assert reply.status == 200
    server.delivers(name)


@pytest.mark.parametrize("suffix", ["/", "?tenant=1"])
def test_h2_beyond_a_slash_or_a_query_do_no_harm(server: Server, web: HttpClient, suffix: str) -> None:
    name = unique("h2")
    reply = web.send("POST", f"/v1/traces{suffix}", messages.body("traces", name), content_type=PROTOBUF)
    assert reply.status == 200
    server.delivers(name)


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("signal", SIGNALS)
def test_h4_success(web: HttpClient, signal: str, content_type: str) -> None:
    reply = web.post(signal, encoded(messages.named(signal, unique("h4")), content_type), content_type)
    assert reply.status == 200
    reply.response(signal)


@pytest.mark.parametrize("parameters", ["", "; charset=utf-8", ";charset=UTF-8"])
@pytest.mark.parametrize("content_type", TYPES)
def test_h3_content_type_of_success(web: HttpClient, content_type: str, parameters: str) -> None:
    body = encoded(messages.named("traces", unique("h3")), content_type)
    reply = web.post("traces", body, content_type + parameters)
    assert (reply.status, reply.content_type) == (200, content_type)


@pytest.mark.parametrize("content_type", TYPES)
def test_h3_content_type_of_a_refusal(web: HttpClient, content_type: str) -> None:
    reply = web.post("traces", b"\xff\xff garbage", content_type)
    assert (reply.status, reply.content_type) == (400, content_type)


def refusals(web: HttpClient, content_type: str) -> dict[str, HttpReply]:
    """One of every kind that needs no special server."""
    return {
        "garbage": web.post("traces", b"\xff\xff garbage", content_type),
        "unknown encoding": web.post("traces", b"", content_type, content_encoding="nonsense"),
        "broken gzip": web.post("traces", b"no gzip", content_type, content_encoding="gzip"),
        "unknown path": web.send("POST", "/v1/nothing", b"", content_type=content_type),
        "method": web.send("PUT", "/v1/traces", b"", content_type=content_type),
    }


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("what", ["garbage", "unknown encoding", "broken gzip", "unknown path", "method"])
def test_h5_every_refusal_is_a_status(web: HttpClient, what: str, content_type: str) -> None:
    refusals(web, content_type)[what].refusal(content_type)


@pytest.mark.parametrize("content_type", ["text/plain", "application/grpc", ""])
def test_h5_other_content_types_get_a_status(web: HttpClient, content_type: str) -> None:
    web.post("traces", b"x", content_type).refusal()


@pytest.mark.parametrize("content_type", TYPES)
def test_h5_too_large_is_a_status(limited: Server, content_type: str) -> None:
    reply = HttpClient(limited.http).post("traces", bytes(2**21), content_type)
    reply.refusal(content_type)


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("signal", SIGNALS)
def test_h6_garbage_is_400(web: HttpClient, signal: str, content_type: str) -> None:
    for body in (b"\xff\xff\xff garbage", encoded(messages.named(signal, "x"), content_type)[:-1], b"["):
        assert web.post(signal, body, content_type).status == 400, body


@pytest.mark.parametrize("content_type", TYPES)
def test_h6_beyond_bad_request_says_what(web: HttpClient, content_type: str) -> None:
    status = web.post("traces", b"\xff\xff garbage", content_type).refusal(content_type)
    details = BadRequest()
    assert status.details
    assert status.details[0].Unpack(details)
    assert details.field_violations[0].description


@pytest.mark.parametrize("signal", SIGNALS)
def test_h6_every_field_broken(web: HttpClient, signal: str) -> None:
    """What protobuf's own parser refuses, wherever it is in a request."""
    cases = broken_requests(REQUESTS[signal].DESCRIPTOR)
    assert len(cases) > 100
    _are_refused(web, signal, {where: body for where, body in cases.items() if not is_about_text(where)})


@pytest.mark.parametrize("signal", SIGNALS)
def test_h6_beyond_text_is_unicode(web: HttpClient, signal: str) -> None:
    """Parsers should check it, says protobuf; those in Go for OTLP do not, those in most other languages do."""
    cases = broken_requests(REQUESTS[signal].DESCRIPTOR)
    _are_refused(web, signal, {where: body for where, body in cases.items() if is_about_text(where)})


def _are_refused(web: HttpClient, signal: str, cases: dict[str, bytes]) -> None:
    statuses = web.pipeline(signal, list(cases.values()))
    taken = [where for where, status in zip(cases, statuses, strict=True) if status == 200]
    assert not taken, f"{len(taken)} of {len(cases)} broken requests were taken, such as {taken[:5]}"


def test_h10_beyond_names_of_encodings_are_in_any_case(server: Server, web: HttpClient) -> None:
    test_h10_content_encoding(server, web, "GZIP")


@pytest.mark.parametrize("encoding", ["gzip", "identity", ""])
def test_h10_content_encoding(server: Server, web: HttpClient, encoding: str) -> None:
    name = unique("h10")
    body = messages.body("traces", name)
    body = gzip.compress(body) if encoding.lower() == "gzip" else body
    assert web.post("traces", body, content_encoding=encoding).status == 200
    server.delivers(name)


@pytest.mark.parametrize("encoding", ["nonsense", "compress", "gzip, gzip, nonsense"])
def test_h10_unknown_encodings_are_refused(web: HttpClient, encoding: str) -> None:
    reply = web.post("traces", messages.body("traces", "x"), content_encoding=encoding)
    assert reply.status in (400, 415), reply.status


DAMAGE = {
    "cut off": lambda data: data[:-9],
    "no trailer": lambda data: data[:-8],
    "wrong checksum": lambda data: data[:-6] + b"\0" + data[-5:],
    "nothing": lambda data: b"",
    "not gzip": lambda data: b"\0" + data,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_h10_damaged_gzip_is_refused(web: HttpClient, damage: str) -> None:
    data = DAMAGE[damage](gzip.compress(messages.body("traces", *map(str, range(50)))))
    reply = web.post("traces", data, content_encoding="gzip")
    # an empty body is an empty request to those who do not look for gzip in nothing
    assert reply.status == 400 or (damage == "nothing" and reply.status == 200)


def test_h16_both_on_one_connection(server: Server, web: HttpClient) -> None:
    connection = web.connect()
    names = [unique("h16") for _ in TYPES]
    for name, content_type in zip(names, TYPES, strict=True):
        body = encoded(messages.named("traces", name), content_type)
        reply = exchange(connection, "POST", "/v1/traces", body, content_type=content_type)
        assert (reply.status, reply.content_type) == (200, content_type)
    connection.close()
    server.delivers(*names)


def test_h18_connections_are_kept(server: Server, web: HttpClient) -> None:
    connection = web.connect()
    names = [unique("h18") for _ in range(3)]
    for name in names:
        body = messages.body("traces", name)
        assert exchange(connection, "POST", "/v1/traces", body, content_type=PROTOBUF).status == 200
        assert connection.sock is not None, "it was closed"
    connection.close()
    server.delivers(*names)


def test_h18_beyond_answers_on_a_kept_connection_are_not_held_back(web: HttpClient) -> None:
    """40 ms are a delayed acknowledgement: headers and body were written apart, with Nagle's algorithm on."""
    connection = web.connect()
    body = messages.to_json(messages.named("traces", unique("h18")))
    took = []
    for _ in range(15):
        began = time.perf_counter()
        assert exchange(connection, "POST", "/v1/traces", body, content_type=JSON).status == 200
        took.append(time.perf_counter() - began)
    connection.close()
    assert sorted(took)[3] < 0.035


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_h19_other_methods_are_405(web: HttpClient, method: str) -> None:
    assert web.send(method, "/v1/traces", content_type=PROTOBUF).status == 405


def test_h19_beyond_405_says_what_is_allowed(web: HttpClient) -> None:
    assert "POST" in web.send("GET", "/v1/traces").headers.get("allow", "")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/nothing", "/v1/traces/x"])
def test_h19_other_paths_are_404(web: HttpClient, path: str) -> None:
    assert web.send("POST", path, b"", content_type=PROTOBUF).status == 404


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-protobuffer", "application/grpc"])
def test_h19_other_content_types_are_415(web: HttpClient, content_type: str) -> None:
    assert web.post("traces", b"", content_type).status == 415


@pytest.fixture
def browsers(start_for_session: Start) -> HttpClient:
    return HttpClient(start_for_session(BROWSERS).http)


def preflight(client: HttpClient, origin: str) -> HttpReply:
    return client.send(
        "OPTIONS", "/v1/traces", origin=origin, access_control_request_method="POST",
        access_control_request_headers="content-type",
    )  # fmt: skip


@pytest.mark.parametrize("origin", ["https://app.example", "https://eu.shop.example"])
def test_h20_allowed_origins(browsers: HttpClient, origin: str) -> None:
    reply = preflight(browsers, origin)
    assert reply.status in (200, 204)
    assert reply.headers["access-control-allow-origin"] == origin
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert "content-type" in reply.headers["access-control-allow-headers"].lower()
    assert reply.headers["access-control-max-age"] == "600"
    reply = browsers.post("traces", b"{}", JSON, origin=origin)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, origin)


@pytest.mark.parametrize("origin", ["https://app.example.evil.test", "http://app.example", "null"])
def test_h20_other_origins(browsers: HttpClient, origin: str) -> None:
    assert "access-control-allow-origin" not in preflight(browsers, origin).headers
    assert "access-control-allow-origin" not in browsers.post("traces", b"{}", JSON, origin=origin).headers


def test_h20_without_cors_nobody_is_allowed(web: HttpClient) -> None:
    assert "access-control-allow-origin" not in preflight(web, "https://app.example").headers
