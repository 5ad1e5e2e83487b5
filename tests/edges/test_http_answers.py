"""What OTLP/HTTP answers beyond the body: CORS, compression, paths."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from backports import zstd
from google.rpc.status_pb2 import Status

from bmad_processor.errors import Malformed
from bmad_processor.model import Signal
from bmad_processor.receive import Accepted, HttpConfig, HttpReceiver

from .peers import Recorder, spans_body

PB = {"content-type": "application/x-protobuf"}
JS = {"content-type": "application/json"}


@contextmanager
def answering(consumer: Recorder, **options: Any) -> Iterator[httpx2.Client]:
    receiver = HttpReceiver(HttpConfig(endpoint="127.0.0.1:0", **options), consumer)
    receiver.start()
    with httpx2.Client(base_url=f"http://{receiver.endpoint}", timeout=30) as client:
        yield client
    receiver.stop(2)


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("zlib", zlib.compress), ("deflate", zlib.compress), ("zstd", zstd.compress)],
)
def test_encodings(consumer: Recorder, encoding: str, pack: Callable[[bytes], bytes]) -> None:
    body = spans_body(100)
    with answering(consumer, max_request_body_size="1MiB") as client:
        headers = PB | {"content-encoding": encoding}
        assert client.post("/v1/traces", content=pack(body), headers=headers).status_code == 200
        assert client.post("/v1/traces", content=pack(bytes(2**20 + 1)), headers=headers).status_code == 413
        assert client.post("/v1/traces", content=pack(body)[:-1], headers=headers).status_code == 400
    assert consumer.got == [(Signal.TRACES, body)]


@pytest.mark.parametrize(("accepts", "is_packed"), [
    ("gzip", True), ("deflate, gzip;q=0.5", True), ("*", True), ("identity", False), ("gzip;q=0", False), ("br", False),
])  # fmt: skip
def test_long_answers_are_compressed_on_request(consumer: Recorder, accepts: str, is_packed: bool) -> None:
    consumer.answer = Malformed("far too long " * 60)
    with answering(consumer) as client:
        headers = PB | {"accept-encoding": accepts}
        with client.stream("POST", "/v1/traces", content=b"", headers=headers) as response:
            raw = b"".join(response.iter_raw())
        assert (response.headers.get("content-encoding") == "gzip") == is_packed
        assert response.headers["vary"] == "Accept-Encoding"
        assert Status.FromString(gzip.decompress(raw) if is_packed else raw).code == 3
        consumer.answer = Accepted()
        with client.stream("POST", "/v1/traces", content=b"{}", headers=JS | {"accept-encoding": accepts}) as response:
            assert b"".join(response.iter_raw()) == b"{}"


def test_paths(consumer: Recorder) -> None:
    with answering(consumer, traces_url_path="/otlp/t", logs_url_path="/") as client:
        for path, code in (("/otlp/t", 200), ("/otlp/t/", 200), ("/", 200), ("/v1/metrics", 200), ("/v1/traces", 404)):
            assert client.post(path, content=b"", headers=PB).status_code == code
    assert [signal for signal, _ in consumer.got] == [Signal.TRACES, Signal.TRACES, Signal.LOGS, Signal.METRICS]


def test_strict_json(consumer: Recorder) -> None:
    body = b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": "SPAN_KIND_SERVER"}]}]}]}'
    for is_strict, code in ((False, 200), (True, 400)):
        with answering(consumer, strict_json=is_strict) as client:
            assert client.post("/v1/traces", content=body, headers=JS).status_code == code


CORS = {
    "allowed_origins": ["https://app.example", "https://*.shop.example", "http://localhost:*"],
    "allowed_headers": ["X-Tenant"],
    "exposed_headers": ["Retry-After"],
    "max_age": 600,
}


def preflight(client: httpx2.Client, origin: str, headers: str = "content-type", method: str = "POST") -> Any:
    asked = {"origin": origin, "access-control-request-method": method, "access-control-request-headers": headers}
    response = client.options("/v1/traces", headers=asked)
    assert response.status_code == 204
    assert response.content == b""
    return {k: v for k, v in response.headers.items() if k.startswith("access-control-")}


@pytest.mark.parametrize("origin", ["https://app.example", "https://a.shop.example", "http://localhost:3000",
                                    "https://a.b.shop.example"])  # fmt: skip
def test_preflight_of_an_allowed_origin(consumer: Recorder, origin: str) -> None:
    with answering(consumer, cors=CORS) as client:
        assert preflight(client, origin, "content-type, x-tenant") == {
            "access-control-allow-origin": origin,
            "access-control-allow-credentials": "true",
            "access-control-allow-methods": "POST",
            "access-control-allow-headers": "content-type, x-tenant",
            "access-control-max-age": "600",
        }
        response = client.post("/v1/traces", content=b"", headers=PB | {"origin": origin})
        assert response.headers["access-control-allow-origin"] == origin
        assert response.headers["access-control-expose-headers"] == "Retry-After"
        assert "Origin" in response.headers["vary"]
        response = client.post("/v1/traces", content=b"", headers={"origin": origin})
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (415, origin)


@pytest.mark.parametrize("origin", ["https://app.example.evil", "https://evil/.shop.example", "http://app.example",
                                    "https://shop.example", "null", "https://a.shop.example:8443"])  # fmt: skip
def test_others_get_no_permission(consumer: Recorder, origin: str) -> None:
    with answering(consumer, cors=CORS) as client:
        assert preflight(client, origin) == {}
        assert preflight(client, "https://app.example", "x-other") == {}
        assert preflight(client, "https://app.example", method="DELETE") == {}
        response = client.post("/v1/traces", content=b"", headers=PB | {"origin": origin})
        assert not [name for name in response.headers if name.startswith("access-control-")]


def test_a_bare_star_gives_no_credentials(consumer: Recorder) -> None:
    with answering(consumer, cors={"allowed_origins": ["*"], "allowed_headers": ["*"]}) as client:
        assert preflight(client, "https://anywhere", "x-any") == {
            "access-control-allow-origin": "*",
            "access-control-allow-methods": "POST",
            "access-control-allow-headers": "x-any",
        }


def test_without_cors_there_is_no_preflight(consumer: Recorder) -> None:
    with answering(consumer) as client:
        headers = {"origin": "https://a", "access-control-request-method": "POST"}
        assert client.options("/v1/traces", headers=headers).status_code == 405
