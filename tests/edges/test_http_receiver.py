"""OTLP/HTTP receiver: the specification's answers, bad input included, seen by real HTTP clients."""

from __future__ import annotations

import gzip
import http.client
import json
import logging
import resource
import select
import socket
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from google.protobuf.json_format import ParseDict
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from bmad_processor.errors import Malformed, Overloaded, StartError, TooLarge
from bmad_processor.log_lines import Sampler, Sampling
from bmad_processor.model import Signal
from bmad_processor.quantities import split_endpoint
from bmad_processor.receive import Accepted, AsgiServer, HttpConfig, HttpReceiver

from .conftest import LIMIT
from .peers import Recorder, eventually, spans_body
from .sdk_senders import send_all

PB = {"content-type": "application/x-protobuf"}
JS = {"content-type": "application/json"}


@pytest.fixture
def client(http_receiver: HttpReceiver) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"http://{http_receiver.endpoint}", timeout=30) as client:
        yield client


def status_of(response: httpx2.Response, content_type: str) -> Status:
    """Every refusal is a google.rpc.Status with a message, in the content type of the request."""
    assert response.headers["content-type"] == content_type
    if content_type == "application/json":
        status = ParseDict(response.json(), Status())
    else:
        status = Status.FromString(response.content)
    assert status.message
    return status


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_sdk_exporters_arrive(http_receiver: HttpReceiver, consumer: Recorder, compression: Compression) -> None:
    base = f"http://{http_receiver.endpoint}/v1"
    options: dict[str, Any] = {"compression": compression, "timeout": 10}
    send_all(
        OTLPSpanExporter(f"{base}/traces", **options),
        OTLPMetricExporter(f"{base}/metrics", **options),
        OTLPLogExporter(f"{base}/logs", **options),
    )
    assert {signal for signal, _ in consumer.got} == set(Signal)


@pytest.mark.parametrize("signal", list(Signal))
@pytest.mark.parametrize("encoding", [None, "identity", "gzip", "GZIP"])
def test_full_success(client: httpx2.Client, consumer: Recorder, signal: Signal, encoding: str | None) -> None:
    headers = PB | ({"content-encoding": encoding} if encoding else {})
    content = gzip.compress(b"") if encoding and encoding.lower() == "gzip" else b""
    for path in (f"/v1/{signal}", f"/v1/{signal}/", f"/v1/{signal}?x=1"):
        response = client.post(path, content=content, headers=headers)
        assert (response.status_code, response.content) == (200, b"")
        assert response.headers["content-type"] == "application/x-protobuf"
    content = gzip.compress(b"{}") if encoding and encoding.lower() == "gzip" else b"{}"
    headers["content-type"] = "application/json; charset=utf-8"
    response = client.post(f"/v1/{signal}", content=content, headers=headers)
    assert (response.status_code, response.content) == (200, b"{}")
    assert response.headers["content-type"] == "application/json"
    assert consumer.got == [(signal, b"")] * 4


def test_partial_success(client: httpx2.Client, consumer: Recorder) -> None:
    consumer.answer = Accepted(2, "two are bad")
    response = client.post("/v1/traces", content=spans_body(3), headers=PB)
    assert response.status_code == 200
    partial = ExportTraceServiceResponse.FromString(response.content).partial_success
    assert (partial.rejected_spans, partial.error_message) == (2, "two are bad")
    response = client.post("/v1/logs", content=b"{}", headers=JS)
    assert response.json() == {"partialSuccess": {"rejectedLogRecords": "2", "errorMessage": "two are bad"}}
    consumer.answer = Accepted(0, "only a warning")
    response = client.post("/v1/metrics", content=b"{}", headers=JS)
    assert response.json() == {"partialSuccess": {"errorMessage": "only a warning"}}


@pytest.mark.parametrize("headers", [PB, JS])
def test_garbage_is_400_with_bad_request(client: httpx2.Client, consumer: Recorder, headers: dict[str, str]) -> None:
    response = client.post("/v1/traces", content=b"\xff\xff\xff garbage", headers=headers)
    assert response.status_code == 400
    status = status_of(response, headers["content-type"])
    assert status.code == 3
    details = BadRequest()
    assert status.details[0].Unpack(details)
    assert details.field_violations[0].description == status.message
    assert not consumer.got


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/x-protobuffer", "application/grpc"])
def test_other_content_types_are_415(client: httpx2.Client, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    response = client.post("/v1/traces", content=spans_body(), headers=headers)
    assert response.status_code == 415
    status_of(response, "application/json")


@pytest.mark.parametrize("encoding", ["br", "snappy", "gzip, gzip", "nonsense"])
@pytest.mark.parametrize("headers", [PB, JS])
def test_unknown_content_encoding_is_415(client: httpx2.Client, encoding: str, headers: dict[str, str]) -> None:
    response = client.post("/v1/traces", content=b"{}", headers=headers | {"content-encoding": encoding})
    assert response.status_code == 415
    status_of(response, headers["content-type"])


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_405(client: httpx2.Client, method: str) -> None:
    response = client.request(method, "/v1/traces", headers=PB)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    status_of(response, "application/x-protobuf")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/profiles", "/v1/traces/x", "/V1/traces", "/v1/trac%65s%00"])
def test_other_paths_are_404(client: httpx2.Client, path: str) -> None:
    response = client.post(path, content=b"{}", headers=JS)
    assert response.status_code == 404
    status_of(response, "application/json")


@pytest.mark.parametrize("headers", [PB, JS])
def test_overloaded_is_503_with_retry_after(client: httpx2.Client, consumer: Recorder, headers: dict[str, str]) -> None:
    consumer.answer = Overloaded("queue full", retry_after_s=1.2)
    response = client.post("/v1/metrics", content=b"" if headers is PB else b"{}", headers=headers)
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert status_of(response, headers["content-type"]).code == 14


def test_what_the_consumer_refuses(client: httpx2.Client, consumer: Recorder) -> None:
    for error, code in ((Malformed("x" * 10_000), 400), (TooLarge("big"), 413)):
        consumer.answer = error
        response = client.post("/v1/traces", content=b"", headers=PB)
        assert response.status_code == code
        assert len(status_of(response, "application/x-protobuf").message) <= 1024


def test_our_bug_is_500_logged_once_and_survived(
    client: httpx2.Client, consumer: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    consumer.answer = ZeroDivisionError("secret")
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            response = client.post("/v1/traces", content=b"", headers=PB)
            assert response.status_code == 500
            assert "secret" not in status_of(response, "application/x-protobuf").message
    said = [record for record in caplog.records if record.name == "bmad_otel.collector"]
    sampler = Sampler(Sampling(initial=1, thereafter=0))
    assert [sampler.filter(record) for record in said] == [True] + [False] * 4, "one message, of which one is enough"
    consumer.answer = Accepted()
    assert client.post("/v1/traces", content=b"", headers=PB).status_code == 200


# Sizes ----------------------------------------------------------------------------------------------------------------


def chunks(total: int, size: int = 2**20) -> Iterator[bytes]:
    for start in range(0, total, size):
        yield bytes(min(size, total - start))


def test_declared_length_over_the_limit_is_413_and_the_connection_lives(client: httpx2.Client) -> None:
    response = client.post("/v1/traces", content=bytes(100 * 2**20), headers=PB)
    assert response.status_code == 413
    assert status_of(response, "application/x-protobuf").code == 8
    assert client.post("/v1/traces", content=b"", headers=PB).status_code == 200


def test_chunked_body_over_the_limit_is_413(client: httpx2.Client, consumer: Recorder) -> None:
    response = client.post("/v1/traces", content=chunks(LIMIT + 1), headers=PB)
    assert response.status_code == 413
    status_of(response, "application/x-protobuf")
    assert not consumer.got


@pytest.mark.parametrize("is_chunked", [True, False])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_body_at_the_limit_is_taken_and_one_more_is_not(
    client: httpx2.Client, consumer: Recorder, encoding: str, is_chunked: bool
) -> None:
    fits = spans_body(name="x" * (LIMIT - 50))
    fits = spans_body(name="x" * (LIMIT - 50 + LIMIT - len(fits)))
    assert len(fits) == LIMIT
    for body, code in ((fits, 200), (fits + b"\0", 413)):
        content = gzip.compress(body, 1) if encoding == "gzip" else body
        response = client.post(
            "/v1/traces",
            content=iter([content]) if is_chunked else content,
            headers=PB | {"content-encoding": encoding},
        )
        assert response.status_code == code
    assert [body for _, body in consumer.got] == [fits]


def test_gzip_bomb_costs_no_memory(client: httpx2.Client, consumer: Recorder) -> None:
    press = zlib.compressobj(wbits=31)
    zeros = bytes(2**20)
    bomb = b"".join(press.compress(zeros) for _ in range(128)) + press.flush()
    assert len(bomb) < 2**20  # 128 MiB of zeros
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    response = client.post("/v1/traces", content=bomb, headers=PB | {"content-encoding": "gzip"})
    assert response.status_code == 413
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024  # KiB
    assert not consumer.got


@pytest.mark.parametrize("damage", [lambda d: d[:-9], lambda d: d[:5], lambda d: b"", lambda d: b"\0" + d,
                                    lambda d: d[:-6] + b"\0" + d[-5:], lambda d: d + b"trailing"])  # fmt: skip
def test_damaged_gzip_is_400(client: httpx2.Client, consumer: Recorder, damage: Any) -> None:
    response = client.post(
        "/v1/traces", content=damage(gzip.compress(spans_body(50))), headers=PB | {"content-encoding": "gzip"}
    )
    assert response.status_code == 400
    status_of(response, "application/x-protobuf")
    assert not consumer.got


def test_large_json_does_not_hold_up_others(client: httpx2.Client, consumer: Recorder) -> None:
    record = {"body": {"stringValue": "x" * 100}, "timeUnixNano": "1"}
    large = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record] * 20_000}]}]}).encode()
    assert len(large) < LIMIT
    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(client.post, "/v1/logs", content=large, headers=JS)
        time.sleep(0.05)
        assert client.post("/v1/traces", content=b"", headers=PB).status_code == 200
        assert answered.result().status_code == 200
    assert [signal for signal, _ in consumer.got] == [Signal.TRACES, Signal.LOGS]


def test_many_large_bodies_at_once_are_told_to_wait(http_receiver: HttpReceiver, client: httpx2.Client) -> None:
    # each connection keeps an unfinished body of just below the limit in our memory
    open_ones = []
    try:
        for _ in range(6):
            raw = socket.create_connection(split_endpoint(http_receiver.endpoint))
            open_ones.append(raw)
            raw.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n")
            raw.sendall(b"Content-Length: %d\r\n\r\n" % LIMIT)
            raw.sendall(bytes(LIMIT - 1000))
        # four fit; which two are refused depends on whose bytes came last
        eventually(lambda: len(select.select(open_ones, [], [], 0)[0]) == 2)
        for raw in select.select(open_ones, [], [], 0)[0]:
            answer = raw.recv(1000)
            assert b"503 Service Unavailable" in answer
            assert b"retry-after: 1" in answer
    finally:
        for raw in open_ones:
            raw.close()
    eventually(lambda: client.post("/v1/traces", content=spans_body(), headers=PB).status_code == 200)


# Connections ----------------------------------------------------------------------------------------------------------


def exchange(endpoint: str, data: bytes, *, timeout_s: float = 10) -> bytes:
    """Send raw bytes, half-close, read everything."""
    with socket.create_connection(split_endpoint(endpoint), timeout=timeout_s) as raw:
        raw.sendall(data)
        raw.shutdown(socket.SHUT_WR)
        answer = b""
        while part := raw.recv(65536):
            answer += part
        return answer


def test_content_length_too_long_is_no_request(http_receiver: HttpReceiver, consumer: Recorder) -> None:
    head = (
        b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\n"
    )
    raw = socket.create_connection(split_endpoint(http_receiver.endpoint))
    raw.sendall(head + spans_body())
    raw.close()
    time.sleep(0.1)
    assert not consumer.got


def test_content_length_too_short_is_refused_behind_it(http_receiver: HttpReceiver, consumer: Recorder) -> None:
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
    answer = exchange(http_receiver.endpoint, head + b"\x00\x01garbage\r\n\r\n")
    assert b"400 Bad Request" in answer
    assert consumer.got in ([], [(Signal.TRACES, b"")])


def test_no_http_at_all_is_answered_with_a_status(http_receiver: HttpReceiver) -> None:
    answer = exchange(http_receiver.endpoint, b"\x16\x03\x01\x02\x00\x01 TLS hello\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body)["message"]


def test_chunked_body_without_content_length(http_receiver: HttpReceiver, consumer: Recorder) -> None:
    host, port = split_endpoint(http_receiver.endpoint)
    connection = http.client.HTTPConnection(host, port, timeout=10)
    body = spans_body(10)
    parts = [body[i : i + 7] for i in range(0, len(body), 7)]
    connection.request("POST", "/v1/traces", iter(parts), PB, encode_chunked=True)
    assert connection.getresponse().read() == b""
    connection.request("POST", "/v1/traces", b"", PB)  # the connection is kept
    assert connection.getresponse().status == 200
    connection.close()
    assert consumer.got == [(Signal.TRACES, body), (Signal.TRACES, b"")]


@pytest.mark.parametrize("head", [b"GET /" + b"x" * 500_000, b"GET / HTTP/1.1\r\nA: " + b"x" * 500_000,
                                  b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 80_000])  # fmt: skip
def test_endless_headers_are_cut_off(http_receiver: HttpReceiver, head: bytes) -> None:
    with socket.create_connection(split_endpoint(http_receiver.endpoint), timeout=10) as raw:
        try:
            raw.sendall(head)
            answer = raw.recv(100)
        except ConnectionError:
            return  # closed while we were still sending
        assert answer.startswith(b"HTTP/1.1 431 ")


def test_port_in_use_is_a_start_error(http_receiver: HttpReceiver, consumer: Recorder) -> None:
    with pytest.raises(StartError, match=http_receiver.endpoint):
        HttpReceiver(HttpConfig(endpoint=http_receiver.endpoint), consumer).start()


def test_host_name_listens_on_all_its_addresses(consumer: Recorder) -> None:
    receiver = HttpReceiver(HttpConfig(endpoint="localhost:0"), consumer)
    receiver.start()
    host, port = split_endpoint(receiver.endpoint)
    assert host == "localhost"
    for _, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        socket.create_connection(address[:2], timeout=5).close()
    receiver.stop(2)


def test_same_port_again_after_stop(consumer: Recorder) -> None:
    endpoint = "127.0.0.1:0"
    for _ in range(3):
        receiver = HttpReceiver(HttpConfig(endpoint=endpoint), consumer)
        receiver.start()
        endpoint = receiver.endpoint
        httpx2.post(f"http://{endpoint}/v1/traces", content=b"", headers=PB)
        receiver.stop(2)
        receiver.stop(2)
    assert len(consumer.got) == 3


def test_stop_finishes_what_is_in_flight(
    http_receiver: HttpReceiver, consumer: Recorder, client: httpx2.Client
) -> None:
    consumer.delay_s = 0.3
    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(client.post, "/v1/traces", content=spans_body(), headers=PB)
        eventually(lambda: consumer.most_at_once == 1)
        http_receiver.stop(5)
        assert answered.result().status_code == 200
        assert len(consumer.got) == 1


def test_stop_tells_a_half_sent_request_to_come_again(http_receiver: HttpReceiver, consumer: Recorder) -> None:
    with socket.create_connection(split_endpoint(http_receiver.endpoint), timeout=10) as raw:
        raw.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        raw.sendall(b"Content-Length: 2\r\n\r\n{")
        time.sleep(0.1)
        http_receiver.stop(0.2)
        answer = raw.recv(1000)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in answer
    assert not consumer.got


def test_stop_does_not_wait_for_a_hanging_application() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    server = AsgiServer(app, "127.0.0.1:0")
    server.start()
    with socket.create_connection(split_endpoint(server.endpoint)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(0.1)
        began = time.monotonic()
        server.stop(0.5)
        assert time.monotonic() - began < 2
