"""Writes the seeds of the corpus: small valid inputs of every kind, from which the fuzzer begins.

python -m tests.fuzz.seeds
"""

from __future__ import annotations

import gzip
import hashlib
import random
import zlib
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar, Histogram, HistogramDataPoint, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.conformance import messages
from tests.conformance.broken import broken_requests
from tests.conformance.messages import SIGNALS
from tests.decode import metric_points, strategies

CORPUS = Path(__file__).parent / "corpus"
EACH = 40
"""Examples from the property tests' strategies, per signal."""


def write(target: str, data: bytes) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    if len(data) <= 4096:
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()[:16]).write_bytes(data)


def http(body: bytes, *headers: str, path: str = "/v1/traces", piece: int = 255) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: x", *headers]
    if not any(header.startswith("Transfer-Encoding") for header in headers):
        head.append(f"Content-Length: {len(body)}")
    return bytes([piece]) + "\r\n".join([*head, "", ""]).encode() + body


def rich(signal: str) -> Any:
    """A request with every kind of value and point."""
    values = [
        AnyValue(int_value=-5), AnyValue(double_value=0.5), AnyValue(bool_value=True), AnyValue(bytes_value=b"\0\1"),
        AnyValue(array_value={"values": [AnyValue(string_value="a")]}), AnyValue(),
        AnyValue(kvlist_value={"values": [messages.attribute("k", "v")]}),
    ]  # fmt: skip
    attributes = [KeyValue(key=f"a{at}", value=value) for at, value in enumerate(values)]
    if signal == "traces":
        link = Span.Link(trace_id=b"l" * 16, span_id=b"l" * 8, attributes=attributes[:2])
        event = Span.Event(name="exception", time_unix_nano=messages.TIME_NS, attributes=attributes[:1])
        item: Any = messages.span("n", parent_span_id=b"p" * 8, attributes=attributes, events=[event], links=[link])
    elif signal == "logs":
        item = messages.log_record("n", trace_id=b"t" * 16, span_id=b"s" * 8, attributes=attributes, flags=1)
    else:
        exemplar = Exemplar(trace_id=b"t" * 16, span_id=b"s" * 8, as_double=1.5, filtered_attributes=attributes[:1])
        point = HistogramDataPoint(
            time_unix_nano=messages.TIME_NS, count=3, sum=2.5, bucket_counts=[1, 2], explicit_bounds=[1.0],
            attributes=attributes, exemplars=[exemplar],
        )  # fmt: skip
        item = Metric(name="h", unit="s", histogram=Histogram(data_points=[point, point], aggregation_temporality=2))
    return messages.request(signal, [item, item], resource=attributes[:3])


def main() -> None:
    quiet = settings(max_examples=EACH, phases=[Phase.generate], database=None, deadline=None,
                     suppress_health_check=list(HealthCheck))  # fmt: skip

    @seed(1)
    @quiet
    @given(strategies.requests())
    def traces(bodies: list[bytes]) -> None:
        write("traces", bodies[0])

    @seed(1)
    @quiet
    @given(metric_points.requests())
    def metrics(body: bytes) -> None:
        write("metrics", body)

    traces()
    metrics()
    rng = random.Random(1)
    for at, signal in enumerate(SIGNALS):
        whole = messages.named(signal, "a", "b")
        write(signal, whole.SerializeToString())
        write(signal, b"")
        for body in rng.sample(sorted(broken_requests(messages.REQUESTS[signal].DESCRIPTOR).values()), 4):
            write(signal, body)
        write("json", bytes([at]) + messages.to_json(whole))
        write("json", bytes([at]) + messages.to_json(rich(signal)))
        write(signal, rich(signal).SerializeToString())
    record = messages.log_record("c", trace_id=b"t" * 16, span_id=b"s" * 8, attributes=[messages.attribute("k", "v")])
    write("logs", messages.request("logs", [record]).SerializeToString())
    body = messages.body("traces", "x")
    for at, data in enumerate((gzip.compress(body, mtime=0), zlib.compress(body), b"", body)):
        write("body", bytes([at, 255]) + data)
        write("body", bytes([at, 5]) + data * 2)
    write("body", b"\0\xff" + gzip.compress(bytes(70_000), mtime=0))
    as_json = messages.to_json(messages.named("traces", "x"))
    protobuf, json = "Content-Type: application/x-protobuf", "Content-Type: application/json"
    write("http", http(body, protobuf))
    write("http", http(body, protobuf, piece=1) * 2)
    write("http", http(as_json, json))
    write("http", http(gzip.compress(body, mtime=0), protobuf, "Content-Encoding: gzip"))
    write("http", http(body, protobuf, "Expect: 100-continue", piece=2))
    write("http", http(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), protobuf, "Transfer-Encoding: chunked"))
    write("http", http(b"", protobuf, path="/nowhere"))
    write("http", b"\x05GET /v1/traces HTTP/1.0\r\n\r\n")
    write("http", b"\x05OPTIONS /v1/traces HTTP/1.1\r\nHost: x\r\nOrigin: https://a\r\n"
                  b"Access-Control-Request-Method: POST\r\n\r\n")  # fmt: skip


if __name__ == "__main__":
    main()
