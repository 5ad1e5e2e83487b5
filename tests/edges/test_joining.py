"""Requests that go together: what is joined, when, and that each keeps an outcome of its own."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_processor.emit import (
    BatchConfig,
    ExportRequest,
    Permanent,
    QueueConfig,
    QueueStorage,
    RetryConfig,
    SendingQueue,
    StoredQueue,
    Transient,
)
from bmad_processor.emit.backoff import Backoff
from bmad_processor.emit.lanes import JOIN_BYTES, PATIENCE_S, Lanes, Waiting
from bmad_processor.model import Signal

from .peers import REQUESTS, eventually, spans_body
from .test_sending_queue import Done, Scripted, VirtualTime, finish, make


class Joiner(Scripted):
    can_join = True


def one(number: int, signal: Signal = Signal.LOGS, size: int = 10, items: int = 1, **more: Any) -> Waiting:
    return Waiting(signal, bytes(size), size, items, float(number), **more)


def take_all(lanes: Lanes, now_s: float = 1e9) -> list[list[Waiting]]:
    taken = []
    while group := lanes.take(now_s)[0]:
        taken.append(group)
    return taken


# Which go together ----------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from(list(Signal)), st.integers(0, JOIN_BYTES), st.booleans(), st.booleans()), max_size=30
    )
)
def test_everything_goes_once_in_order_and_within_the_bounds(kinds: list[tuple[Signal, int, bool, bool]]) -> None:
    lanes = Lanes(None, joins=True)
    all_ = [
        one(n, signal, size, may_repeat=repeats, is_urgent=urgent)
        for n, (signal, size, repeats, urgent) in enumerate(kinds)
    ]
    for each in all_:
        lanes.add(each)
    groups = take_all(lanes)
    assert lanes.n == 0
    assert sorted(each.since_s for group in groups for each in group) == [each.since_s for each in all_]
    for group in groups:
        assert len({(each.signal, each.may_repeat, each.is_urgent) for each in group}) == 1
        assert len(group) == 1 or sum(each.size for each in group) <= JOIN_BYTES
        assert group == sorted(group, key=lambda each: each.since_s)
    urgent = [group[0].is_urgent for group in groups]
    assert urgent == sorted(urgent, reverse=True), "what is urgent goes first"


def test_without_batch_nothing_waits_unless_something_is_under_way() -> None:
    lanes = Lanes(None, joins=True)
    lanes.add(one(5))
    assert lanes.take(5.0, is_busy=True) == ([], pytest.approx(PATIENCE_S))
    assert len(lanes.take(5.0)[0]) == 1
    lanes.add(one(5))
    assert len(lanes.take(5.0 + PATIENCE_S, is_busy=True)[0]) == 1
    lanes.add(one(5, size=JOIN_BYTES))
    assert len(lanes.take(5.0, is_busy=True)[0]) == 1, "enough for a call of its own"
    lanes.add(one(5, is_urgent=True))
    assert len(lanes.take(5.0, is_busy=True)[0]) == 1


@pytest.mark.parametrize("sizer", ["items", "bytes", "requests"])
def test_batch_waits_for_the_least_and_takes_at_most_the_most(sizer: Any) -> None:
    lanes = Lanes(BatchConfig(flush_timeout="1s", min_size=4, max_size=6, sizer=sizer), joins=True)
    size, items = (2, 2) if sizer != "requests" else (1, 1)
    step = 1 if sizer == "requests" else 2
    lanes.add(one(0, size=size, items=items))
    assert lanes.take(0.25) == ([], 0.75)
    assert len(lanes.take(1.0)[0]) == 1, "the time is over"
    n = 0
    while n * step < 4:
        assert lanes.take(0.0)[0] == []
        lanes.add(one(0, size=size, items=items))
        n += 1
    for _ in range(10):
        lanes.add(one(0, size=size, items=items))
    assert len(lanes.take(0.0)[0]) * step == 6
    lanes.add(one(0, is_urgent=True))
    assert lanes.take(0.0)[0][0].is_urgent, "alerts do not wait for company"
    while lanes.take(0.0, is_stopping=True)[0]:
        pass
    assert lanes.n == 0


# Outcomes -------------------------------------------------------------------------------------------------------------


def blocked(queue: SendingQueue, sender: Joiner, *requests: ExportRequest) -> None:
    """Hands in ``requests`` while another one, a trace, is being sent, so that they wait."""
    sender.gate.clear()
    queue.start()
    assert queue.offer(ExportRequest(Signal.TRACES, b"", 1))
    eventually(lambda: queue.counters()["in_flight_requests"] == 1)
    for request in requests:
        assert queue.offer(request)
    sender.gate.set()


def test_what_waits_is_joined_and_is_one_valid_request() -> None:
    sender = Joiner()
    queue = make(sender)
    bodies = [spans_body(n) for n in range(1, 5)]
    blocked(queue, sender, *[ExportRequest(Signal.TRACES, body, n) for n, body in enumerate(bodies, 1)])
    counters = finish(queue)
    assert [request.body for request in sender.sent] == [b"", b"".join(bodies)]
    assert len(REQUESTS[Signal.TRACES].FromString(sender.sent[1].body).resource_spans) == 4
    assert sender.sent[1].items == 10
    assert (counters["calls"], counters["sent_requests"], counters["sent_traces"]) == (2, 5, 11)


def test_one_bad_request_takes_no_others_along() -> None:
    done = Done()
    sender = Joiner(0, Permanent("one is bad"), 0, Permanent("bad"), 0)
    queue = make(sender)
    blocked(queue, sender, *[done.request(n, items=n) for n in (1, 2, 3)])
    counters = finish(queue)
    assert [request.items for request in sender.sent] == [1, 6, 1, 2, 3]
    assert done.outcomes == {1: [True], 2: [False], 3: [True]}
    assert (counters["failed_items_permanent"], counters["send_failed_logs"], counters["sent_logs"]) == (2, 2, 4)


def test_what_concerns_all_is_not_tried_one_by_one() -> None:
    done = Done()
    sender = Joiner(0, Permanent("UNAUTHENTICATED", concerns_all=True))
    queue = make(sender)
    blocked(queue, sender, *[done.request(n) for n in (1, 2, 3)])
    finish(queue)
    assert len(sender.sent) == 2
    assert done.outcomes == {1: [False], 2: [False], 3: [False]}


def test_a_backend_that_takes_less_is_given_less() -> None:
    class Small(Joiner):
        def send(self, request: ExportRequest) -> int:
            super().send(request)
            if len(request.body) > 200_000:
                raise Permanent("too large", is_size=True)
            return 0

    sender, done = Small(), Done()
    queue = make(sender)
    blocked(queue, sender, *[done.request(n, size=40_000) for n in range(180)])
    counters = finish(queue)
    assert all(outcome == [True] for outcome in done.outcomes.values())
    assert counters["failed_items_permanent"] == 0
    refused = [request for request in sender.sent if len(request.body) > 200_000]
    assert [len(request.body) for request in refused] == [3_120_000, 1_560_000, 760_000, 360_000]


def test_partial_success_of_a_joined_request_is_counted() -> None:
    done = Done()
    sender = Joiner(0, 4)
    queue = make(sender)
    blocked(queue, sender, *[done.request(n, items=3) for n in (1, 2)])
    counters = finish(queue)
    assert (counters["sent_logs"], counters["rejected_items_partial_success"]) == (2, 4)
    assert done.outcomes == {1: [True], 2: [True]}


def test_alerts_go_ahead_of_a_backlog() -> None:
    sender, done = Joiner(), Done()
    queue = make(sender)
    telemetry = [ExportRequest(Signal.LOGS, bytes(JOIN_BYTES), 1) for _ in range(5)]
    alert = ExportRequest(Signal.LOGS, b"alert", 1, done.request(1).on_done, is_urgent=True)
    blocked(queue, sender, *telemetry, alert)
    finish(queue)
    assert [len(request.body) for request in sender.sent[:2]] == [0, 5]
    assert done.outcomes == {1: [True]}


# Several consumers ----------------------------------------------------------------------------------------------------


def test_a_second_consumer_helps_when_the_backend_is_slow() -> None:
    sender = Joiner()
    sender.gate.clear()
    queue = SendingQueue("test", sender, QueueConfig(num_consumers=3), RetryConfig())
    queue.start()
    for number in range(1, 4):
        queue.offer(ExportRequest(Signal.LOGS, b"", 1))
        eventually(lambda n=number: queue.counters()["in_flight_requests"] == n)  # type: ignore[misc]
    queue.offer(ExportRequest(Signal.LOGS, b"", 1))
    time.sleep(3 * PATIENCE_S)
    assert queue.counters()["in_flight_requests"] == 3
    sender.gate.set()
    assert finish(queue)["sent_requests"] == 4


def test_what_one_consumer_is_told_holds_for_all() -> None:
    times: list[float] = []
    told = threading.Event()

    class Busy(Joiner):
        can_join = False

        def send(self, request: ExportRequest) -> int:
            times.append(time.monotonic())
            if request.items == 1 and not told.is_set():
                told.set()
                raise Transient("busy", 0.5, is_answered=True)
            return 0

    queue = SendingQueue("test", Busy(), QueueConfig(num_consumers=4), RetryConfig())
    queue.start()
    queue.offer(ExportRequest(Signal.LOGS, b"", 1))
    assert told.wait(5)
    for _ in range(5):
        queue.offer(ExportRequest(Signal.LOGS, b"", 2))
    finish(queue)
    assert len(times) == 7
    assert min(times[1:]) >= times[0] + 0.49


def test_a_flaky_backend_is_asked_again_soon_and_a_dead_one_ever_later() -> None:
    backoff = Backoff(RetryConfig(initial_interval="500ms", max_interval="30s"))
    dead, now_s = backoff.streak(), 1000.0
    assert [round(backoff.delay_s(dead, now_s, 1.0, None), 2) for _ in range(12)][-1] == 30.0
    backoff.succeeded(now_s)
    flaky = backoff.streak()
    assert max(backoff.delay_s(flaky, now_s + 5, 1.0, None) for _ in range(30)) == 1.0
    assert backoff.delay_s(flaky, now_s + 11, 1.0, None) == 30.0
    backoff.succeeded(now_s + 12)
    assert backoff.delay_s(flaky, now_s + 30, 1.0, None) == 0.5, "a success of anybody is news for all"


def test_a_date_an_hour_off_holds_nothing_up_for_an_hour() -> None:
    backoff = Backoff(RetryConfig())
    assert backoff.delay_s(backoff.streak(), 0.0, 1.0, 3600.0) == 300.0


def test_a_repetition_is_marked_unless_the_backend_had_answered() -> None:
    sender = Joiner(Transient("no answer"), Transient("busy", is_answered=True), 0)
    queue = make(sender)
    queue.start()
    queue.offer(ExportRequest(Signal.LOGS, b"", 3))
    counters = finish(queue)
    assert [request.is_redelivery for request in sender.sent] == [False, True, True]
    assert counters["redelivered_items"] == 3
    sender = Joiner(Transient("busy", is_answered=True), 0)
    queue = make(sender)
    queue.start()
    queue.offer(ExportRequest(Signal.LOGS, b"", 3))
    assert finish(queue)["redelivered_items"] == 0
    assert [request.is_redelivery for request in sender.sent] == [False, False]


# On disk --------------------------------------------------------------------------------------------------------------


def stored(folder: Path, sender: Any, time_: VirtualTime | None = None, **queue: Any) -> SendingQueue:
    time_ = time_ or VirtualTime()
    disk = StoredQueue(QueueStorage(folder / "state.db"), "x", fsync=False)
    config = QueueConfig(**{"storage": "sqlite", "num_consumers": 1} | queue)
    return SendingQueue(
        "test", sender, config, RetryConfig(), disk=disk, clock=time_.clock, wait=time_.wait, draw=lambda: 1.0
    )


def test_five_minutes_without_a_backend_then_everything(tmp_path: Path) -> None:
    time_ = VirtualTime()
    opened_s = time_.now_s

    class Away(Joiner):
        def send(self, request: ExportRequest) -> int:
            if time_.now_s < opened_s + 300:
                raise Transient("nobody there", is_answered=True)
            return super().send(request)

    sender = Away()
    queue = stored(tmp_path, sender, time_, queue_size=8, max_bytes=10_000)
    assert queue.may_wait
    queue.start()
    bodies = [spans_body(3, f"task {n}") for n in range(12)]
    taken = [queue.offer(ExportRequest(Signal.TRACES, body, 3)) for body in bodies]
    assert taken.count(True) >= 8, "longer than the queue: refused, and never dropped"
    counters = finish(queue)
    assert time_.now_s >= opened_s + 300
    assert b"".join(request.body for request in sender.sent) == b"".join(
        body for body, is_taken in zip(bodies, taken, strict=True) if is_taken
    )
    assert counters["failed_requests"] == 0
    assert counters["refused_requests_queue_full"] == taken.count(False)
    assert counters["enqueue_failed_traces"] == 3 * taken.count(False)


def test_an_event_of_ours_is_not_stored_twice(tmp_path: Path) -> None:
    """The notification log offers it again after a restart; from the queue's file it would come a second time."""
    done = Done()
    sender = Joiner(*[Transient("down", 1e9)] * 100)
    queue = stored(tmp_path, sender, VirtualTime())
    sender.gate.clear()
    queue.start()
    assert queue.offer(done.request(1))
    assert queue.offer(ExportRequest(Signal.LOGS, b"telemetry", 1))
    queue.stop(0.1)
    assert done.outcomes == {1: [False]}, "it is in memory only, and its owner is told"
    sender = Joiner()
    queue = stored(tmp_path, sender)
    queue.start()
    assert finish(queue)["recovered_requests"] == 1
    assert [request.body for request in sender.sent] == [b"telemetry"]


def test_bodies_beyond_the_cache_are_read_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bmad_processor.emit.sending_queue.CACHE_BYTES", 100_000)
    sender = Joiner()
    queue = stored(tmp_path, sender)
    bodies = [spans_body(100, f"task {n}") for n in range(60)]
    blocked(queue, sender, *[ExportRequest(Signal.TRACES, body, 100) for body in bodies])
    finish(queue)
    assert b"".join(request.body for request in sender.sent) == b"".join(bodies)


def test_a_queue_that_was_read_and_damaged_says_what_is_lost(tmp_path: Path) -> None:
    hanging = Joiner()
    hanging.gate.clear()
    queue = stored(tmp_path, hanging)
    queue.start()
    for number in range(5):
        queue.offer(ExportRequest(Signal.TRACES, spans_body(10, f"task {number}"), 10))
    queue.stop(0)
    (path,) = tmp_path.glob("*.db")
    content = path.read_bytes()
    assert content.count(b"task 3") >= 10
    path.write_bytes(content.replace(b"task 3", b"task X", 1))
    sender = Joiner()
    queue = stored(tmp_path, sender)
    queue.start()
    counters = finish(queue)
    assert counters["failed_items_damaged"] == 10
    assert counters["sent_items"] == 40
