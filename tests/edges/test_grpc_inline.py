"""gRPC handlers run by the receiving thread: what one sender does is not felt by the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from bmad_processor.errors import Overloaded
from bmad_processor.limit import Admission, ByteBudget, MemoryLimiter, MemoryLimiterConfig
from bmad_processor.model import Signal
from bmad_processor.receive import Accepted, GrpcConfig, GrpcReceiver
from bmad_processor.receive.grpc_inline import MAX_RECEIVING, is_possible

from .peers import Recorder, spans_body

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Noting(Recorder):
    """Notes which threads called."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[str] = set()

    def consume(self, signal: Signal, body: bytes) -> Accepted:
        self.threads.add(threading.current_thread().name)
        return super().consume(signal, body)


@pytest.fixture
def consumer() -> Noting:
    return Noting()


@pytest.fixture
def receiver(consumer: Noting) -> Iterator[GrpcReceiver]:
    receiver = GrpcReceiver(GrpcConfig(endpoint="127.0.0.1:0"), consumer)
    receiver.start()
    yield receiver
    receiver.stop(2)


@pytest.fixture
def channel(receiver: GrpcReceiver) -> Iterator[Any]:
    with grpc.insecure_channel(receiver.endpoint) as channel:
        yield channel


def test_the_receiving_thread_does_the_work(consumer: Noting, channel: Any) -> None:
    """With the grpcio that is installed; with another one a worker thread would, slower."""
    assert is_possible()
    channel.unary_unary(EXPORT)(spans_body(), timeout=10)
    assert not any(name.startswith("otlp-grpc") for name in consumer.threads)


def test_threads_that_are_asked_for_do_the_work(consumer: Noting) -> None:
    receiver = GrpcReceiver(GrpcConfig(endpoint="127.0.0.1:0", threads=2), consumer)
    receiver.start()
    try:
        with grpc.insecure_channel(receiver.endpoint) as channel:
            channel.unary_unary(EXPORT)(spans_body(), timeout=10)
    finally:
        receiver.stop(2)
    assert all(name.startswith("otlp-grpc") for name in consumer.threads)


def test_many_at_once_are_all_answered(consumer: Noting, receiver: GrpcReceiver) -> None:
    n_senders, n_each = 8, 50

    def send(number: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(receiver.endpoint, options=options) as channel:
            call = channel.unary_unary(EXPORT)
            for future in [call.future(spans_body(), timeout=30) for _ in range(n_each)]:
                assert future.result() == b""

    with ThreadPoolExecutor(n_senders) as pool:
        list(pool.map(send, range(n_senders)))
    assert len(consumer.got) == n_senders * n_each
    assert consumer.most_at_once == 1


def test_a_refusal_is_told_and_the_next_request_is_taken(consumer: Noting, channel: Any) -> None:
    export = channel.unary_unary(EXPORT)
    for answer, code in (
        (Overloaded("full", retry_after_s=1), grpc.StatusCode.UNAVAILABLE),
        (KeyError("a bug"), grpc.StatusCode.INTERNAL),
    ):
        consumer.answer = answer
        with pytest.raises(grpc.RpcError) as refused:
            export(spans_body(), timeout=10)
        assert refused.value.code() is code  # type: ignore[attr-defined]
    consumer.answer = Accepted()
    assert export(spans_body(), timeout=10) == b""


@pytest.mark.parametrize("n_stalled", [1, 4, 16, MAX_RECEIVING - 1])
def test_senders_that_never_finish_do_not_hold_up_others(n_stalled: int, receiver: GrpcReceiver, channel: Any) -> None:
    """A stalled call has sent its headers and no message, in a stream that stays open."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    release = threading.Event()

    def nothing() -> Iterator[bytes]:
        release.wait(30)
        yield from ()

    with grpc.insecure_channel(receiver.endpoint, options=options) as slow:
        calls = [slow.stream_unary(EXPORT).future(nothing(), timeout=30) for _ in range(n_stalled)]
        time.sleep(0.3)
        began = time.monotonic()
        assert channel.unary_unary(EXPORT)(spans_body(), timeout=20) == b""
        assert time.monotonic() - began < 10
        release.set()
        for call in calls:
            assert call.exception(30) is not None


def test_a_call_without_a_message_is_told_so(channel: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        channel.stream_unary(EXPORT)(iter(()), timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED  # type: ignore[attr-defined]


def test_calls_given_up_by_their_senders_leave_nothing(consumer: Noting, receiver: GrpcReceiver, channel: Any) -> None:
    consumer.delay_s = 0.02
    export = channel.unary_unary(EXPORT)
    calls = [export.future(spans_body(), timeout=30) for _ in range(60)]
    for call in calls[::2]:
        call.cancel()
    for call in calls[1::2]:
        assert call.result() == b""
    assert export(spans_body(), timeout=10) == b""
    receiver.stop(5)


MIB = 2**20
OWN = ("grpc.use_local_subchannel_pool", 1)


def test_short_of_memory_it_refuses_before_there_is_a_body(consumer: Noting) -> None:
    held_mib = 10
    limiter = MemoryLimiter(
        MemoryLimiterConfig(limit_mib=100), total_bytes=1000 * MIB, read=lambda: held_mib * MIB, free=lambda: None
    )
    admission = Admission()
    admission.limit(limiter, [Signal.TRACES])
    receiver = GrpcReceiver(GrpcConfig(endpoint="127.0.0.1:0"), consumer, admission)
    receiver.start()
    release = threading.Event()

    def nothing() -> Iterator[bytes]:
        release.wait(30)
        yield from ()

    try:
        with grpc.insecure_channel(receiver.endpoint, [OWN]) as channel:
            held_mib = 90
            limiter.check()
            with pytest.raises(grpc.RpcError) as refused:
                channel.stream_unary(EXPORT)(nothing(), timeout=10)  # headers only
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]
            assert "memory" in refused.value.details()  # type: ignore[attr-defined]
            assert limiter.counters()["refused_requests_traces"] == 1
            held_mib = 10
            limiter.check()
            assert channel.unary_unary(EXPORT)(spans_body(), timeout=10) == b""
    finally:
        release.set()
        receiver.stop(2)
    assert len(consumer.got) == 1


@pytest.mark.parametrize("threads", [None, 16])
def test_bytes_bound_what_is_there_also_with_workers(threads: int | None, consumer: Noting) -> None:
    """Four bodies fit into the budget together; while they are in work no fifth one is received."""
    consumer.delay_s = 0.1
    consumer.may_wait = threads is not None
    body = spans_body(name="x" * MIB)
    admission = Admission(ByteBudget(4 * len(body) + 100))
    config = GrpcConfig(endpoint="127.0.0.1:0", max_recv_msg_size=len(body), threads=threads)
    receiver = GrpcReceiver(config, consumer, admission)
    receiver.start()
    try:
        with grpc.insecure_channel(receiver.endpoint, [OWN]) as channel:
            calls = [channel.unary_unary(EXPORT).future(body, timeout=60) for _ in range(24)]
            assert [call.result() for call in calls] == [b""] * 24
    finally:
        receiver.stop(2)
    assert consumer.most_at_once <= 4
    if threads:
        assert consumer.most_at_once > 1
