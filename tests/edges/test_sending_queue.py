"""The sending queue in virtual time: backoff, bounds, one outcome for each request, orderly stop."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_processor.emit import (
    ExportRequest,
    Permanent,
    QueueConfig,
    RetryConfig,
    SendingQueue,
    Transient,
)
from bmad_processor.emit.counts import OUTCOMES
from bmad_processor.model import Signal

from .peers import eventually

SECOND = 10**9
ONE = QueueConfig(num_consumers=1)
QUEUE_KEYS = QueueConfig.model_fields.keys() - RetryConfig.model_fields.keys()


class VirtualTime:
    """Waiting takes no time and is recorded."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.waits: list[float] = []

    def clock(self) -> float:
        return self.now_s

    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now_s += seconds
        return event.is_set()


class Scripted:
    """Answers with what the script says, then with success."""

    can_join = False

    def __init__(self, *script: Exception | int) -> None:
        self.script = list(script)
        self.sent: list[ExportRequest] = []
        self.gate = threading.Event()
        self.gate.set()
        self.is_open = False

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False
        self.gate.set()

    def send(self, request: ExportRequest) -> int:
        self.gate.wait(20)
        self.sent.append(request)
        step = self.script.pop(0) if self.script else 0
        if isinstance(step, Exception):
            raise step
        return step


def make(sender: Any, time_: VirtualTime | None = None, **config: Any) -> SendingQueue:
    queue = QueueConfig(**{"num_consumers": 1} | {k: v for k, v in config.items() if k in QUEUE_KEYS})
    retry = RetryConfig(**{k: v for k, v in config.items() if k in RetryConfig.model_fields})
    time_ = time_ or VirtualTime()
    return SendingQueue("test", sender, queue, retry, clock=time_.clock, wait=time_.wait, draw=lambda: 1.0)


class Done:
    """Outcomes of requests by number."""

    def __init__(self) -> None:
        self.outcomes: dict[int, list[bool]] = {}

    def request(self, number: int, size: int = 10, items: int = 1) -> ExportRequest:
        self.outcomes[number] = []
        return ExportRequest(Signal.LOGS, bytes(size), items, self.outcomes[number].append)


def finish(queue: SendingQueue) -> dict[str, int]:
    eventually(lambda: queue.counters()["queue_requests"] == 0)
    queue.stop(5)
    return queue.counters()


def test_delivers_in_order() -> None:
    sender, done = Scripted(), Done()
    queue = make(sender)
    requests = [done.request(i, items=i) for i in range(10)]
    queue.start()
    assert all(queue.offer(request) for request in requests)
    counters = finish(queue)
    assert [request.items for request in sender.sent] == list(range(10))
    assert (counters["sent_requests"], counters["sent_items"]) == (10, 45)
    assert all(outcome == [True] for outcome in done.outcomes.values())
    assert not sender.is_open


def test_backoff_grows_by_half_up_to_the_longest_interval() -> None:
    sender, done, time_ = Scripted(*[Transient("down")] * 6), Done(), VirtualTime()
    queue = make(sender, time_, initial_interval="1s", max_interval="4s")
    queue.start()
    queue.offer(done.request(1))
    counters = finish(queue)
    assert time_.waits == [1.0, 1.5, 2.25, 3.375, 4.0, 4.0]
    assert (counters["retries"], counters["sent_requests"]) == (6, 1)
    assert done.outcomes[1] == [True]


def test_full_jitter_draws_from_zero_to_the_interval() -> None:
    draws = iter([0.0, 0.5, 0.999])
    sender, time_ = Scripted(*[Transient("down")] * 3), VirtualTime()
    queue = SendingQueue(
        "test", sender, ONE, RetryConfig(), clock=time_.clock, wait=time_.wait, draw=lambda: next(draws)
    )
    queue.start()
    queue.offer(Done().request(1))
    finish(queue)
    assert time_.waits == pytest.approx([0.0, 0.375, 1.123875])


def test_the_backend_says_when_to_come_back() -> None:
    sender, time_ = Scripted(Transient("wait", 17.0), Transient("wait", 0.1)), VirtualTime()
    queue = make(sender, time_)
    queue.start()
    queue.offer(Done().request(1))
    finish(queue)
    assert time_.waits == [17.0, 0.75]  # never sooner than our own backoff


def test_gives_up_after_the_longest_time_and_goes_on_with_the_next() -> None:
    sender, done, time_ = Scripted(*[Transient("down")] * 6), Done(), VirtualTime()
    queue = make(sender, time_, max_elapsed_time="10s")
    queue.start()
    queue.offer(done.request(1, items=7))
    queue.offer(done.request(2))
    counters = finish(queue)
    assert sum(time_.waits) <= 10
    assert counters["failed_items_retries_exhausted"] == 7
    assert done.outcomes == {1: [False], 2: [True]}


def test_zero_longest_time_is_for_ever() -> None:
    sender, done = Scripted(*[Transient("down")] * 100), Done()
    queue = make(sender, max_elapsed_time=0)
    queue.start()
    queue.offer(done.request(1))
    finish(queue)
    assert done.outcomes == {1: [True]}


def test_retry_can_be_off() -> None:
    sender, done = Scripted(Transient("down")), Done()
    queue = make(sender, enabled=False)
    queue.start()
    queue.offer(done.request(1, items=3))
    assert finish(queue)["failed_items_retries_exhausted"] == 3
    assert done.outcomes == {1: [False]}


@pytest.mark.parametrize("error", [Permanent("no"), ZeroDivisionError("bug")])
def test_permanent_failures_are_not_repeated(error: Exception) -> None:
    sender, done, time_ = Scripted(error), Done(), VirtualTime()
    queue = make(sender, time_)
    queue.start()
    queue.offer(done.request(1, items=3))
    queue.offer(done.request(2))
    counters = finish(queue)
    assert not time_.waits
    assert (counters["failed_items_permanent"], counters["failed_requests"], counters["sent_items"]) == (3, 1, 1)
    assert done.outcomes == {1: [False], 2: [True]}


def test_partial_success_is_counted_and_not_repeated() -> None:
    sender, done = Scripted(2, 99), Done()
    queue = make(sender)
    queue.start()
    queue.offer(done.request(1, items=5))
    queue.offer(done.request(2, items=5))
    counters = finish(queue)
    assert (counters["sent_items"], counters["rejected_items_partial_success"]) == (3, 7)
    assert done.outcomes == {1: [True], 2: [True]}
    assert len(sender.sent) == 2


def test_bounded_by_requests_and_bytes_the_one_being_sent_included() -> None:
    sender, done = Scripted(), Done()
    sender.gate.clear()
    queue = make(sender, queue_size=3, max_bytes=100)
    queue.start()
    assert queue.has_room(10**9), "an empty queue takes anything, or a large request could never pass"
    assert queue.offer(done.request(1, size=40))
    eventually(lambda: queue.counters()["queue_requests"] == 1)
    assert queue.has_room(60)
    assert not queue.has_room(61)
    assert not queue.offer(done.request(2, size=61))
    assert queue.offer(done.request(3, size=60))
    assert queue.has_room(0)
    assert queue.offer(done.request(4, size=0))
    assert not queue.has_room(0)
    assert not queue.offer(done.request(5, size=0))
    counters = queue.counters()
    assert (counters["queue_requests"], counters["queue_bytes"]) == (3, 100)
    assert counters["refused_requests_queue_full"] == 2
    sender.gate.set()
    finish(queue)
    assert done.outcomes == {1: [True], 2: [], 3: [True], 4: [True], 5: []}


def test_stop_delivers_what_is_queued() -> None:
    sender, done = Scripted(), Done()
    sender.gate.clear()
    queue = make(sender)
    queue.start()
    for i in range(5):
        queue.offer(done.request(i))
    threading.Timer(0.05, sender.gate.set).start()
    queue.stop(10)
    assert queue.counters()["sent_requests"] == 5
    assert not queue.offer(done.request(9))
    assert not queue.has_room(0)


def test_stop_gives_up_a_hanging_send_in_time() -> None:
    sender, done = Scripted(), Done()
    sender.gate.clear()
    queue = SendingQueue("test", sender, ONE, RetryConfig())
    queue.start()
    for i in range(3):
        queue.offer(done.request(i, items=2))
    began = time.monotonic()
    queue.stop(0.2)
    queue.stop(0.2)
    assert time.monotonic() - began < 2
    assert queue.counters()["failed_items_shutdown"] == 6
    eventually(lambda: len(sender.sent) == 1)  # the hanging one came back after all: too late to count
    time.sleep(0.05)
    assert done.outcomes == {0: [False], 1: [False], 2: [False]}
    assert queue.counters()["sent_requests"] == 0


def test_stop_ends_a_long_backoff_with_one_more_attempt() -> None:
    sender, done = Scripted(Transient("down", 1000.0)), Done()
    queue = SendingQueue("test", sender, ONE, RetryConfig(max_elapsed_time=0))
    queue.start()
    queue.offer(done.request(1))
    eventually(lambda: len(sender.sent) == 1)
    began = time.monotonic()
    queue.stop(5)
    assert time.monotonic() - began < 2
    assert done.outcomes == {1: [True]}


def test_stop_with_a_dead_backend_counts_everything() -> None:
    class Dead(Scripted):
        def send(self, request: ExportRequest) -> int:
            self.sent.append(request)
            raise Transient("down")

    sender, done = Dead(), Done()
    queue = SendingQueue("test", sender, ONE, RetryConfig())
    queue.start()
    for i in range(4):
        queue.offer(done.request(i, items=3))
    queue.stop(0.3)
    counters = queue.counters()
    assert counters["failed_items_shutdown"] == 12
    assert (counters["queue_requests"], counters["queue_bytes"]) == (0, 0)
    assert all(outcome == [False] for outcome in done.outcomes.values())


def test_stop_without_start() -> None:
    done = Done()
    queue = make(Scripted())
    queue.offer(done.request(1))
    queue.stop(0)
    assert done.outcomes == {1: [False]}


def test_a_failing_callback_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fail(ok: bool) -> None:
        raise ZeroDivisionError

    sender, done = Scripted(), Done()
    queue = make(sender)
    queue.start()
    queue.offer(ExportRequest(Signal.LOGS, b"", 1, fail))
    queue.offer(done.request(2))
    finish(queue)
    assert done.outcomes == {2: [True]}
    assert "on_done failed" in caplog.text


def test_one_line_when_it_fails_and_one_when_it_recovers(caplog: pytest.LogCaptureFixture) -> None:
    sender, done, time_ = Scripted(*[Transient("backend is down")] * 8), Done(), VirtualTime()
    queue = make(sender, time_)
    with caplog.at_level(logging.INFO):
        queue.start()
        for i in range(20):
            queue.offer(done.request(i))
        finish(queue)
    lines = [record.getMessage() for record in caplog.records if record.name == "bmad_otel.collector"]
    assert len(lines) == 2
    assert "backend is down" in lines[0]
    assert "delivers again after" in lines[1]


def test_flapping_is_not_a_line_each_time(caplog: pytest.LogCaptureFixture) -> None:
    script: list[Exception | int] = [Transient("x"), 0] * 20
    queue = make(Scripted(*script), initial_interval="100ms")
    with caplog.at_level(logging.INFO):
        queue.start()
        for i in range(20):
            queue.offer(Done().request(i))
        finish(queue)
    assert len(caplog.records) == 2


steps = st.one_of(
    st.just(0),
    st.integers(0, 3),
    st.builds(lambda s: Transient("t", s), st.one_of(st.none(), st.floats(0, 400))),
    st.just(Permanent("p")),
    st.just(ValueError("bug")),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(steps, max_size=25), st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=12), st.booleans()
)
def test_every_request_has_exactly_one_outcome(
    script: list[Any], requests: list[tuple[int, int]], is_stopped_at_once: bool
) -> None:
    done = Done()
    logging.disable(logging.CRITICAL)
    try:
        queue = make(Scripted(*script), queue_size=8, max_bytes=200, max_elapsed_time="60s")
        queue.start()
        taken = {i: items for i, (size, items) in enumerate(requests) if queue.offer(done.request(i, size, items))}
        counters = {} if is_stopped_at_once else finish(queue)
        queue.stop(5)
        counters = queue.counters()
    finally:
        logging.disable(logging.NOTSET)
    assert {i: len(outcome) for i, outcome in done.outcomes.items()} == {
        i: int(i in taken) for i in range(len(requests))
    }
    counted = counters["sent_items"] + counters["rejected_items_partial_success"]
    counted += sum(counters[name] for name in OUTCOMES)
    assert counted == sum(taken.values())
    assert counters["sent_requests"] + counters["failed_requests"] == len(taken)
    assert counters["sent_requests"] == sum(outcome == [True] for outcome in done.outcomes.values())
    assert (counters["queue_requests"], counters["queue_bytes"]) == (0, 0)
    assert counters["refused_requests_queue_full"] == len(requests) - len(taken)
