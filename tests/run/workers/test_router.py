"""Routers of several workers in one process, connected as workers are."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from bmad_processor.model import PartitionKey, Reading, Sample, TokenSample
from bmad_processor.run.workers.channel import Channel, Kind, frame
from bmad_processor.run.workers.link import MAX_BYTES
from bmad_processor.run.workers.ownership import Ownership
from bmad_processor.run.workers.router import Router
from tests.run.collectors import eventually


class Engine:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.got: list[Sample] = []
        self.lock = threading.Lock()
        self.is_held = threading.Event()
        self.is_held.set()

    def take(self, now_ns: int, samples: tuple[Sample, ...]) -> None:
        self.is_held.wait(10)
        with self.lock:
            self.got += samples


class Senders:
    """Of one worker's decoder."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self.told: list[tuple[str, str]] = []
        self.has_news = False

    def new_token_senders(self) -> Sequence[tuple[str, str]]:
        news, self.has_news = self.has_news, False
        return self.found if news else []

    def all_token_senders(self) -> Sequence[tuple[str, str]]:
        return self.found

    def told_token_senders(self, senders: object, time_ns: int) -> Sequence[TokenSample]:
        self.told += senders  # type: ignore[arg-type]
        return []


class Worker:
    def __init__(self, n: int, of: int) -> None:
        self.engine = Engine()
        self.senders = Senders()
        self.router = Router(Ownership(n, of), lambda: self.engine, self.senders, clock=lambda: 1)


def connect(workers: Sequence[Worker], a: int, b: int) -> None:
    one, two = socket.socketpair()
    workers[a].router.connect(b, Channel(one))
    workers[b].router.connect(a, Channel(two))


@contextmanager
def running(n: int, *, is_connected: bool = True) -> Iterator[list[Worker]]:
    workers = [Worker(i, n) for i in range(n)]
    if is_connected:
        for a in range(n):
            for b in range(a):
                connect(workers, a, b)
    try:
        yield workers
    finally:
        for worker in workers:
            worker.engine.is_held.set()
            worker.router.close(5)


def reading(agent: str, n: int = 0) -> Reading:
    return Reading(PartitionKey("agent", "", agent), "one", "cpu_usage", "", n, 0.5)


def settle(workers: Sequence[Worker], mark: int) -> list[bool]:
    """As the supervisor has them do it: all at once."""
    answers: dict[int, bool] = {}
    threads = [
        threading.Thread(target=lambda n=n, w=w: answers.__setitem__(n, w.router.settle(mark, 5)))  # type: ignore[misc]
        for n, w in enumerate(workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answers[n] for n in range(len(workers))]


@pytest.mark.parametrize("n", [2, 3])
def test_every_sample_comes_to_its_owner_once_and_in_order(n: int) -> None:
    with running(n) as workers:
        sent: list[Reading] = []
        for i in range(300):
            samples = tuple(reading(f"A{k}", i) for k in range(20))
            sent += samples
            workers[i % n].router.take(1, samples)
        assert settle(workers, 1) == [True] * n
        got = [sample for worker in workers for sample in worker.engine.got]
        assert Counter(got) == Counter(sent)
        for at, worker in enumerate(workers):
            place = Ownership(at, n)
            assert all(place.owner(sample.key) == at for sample in worker.engine.got)
            assert worker.router.counters()["waiting_samples"] == 0
        routed = sum(worker.router.counters()["routed_samples"] for worker in workers)
        assert routed == sum(worker.router.counters()["received_samples"] for worker in workers) > 0


def test_a_mark_comes_behind_what_was_taken_before_it() -> None:
    with running(2) as workers:
        workers[1].engine.is_held.clear()
        for i in range(50):
            workers[0].router.take(1, tuple(reading(f"A{k}", i) for k in range(10)))
        assert workers[0].router.settle(7, 0.2) is False, "the other one has not been asked"
        before = len(workers[1].engine.got)
        workers[1].engine.is_held.set()
        assert settle(workers, 8) == [True, True]
        assert len(workers[1].engine.got) > before
        assert len(workers[0].engine.got) + len(workers[1].engine.got) == 500


def test_samples_for_a_worker_that_is_away_wait_for_it() -> None:
    with running(2, is_connected=False) as workers:
        workers[0].router.take(1, tuple(reading(f"A{k}") for k in range(40)))
        waiting = workers[0].router.counters()["waiting_samples"]
        assert 0 < waiting < 40
        assert workers[0].router.settle(1, 0.0) is True, "who is away is not waited for"
        connect(workers, 0, 1)
        eventually(lambda: len(workers[1].engine.got) == waiting)
        counters = workers[0].router.counters()
        assert (counters["waiting_samples"], counters["dropped_samples"]) == (0, 0)


def test_what_a_worker_got_in_part_goes_to_the_next_one_whole() -> None:
    workers = [Worker(0, 2), Worker(1, 2)]
    ours, theirs = socket.socketpair()
    workers[0].router.connect(1, Channel(ours))
    n = 0
    while workers[0].router.counters()["waiting_samples"] == 0:  # until the socket is full
        workers[0].router.take(1, tuple(reading(f"A{k}", n) for k in range(500)))
        n += 1
    theirs.close()
    eventually(lambda: not workers[0].router._links[1].is_connected)
    waiting = workers[0].router.counters()["waiting_samples"]
    connect(workers, 0, 1)
    eventually(lambda: len(workers[1].engine.got) == waiting)
    for worker in workers:
        worker.router.close(5)


def test_too_much_for_a_worker_that_is_away_is_dropped_and_counted() -> None:
    with running(2, is_connected=False) as workers:
        samples = tuple(reading("x" * 1000 + str(k)) for k in range(1000))
        n = 2 * MAX_BYTES // (1000 * 1000)
        for _ in range(n):
            workers[0].router.take(1, samples)
        counters = workers[0].router.counters()
        assert counters["dropped_samples"] > 0
        own = len(workers[0].engine.got)
        assert own + counters["waiting_samples"] + counters["dropped_samples"] == 1000 * n


def test_all_know_a_sender_that_one_has_found() -> None:
    with running(2) as workers:
        who = ("shop", "pod-1")
        workers[0].senders.found.append(who)
        workers[0].senders.has_news = True
        workers[0].router.take(1, (reading("A"),))
        eventually(lambda: workers[1].senders.told == [who])
        connect(workers, 0, 1)  # as if worker 1 had been started anew
        eventually(lambda: workers[1].senders.told == [who, who])


def test_another_version_is_refused() -> None:
    workers = [Worker(0, 2)]
    ours, theirs = socket.socketpair()
    workers[0].router.connect(1, Channel(ours))
    with theirs:
        theirs.sendall(bytes([99]) + frame(Kind.SAMPLES, b"")[1:])
        eventually(lambda: not workers[0].router._links[1].is_connected)
    workers[0].router.close(1)


def test_nothing_that_was_taken_is_lost_when_all_end() -> None:
    with running(3) as workers:
        for i in range(100):
            workers[i % 3].router.take(1, tuple(reading(f"A{k}", i) for k in range(30)))
        assert all(settle(workers, 2**62))
        for worker in workers:
            worker.router.close(5)
        assert sum(len(worker.engine.got) for worker in workers) == 3000
