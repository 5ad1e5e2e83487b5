"""Hands samples to the owners of their partitions, and knows when all of them have what came before a mark."""

from __future__ import annotations

import marshal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from bmad_processor.model import Sample

from .channel import Channel, Kind
from .link import Link
from .ownership import Ownership
from .samples import dump_samples, load_samples

STOP_MARK: Final = 2**62
"""Above every mark of a question: behind it comes nothing more."""

_NO_ENGINE_S: Final = 5.0
"""A reload puts another engine in the place of the old one in a moment."""

_HOLD_S: Final = 15.0
"""Longer than a reload takes, even one that fails and is undone."""

_POLL_S: Final = 0.02

TokenSender = tuple[str, str]
"""Namespace and instance of a sender."""


class Engine(Protocol):
    """What takes the samples of this worker's own partitions."""

    def take(self, now_ns: int, samples: tuple[Sample, ...]) -> None: ...


class Shared(Protocol):
    """What workers tell each other of senders: which have the token metric, so that their spans are not counted too."""

    def new_token_senders(self) -> Sequence[TokenSender]:
        """Those that were found since the last call."""
        ...

    def all_token_senders(self) -> Sequence[TokenSender]: ...

    def told_token_senders(self, senders: Iterable[TokenSender], time_ns: int) -> Sequence[Sample]:
        """What another worker found; gives what is to be told to the engines for it."""
        ...


class Router:
    """The sink of one worker's pipelines, and where samples of the other workers arrive. Thread-safe.

    ``engine`` gives the engine of this process as it is now; None while there is none.
    """

    def __init__(
        self,
        ownership: Ownership,
        engine: Callable[[], Engine | None],
        shared: Shared,
        *,
        clock: Callable[[], int],
    ) -> None:
        self._ownership = ownership
        self._engine = engine
        self._shared = shared
        self._clock = clock
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._is_open = threading.Event()
        self._is_open.set()
        self._marks = dict.fromkeys(range(ownership.workers), 0)
        self._n_received = self._n_dropped = 0
        self._links = {
            worker: Link(worker, self._take_frame, self._changed)
            for worker in range(ownership.workers)
            if worker != ownership.worker
        }

    def connect(self, worker: int, channel: Channel) -> None:
        """A connection to another worker, the first or a new one."""
        with self._lock:
            self._marks[worker] = 0
        link = self._links[worker]
        link.connect(channel)
        # one that was started anew knows nothing; what it found itself it tells the same way
        if senders := self._shared.all_token_senders():
            link.put(Kind.SENDERS, marshal.dumps(list(senders)))

    def take(self, now_ns: int, samples: tuple[Sample, ...]) -> None:
        """Own ones to the engine of this process, the others on their way to their owners."""
        if news := self._shared.new_token_senders():
            data = marshal.dumps(list(news))
            for link in self._links.values():
                if link.is_connected:
                    link.put(Kind.SENDERS, data)
        owner, me = self._ownership.owner, self._ownership.worker
        parts: dict[int, list[Sample]] = {}
        for sample in samples:
            parts.setdefault(owner(sample.key), []).append(sample)
        own = parts.pop(me, None)
        for worker, theirs in parts.items():
            self._links[worker].put(Kind.SAMPLES, dump_samples(theirs), n_samples=len(theirs))
        if own is not None:
            self._step(now_ns, tuple(own))

    def settle(self, mark: int, timeout_s: float) -> bool:
        """Tells every worker that all of its samples so far are on their way, and waits until they have said so too.

        True when everything that any worker took before it was asked for ``mark`` is in the engines. A worker that is
        away, or that goes away, is not waited for.
        """
        for link in self._links.values():
            if link.is_connected:
                link.put(Kind.MARK, str(mark).encode())
        deadline = time.monotonic() + timeout_s
        with self._news:
            while not all(self._marks[link.peer] >= mark or not link.is_connected for link in self._links.values()):
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                self._news.wait(left_s)
            return True

    def counters(self) -> dict[str, int]:
        """``routed_samples`` to other workers, ``received_samples`` from them, ``waiting_samples`` for a worker that is
        away or behind, ``dropped_samples`` when too many waited."""
        counts = [link.counters() for link in self._links.values()]
        sent, dropped, waiting = (sum(of_link[at] for of_link in counts) for at in range(3))
        with self._lock:
            received, dropped = self._n_received, dropped + self._n_dropped
        return {
            "routed_samples": sent, "received_samples": received,
            "waiting_samples": waiting, "dropped_samples": dropped,
        }  # fmt: skip

    def close(self, timeout_s: float) -> None:
        """Sends what waits for workers that are there, then ends the connections. Safe to call twice."""
        deadline = time.monotonic() + timeout_s
        for link in self._links.values():
            link.close(max(0.0, deadline - time.monotonic()))

    def hold(self) -> None:
        """What other workers send waits until `release`."""
        self._is_open.clear()

    def release(self) -> None:
        """Ends `hold`."""
        self._is_open.set()

    def _step(self, now_ns: int, samples: tuple[Sample, ...]) -> None:
        deadline = time.monotonic() + _NO_ENGINE_S
        while (engine := self._engine()) is None:
            if time.monotonic() >= deadline:
                with self._lock:
                    self._n_dropped += len(samples)
                return
            time.sleep(_POLL_S)
        engine.take(now_ns, samples)

    def _changed(self) -> None:
        with self._news:
            self._news.notify_all()

    def _take_frame(self, worker: int, kind: Kind, data: bytes) -> None:
        self._is_open.wait(_HOLD_S)
        if kind is Kind.SAMPLES:
            samples = load_samples(data)
            self._step(self._clock(), samples)
            with self._lock:
                self._n_received += len(samples)
        elif kind is Kind.MARK:
            with self._news:
                self._marks[worker] = max(self._marks[worker], int(data))
                self._news.notify_all()
        elif kind is Kind.SENDERS:
            now_ns = self._clock()
            senders = [(namespace, instance) for namespace, instance in marshal.loads(data)]  # noqa: S302 - our own
            if samples := tuple(self._shared.told_token_senders(senders, now_ns)):
                self.take(now_ns, samples)
