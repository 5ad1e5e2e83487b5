"""OTLP/gRPC receiver: the specification's answers, seen by a real gRPC client."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from grpc_status import rpc_status
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from bmad_processor.errors import Malformed, Overloaded, StartError, TooLarge
from bmad_processor.log_lines import Sampler, Sampling
from bmad_processor.model import Signal
from bmad_processor.receive import Accepted, GrpcConfig, GrpcReceiver

from .conftest import LIMIT
from .peers import PATHS, Recorder, eventually, spans_body
from .sdk_senders import send_all

TRACES = PATHS[Signal.TRACES]


@pytest.fixture
def channel(grpc_receiver: GrpcReceiver) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(grpc_receiver.endpoint) as channel:
        yield channel


def call(channel: grpc.Channel, body: bytes, path: str = TRACES, **options: Any) -> bytes:
    response: bytes = channel.unary_unary(path)(body, timeout=20, **options)
    return response


def refused(channel: grpc.Channel, body: bytes, path: str = TRACES, **options: Any) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, body, path, **options)
    return caught.value


def details_of(error: Any) -> list[Any]:
    status = rpc_status.from_call(error)
    return list(status.details) if status else []


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_sdk_exporters_arrive(grpc_receiver: GrpcReceiver, consumer: Recorder, compression: grpc.Compression) -> None:
    options: dict[str, Any] = {
        "endpoint": grpc_receiver.endpoint, "insecure": True, "compression": compression, "timeout": 10,
    }  # fmt: skip
    send_all(OTLPSpanExporter(**options), OTLPMetricExporter(**options), OTLPLogExporter(**options))
    assert {signal for signal, _ in consumer.got} == set(Signal)


def test_full_success_is_no_bytes(channel: grpc.Channel, consumer: Recorder) -> None:
    body = spans_body()
    assert call(channel, body) == b""
    assert call(channel, b"") == b""
    assert consumer.got == [(Signal.TRACES, body), (Signal.TRACES, b"")]


@pytest.mark.parametrize(
    ("signal", "accepted"),
    [
        (Signal.TRACES, Accepted(3, "three are bad")),
        (Signal.METRICS, Accepted(1, "one is bad")),
        (Signal.LOGS, Accepted(0, "a warning")),
    ],
)
def test_partial_success(channel: grpc.Channel, consumer: Recorder, signal: Signal, accepted: Accepted) -> None:
    consumer.answer = accepted
    response = call(channel, b"", PATHS[signal])
    # field 1 of all three responses has the count in field 1 and the message in field 2
    partial = ExportTraceServiceResponse.FromString(response).partial_success
    assert (partial.rejected_spans, partial.error_message) == (accepted.rejected, accepted.message)


def test_error_message_is_bounded(channel: grpc.Channel, consumer: Recorder) -> None:
    consumer.answer = Accepted(1, "ä" * 100_000)
    assert len(call(channel, b"")) < 1100
    consumer.answer = Malformed("ö" * 100_000)
    assert len(refused(channel, b"").details().encode()) <= 1024


def test_garbage_is_invalid_argument_with_bad_request(channel: grpc.Channel, consumer: Recorder) -> None:
    error = refused(channel, b"\xff\xff\xff not protobuf")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    (detail,) = details_of(error)
    violations = BadRequest()
    assert detail.Unpack(violations)
    assert violations.field_violations[0].description == error.details()
    assert not consumer.got


def test_overloaded_is_unavailable_with_retry_info(channel: grpc.Channel, consumer: Recorder) -> None:
    consumer.answer = Overloaded("queue full", retry_after_s=1.5)
    error = refused(channel, spans_body())
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    (detail,) = details_of(error)
    info = RetryInfo()
    assert detail.Unpack(info)
    assert info.retry_delay.ToMilliseconds() == 1500


def test_too_large_is_resource_exhausted_without_retry_info(channel: grpc.Channel, consumer: Recorder) -> None:
    consumer.answer = TooLarge("too many")
    error = refused(channel, spans_body())
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details_of(error) == []


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_size_limit_holds_before_and_after_decompression(
    channel: grpc.Channel, consumer: Recorder, compression: grpc.Compression
) -> None:
    error = refused(channel, bytes(LIMIT + 1), compression=compression)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert details_of(error) == []
    fits = spans_body(name="x" * (LIMIT - 100))
    assert len(fits) <= LIMIT
    assert call(channel, fits, compression=compression) == b""
    assert len(consumer.got) == 1


def test_our_bug_is_internal_logged_once_and_survived(
    channel: grpc.Channel, consumer: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    consumer.answer = ZeroDivisionError("secret")
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            error = refused(channel, spans_body())
            assert error.code() is grpc.StatusCode.INTERNAL
            assert "secret" not in error.details()
    said = [record for record in caplog.records if record.name == "bmad_otel.collector"]
    sampler = Sampler(Sampling(initial=1, thereafter=0))
    assert [sampler.filter(record) for record in said] == [True] + [False] * 4, "one message, of which one is enough"
    assert said[0].exc_info is not None
    consumer.answer = Accepted()
    assert call(channel, spans_body()) == b""


@pytest.mark.parametrize(
    "path", ["/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export", "/a.B/C",
             "/opentelemetry.proto.collector.trace.v1.TraceService/Import"],
)  # fmt: skip
def test_unknown_method_is_unimplemented(channel: grpc.Channel, path: str) -> None:
    assert refused(channel, b"", path).code() is grpc.StatusCode.UNIMPLEMENTED


def test_many_calls_at_once_on_one_channel(channel: grpc.Channel, consumer: Recorder) -> None:
    export = channel.unary_unary(TRACES)
    futures = [export.future(spans_body(i + 1), timeout=20) for i in range(100)]
    assert [future.result() for future in futures] == [b""] * 100
    assert sorted(len(m.resource_spans[0].scope_spans[0].spans) for m in consumer.messages) == list(range(1, 101))
    assert consumer.most_at_once == 1


def test_port_in_use_is_a_start_error(grpc_receiver: GrpcReceiver, consumer: Recorder) -> None:
    second = GrpcReceiver(GrpcConfig(endpoint=grpc_receiver.endpoint), consumer)
    with pytest.raises(StartError, match=grpc_receiver.endpoint):
        second.start()
    second.stop(1)


def test_one_taken_address_of_a_host_name_is_a_start_error(consumer: Recorder) -> None:
    # grpcio alone would be content with ::1 while somebody else answers at 127.0.0.1
    with socket.create_server(("127.0.0.1", 0)) as other:
        endpoint = f"localhost:{other.getsockname()[1]}"
        with pytest.raises(StartError, match=endpoint):
            GrpcReceiver(GrpcConfig(endpoint=endpoint), consumer).start()


def test_unknown_host_is_a_start_error(consumer: Recorder) -> None:
    with pytest.raises(StartError, match="no-such-host"):
        GrpcReceiver(GrpcConfig(endpoint="no-such-host.invalid:4317"), consumer).start()


def test_same_port_again_after_stop(consumer: Recorder) -> None:
    endpoint = "127.0.0.1:0"
    for _ in range(3):
        receiver = GrpcReceiver(GrpcConfig(endpoint=endpoint), consumer)
        receiver.start()
        endpoint = receiver.endpoint
        with grpc.insecure_channel(endpoint) as channel:
            call(channel, spans_body())
        receiver.stop(2)
        receiver.stop(2)
    assert len(consumer.got) == 3


def test_stop_finishes_what_is_in_flight(grpc_receiver: GrpcReceiver, consumer: Recorder) -> None:
    consumer.delay_s = 0.3
    with grpc.insecure_channel(grpc_receiver.endpoint) as channel, ThreadPoolExecutor(1) as pool:
        grpc.channel_ready_future(channel).result(10)
        answered = pool.submit(call, channel, spans_body())
        eventually(lambda: consumer.most_at_once == 1)
        grpc_receiver.stop(5)
        count = len(consumer.got)
        assert answered.result() == b""
        assert count == len(consumer.got) == 1
