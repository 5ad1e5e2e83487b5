"""OTLP exporters against real backends: bytes unchanged, every code of the specification mapped, retries in time."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import grpc
import httpx2
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from bmad_processor.emit import (
    ExportRequest,
    OtlpGrpcConfig,
    OtlpHttpConfig,
    Permanent,
    QueueConfig,
    RetryConfig,
    SendingQueue,
    Transient,
    build_exporter,
)
from bmad_processor.emit.otlp_grpc import GrpcSender
from bmad_processor.emit.otlp_http import HttpSender, parse_retry_after
from bmad_processor.errors import StartError
from bmad_processor.model import Signal
from bmad_processor.receive import GrpcConfig, GrpcReceiver, HttpConfig, HttpReceiver

from .peers import PATHS, UNKNOWN_FIELD, Recorder, eventually, grpc_backend, http_backend, spans_body
from .test_sending_queue import Done, VirtualTime

RETRYABLE_GRPC = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
REQUEST = ExportRequest(Signal.TRACES, spans_body(), 1)


def outcome(sender: Any, request: ExportRequest = REQUEST) -> Any:
    """What sending comes to: a number of rejected items, or the failure."""
    sender.open()
    try:
        return sender.send(request)
    except (Permanent, Transient) as failure:
        return failure
    finally:
        sender.close()


# Bytes unchanged ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_forwarding_is_byte_exact_unknown_fields_included(
    transport: str, compression: Any, grpc_receiver: GrpcReceiver, http_receiver: HttpReceiver, consumer: Recorder
) -> None:
    """Client -> receiver -> consumer -> exporter -> second receiver, over real sockets all the way."""
    body = spans_body(20) + UNKNOWN_FIELD
    exporter: Any
    if transport == "grpc":
        exporter = build_exporter(
            "otlp_grpc/next", "otlp_grpc",
            OtlpGrpcConfig(endpoint=f"http://{grpc_receiver.endpoint}", compression=compression),
        )  # fmt: skip
    else:
        exporter = build_exporter(
            "otlp_http/next", "otlp_http",
            OtlpHttpConfig(endpoint=f"http://{http_receiver.endpoint}/", compression=compression),
        )  # fmt: skip

    class Forwarder(Recorder):
        def consume(self, signal: Signal, body: bytes) -> Any:
            accepted = super().consume(signal, body)
            assert exporter.offer(ExportRequest(signal, body, 20))
            return accepted

    first = Forwarder()
    exporter.start()
    try:
        front: Any
        if transport == "grpc":
            front = GrpcReceiver(GrpcConfig(endpoint="127.0.0.1:0"), first)
            front.start()
            with grpc.insecure_channel(front.endpoint) as channel:
                for signal in Signal:
                    channel.unary_unary(PATHS[signal])(body if signal is Signal.TRACES else UNKNOWN_FIELD, timeout=10)
        else:
            front = HttpReceiver(HttpConfig(endpoint="127.0.0.1:0"), first)
            front.start()
            for signal in Signal:
                httpx2.post(
                    f"http://{front.endpoint}/v1/{signal}",
                    content=body if signal is Signal.TRACES else UNKNOWN_FIELD,
                    headers={"content-type": "application/x-protobuf"},
                )
        front.stop(2)
    finally:
        exporter.stop(5)
    assert consumer.got == first.got
    assert dict(consumer.got) == {
        Signal.TRACES: body, Signal.METRICS: UNKNOWN_FIELD, Signal.LOGS: UNKNOWN_FIELD,
    }  # fmt: skip
    assert exporter.counters()["sent_items"] == 60


# Codes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
@pytest.mark.parametrize("has_retry_info", [False, True])
def test_grpc_codes(code: grpc.StatusCode, has_retry_info: bool) -> None:
    def answer(body: bytes, context: Any) -> bytes:
        status = Status(code=code.value[0], message="because")
        if has_retry_info:
            info = RetryInfo()
            info.retry_delay.FromMilliseconds(2500)
            status.details.add().Pack(info)
        context.abort_with_status(rpc_status.to_status(status))
        return b""

    with grpc_backend(answer) as endpoint:
        result = outcome(GrpcSender(OtlpGrpcConfig(endpoint=endpoint, tls={"insecure": True})))
    is_retryable = code.name in RETRYABLE_GRPC or (code.name == "RESOURCE_EXHAUSTED" and has_retry_info)
    assert isinstance(result, Transient if is_retryable else Permanent)
    assert code.name in str(result)
    assert "because" in str(result)
    if isinstance(result, Transient):
        assert result.retry_after_s == (2.5 if has_retry_info else None)


@pytest.mark.parametrize("code", [301, 400, 401, 403, 404, 405, 408, 413, 415, 429, 500, 501, 502, 503, 504, 507])
def test_http_codes(code: int) -> None:
    with http_backend(lambda scope, body: (code, {"retry-after": "3", "location": "/x"}, b"because")) as url:
        result = outcome(HttpSender(OtlpHttpConfig(endpoint=url)))
    assert isinstance(result, Transient if code in (429, 502, 503, 504) else Permanent)
    assert str(result) == f"HTTP {code}: because"
    if isinstance(result, Transient):
        assert result.retry_after_s == 3


def test_http_failure_says_the_status_message() -> None:
    content = Status(message="attribute too long").SerializeToString()
    with http_backend(lambda scope, body: (400, {"content-type": "application/x-protobuf"}, content)) as url:
        assert str(outcome(HttpSender(OtlpHttpConfig(endpoint=url)))) == "HTTP 400: attribute too long"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("0", 0), ("120", 120), (" 7 ", 7), (formatdate(1_000_030, usegmt=True), 30),
     (formatdate(999_000, usegmt=True), 0), ("soon", None), ("-1", None), ("1.5", None), ("9" * 400, 999_999_999.0)],
)  # fmt: skip
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, lambda: 1_000_000.0) == seconds


def test_nobody_there_is_transient() -> None:
    for sender in (
        GrpcSender(OtlpGrpcConfig(endpoint="http://127.0.0.1:1", timeout="5s")),
        HttpSender(OtlpHttpConfig(endpoint="http://127.0.0.1:1")),
    ):
        assert isinstance(outcome(sender), Transient)


def test_no_answer_in_time_is_transient() -> None:
    def hang(body: bytes, context: Any) -> bytes:
        while context.is_active():
            pass
        return b""

    with grpc_backend(hang) as endpoint:
        result = outcome(GrpcSender(OtlpGrpcConfig(endpoint=f"http://{endpoint}", timeout="100ms")))
    assert isinstance(result, Transient)
    assert "DEADLINE_EXCEEDED" in str(result)


def test_partial_success_is_read() -> None:
    response = ExportTraceServiceResponse(partial_success={"rejected_spans": 3, "error_message": "x"})
    content = response.SerializeToString()
    with grpc_backend(lambda body, context: content) as endpoint:
        assert outcome(GrpcSender(OtlpGrpcConfig(endpoint=f"http://{endpoint}"))) == 3
    with http_backend(lambda scope, body: (200, {}, content)) as url:
        assert outcome(HttpSender(OtlpHttpConfig(endpoint=url))) == 3


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xff", b"x" * (5 * 2**20)])
def test_an_unreadable_success_is_a_success(content: bytes) -> None:
    with http_backend(lambda scope, body: (200, {}, content)) as url:
        assert outcome(HttpSender(OtlpHttpConfig(endpoint=url))) == 0


def test_headers_and_compression_on_the_wire() -> None:
    seen: list[tuple[str, dict[str, str], bytes]] = []

    def answer(scope: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        seen.append((scope["path"], {k.decode(): v.decode() for k, v in scope["headers"]}, body))
        return 200, {}, b""

    with http_backend(answer) as url:
        outcome(HttpSender(OtlpHttpConfig(endpoint=f"{url}/prefix", headers={"Authorization": "Bearer x"})))
        outcome(HttpSender(OtlpHttpConfig(traces_endpoint=f"{url}/spans", compression="none")))
    (path, headers, body), (plain_path, plain_headers, plain_body) = seen
    assert (path, plain_path) == ("/prefix/v1/traces", "/spans")
    assert headers["authorization"] == "Bearer x"
    assert headers["content-type"] == plain_headers["content-type"] == "application/x-protobuf"
    assert headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain_headers
    assert gzip.decompress(body) == plain_body == REQUEST.body

    metadata: list[dict[str, Any]] = []

    def note(body: bytes, context: Any) -> bytes:
        metadata.append(dict(context.invocation_metadata()))
        return b""

    with grpc_backend(note) as endpoint:
        outcome(GrpcSender(OtlpGrpcConfig(endpoint=f"http://{endpoint}", headers={"X-Tenant": "a"})))
    assert metadata[0]["x-tenant"] == "a"


def test_a_signal_without_endpoint_is_permanent() -> None:
    sender = HttpSender(OtlpHttpConfig(traces_endpoint="http://127.0.0.1:1/v1/traces"))
    assert isinstance(outcome(sender, ExportRequest(Signal.LOGS, b"", 1)), Permanent)


def test_unreadable_ca_file_is_a_start_error() -> None:
    for exporter in (
        build_exporter("a", "otlp_grpc", OtlpGrpcConfig(endpoint="x:1", tls={"ca_file": "/no/such.pem"})),
        build_exporter("b", "otlp_http", OtlpHttpConfig(endpoint="https://x", tls={"ca_file": "/no/such.pem"})),
    ):
        with pytest.raises(StartError, match=r"/no/such\.pem"):
            exporter.start()
        exporter.stop(0)


# Retries against a real backend, waits in virtual time ----------------------------------------------------------------


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_retries_until_the_backend_is_back(transport: str) -> None:
    failures, got = 5, []

    def grpc_answer(body: bytes, context: Any) -> bytes:
        got.append(body)
        if len(got) <= failures:
            context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
        return b""

    def http_answer(scope: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        got.append(body)
        return (503 if len(got) <= failures else 200), {"retry-after": "2"}, b""

    time_, done = VirtualTime(), Done()
    with grpc_backend(grpc_answer) as endpoint, http_backend(http_answer) as url:
        sender: Any = (
            GrpcSender(OtlpGrpcConfig(endpoint=f"http://{endpoint}", compression="none"))
            if transport == "grpc"
            else HttpSender(OtlpHttpConfig(endpoint=url, compression="none"))
        )
        queue = SendingQueue(
            "q", sender, QueueConfig(), RetryConfig(), clock=time_.clock, wait=time_.wait, draw=lambda: 0.5
        )
        queue.start()
        queue.offer(done.request(1, size=0))
        eventually(lambda: queue.counters()["queue_requests"] == 0)
        queue.stop(5)
    assert len(got) == failures + 1
    assert time_.waits == ([0.25, 0.375, 0.5625, 0.84375, 1.265625] if transport == "grpc" else [2] * 5)
    assert done.outcomes == {1: [True]}


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_stop_does_not_wait_for_a_hanging_backend(transport: str) -> None:
    done, entered = Done(), threading.Event()

    def hang(body: bytes, context: Any) -> bytes:
        entered.set()
        while context.is_active():
            time.sleep(0.01)
        return b""

    with grpc_backend(hang) as endpoint, socket.create_server(("127.0.0.1", 0)) as silent:
        config: Any = (
            OtlpGrpcConfig(endpoint=f"http://{endpoint}")
            if transport == "grpc"
            else OtlpHttpConfig(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", timeout="3s")
        )
        exporter = build_exporter("x", transport, config)
        exporter.start()
        for number in range(3):
            exporter.offer(done.request(number))
        if transport == "grpc":
            assert entered.wait(10)
        else:
            connection, _ = silent.accept()
            connection.recv(10)
        began = time.monotonic()
        exporter.stop(0.3)
        assert time.monotonic() - began < 2
        if transport == "http":
            connection.close()
    assert exporter.counters()["failed_items_shutdown"] == 3
    assert done.outcomes == {0: [False], 1: [False], 2: [False]}


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_a_connection_whose_other_end_is_gone_without_a_word_is_given_up(transport: str) -> None:
    """Half-open: the peer neither reads nor answers nor closes. A new connection finds who is there by now."""
    ours: list[socket.socket] = []
    with grpc_backend(lambda body, context: b"") as endpoint, http_backend(lambda scope, body: (200, {}, b"")) as url:
        behind = endpoint if transport == "grpc" else url.removeprefix("http://")
        with socket.create_server(("127.0.0.1", 0)) as front:

            def serve() -> None:
                first, _ = front.accept()
                ours.append(first)  # is never read from, and stays open
                second, _ = front.accept()
                host, _, port = behind.rpartition(":")
                onward = socket.create_connection((host, int(port)))
                ours.extend((second, onward))
                for source, target in ((second, onward), (onward, second)):
                    threading.Thread(target=_pump, args=(source, target), daemon=True).start()

            threading.Thread(target=serve, daemon=True).start()
            address = f"http://127.0.0.1:{front.getsockname()[1]}"
            soon = {"initial_interval": "10ms", "max_interval": "10ms"}
            config: Any = (
                OtlpGrpcConfig(endpoint=address, timeout="300ms", retry_on_failure=soon)
                if transport == "grpc"
                else OtlpHttpConfig(endpoint=address, timeout="300ms", retry_on_failure=soon)
            )
            exporter = build_exporter("x", transport, config)
            exporter.start()
            exporter.offer(REQUEST)
            eventually(lambda: exporter.counters()["sent_items"] == 1)
            assert exporter.counters()["redelivered_items"] == 1, "it may have arrived"
            exporter.stop(1)
    for each in ours:
        each.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_a_possible_repetition_is_marked_on_the_wire(transport: str) -> None:
    seen: list[Any] = []

    def grpc_answer(body: bytes, context: Any) -> bytes:
        seen.append(dict(context.invocation_metadata()).get("bmad-otel-redelivered"))
        return b""

    def http_answer(scope: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        value = dict(scope["headers"]).get(b"bmad-otel-redelivered")
        seen.append(value.decode() if value else None)
        return 200, {}, b""

    with grpc_backend(grpc_answer) as endpoint, http_backend(http_answer) as url:
        for request in (REQUEST, replace(REQUEST, is_redelivery=True)):
            sender: Any = (
                GrpcSender(OtlpGrpcConfig(endpoint=f"http://{endpoint}"))
                if transport == "grpc"
                else HttpSender(OtlpHttpConfig(endpoint=url))
            )
            assert outcome(sender, request) == 0
    assert seen == [None, "true"]


def test_a_connection_reset_in_the_middle_is_transient_and_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as front:

        def reset() -> None:
            connection, _ = front.accept()
            connection.recv(10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        for make_sender in (
            lambda at: GrpcSender(OtlpGrpcConfig(endpoint=at, timeout="3s")),
            lambda at: HttpSender(OtlpHttpConfig(endpoint=at)),
        ):
            threading.Thread(target=reset, daemon=True).start()
            result = outcome(make_sender(f"http://127.0.0.1:{front.getsockname()[1]}"))
            assert isinstance(result, Transient)
            assert not result.is_answered


def test_exporter_outlives_a_restart_of_the_backend(consumer: Recorder) -> None:
    endpoint = "127.0.0.1:0"
    queue: Any = None
    for number in range(3):
        backend = GrpcReceiver(GrpcConfig(endpoint=endpoint), consumer)
        backend.start()
        endpoint = backend.endpoint
        if queue is None:
            queue = build_exporter(
                "q",
                "otlp",
                OtlpGrpcConfig(endpoint=f"http://{endpoint}", retry_on_failure={"initial_interval": "50ms"}),
            )
            queue.start()
        queue.offer(ExportRequest(Signal.TRACES, spans_body(number + 1), number + 1))
        eventually(lambda n=number: len(consumer.got) == n + 1)  # type: ignore[misc]
        backend.stop(1)
    queue.stop(1)
    assert queue.counters()["sent_items"] == 6
