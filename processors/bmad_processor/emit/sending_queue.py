"""A bounded queue with delivering threads: joining, backoff, give-up and orderly stop for every exporter.

What is in the queue counts from `offer` until the outcome is known, what is being sent included, because that is how
long it is held. Every request that leaves is counted under exactly one outcome, however many were joined to send it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from bmad_processor.histogram import COUNT_BOUNDS, Histogram

from .backoff import Backoff
from .failure_log import FailureLog
from .lanes import PATIENCE_S, Lanes, Waiting
from .outcome import Permanent, Transient
from .queue_config import QueueConfig, RetryConfig
from .queue_file import QueueFile
from .request import ExportRequest
from .tally import Tally

_LOG: Final = logging.getLogger("bmad_otel.collector")

CACHE_BYTES: Final = 8 * 2**20
"""Bodies that are on disk and in memory as well: what is sent soon after it came is not read back."""

TIDY_S: Final = 0.2
"""What is delivered is deleted with the next insertions, or after so long without any."""

PAUSE_S: Final = 0.02
"""Between two calls of one consumer, so that a stream of requests does not become as many calls. What comes alone goes
at once, alerts always."""

_POLL_S: Final = PATIENCE_S
"""A consumer with nothing to do looks this often whether another one needs help."""


class Sender(Protocol):
    """Delivers requests; used by several threads at once."""

    can_join: bool
    """Whether several requests of one signal may be handed over as one."""

    def open(self) -> None:
        """Prepare, before the first `send`. Raises `errors.StartError` for what cannot work."""
        ...

    def send(self, request: ExportRequest) -> int:
        """Deliver, and return how many items the backend said it did not take (`partial_success`).

        Raises `Permanent` or `Transient`; anything else counts as permanent and is logged as our bug.
        """
        ...

    def close(self) -> None:
        """Release everything; may be called while other threads are in `send`, which should then fail soon."""
        ...


class Disk(Protocol):
    """Where a durable queue keeps its requests: `queue_file.QueueFile` and what it takes over."""

    @property
    def file(self) -> QueueFile: ...

    def open(self) -> list[Waiting]:
        """What was left by earlier runs, oldest first. Raises `errors.StartError`."""
        ...


Wait = Callable[[threading.Event, float], bool]
"""Wait for the event at most so many seconds; True when it is set."""


def _wait(event: threading.Event, seconds: float) -> bool:
    return event.wait(seconds)


class SendingQueue:
    """An `Exporter` around a `Sender`. Clock, waiting and randomness are parameters so that tests own the time."""

    def __init__(
        self,
        name: str,
        sender: Sender,
        queue: QueueConfig,
        retry: RetryConfig,
        *,
        disk: Disk | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Wait = _wait,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.may_wait = disk is not None
        self.joined: Final = Histogram(COUNT_BOUNDS)
        """Requests in each export call."""
        self._name = name
        self._sender = sender
        self._n_consumers = queue.num_consumers
        self._retries = retry.enabled
        self._patience_s = retry.patience_s(is_stored=disk is not None)
        self._disk = disk
        self._file: QueueFile | None = None
        self._clock = clock
        self._wait = wait
        self._draw = draw

        self._changed = threading.Condition()
        self._lanes = Lanes(queue.batch, joins=sender.can_join)
        self._pauses = sender.can_join
        self._out: set[Waiting] = set()
        """Taken from the lanes, outcome not known."""
        self._tally = Tally(queue)
        self._cached_bytes = 0
        self._n_calls = 0
        self._n_idle = self._n_watching = 0
        self._tidied_s = float("-inf")
        self._is_stopped = False
        self._is_handing_over = False
        """What is not settled yet is for a successor: it is neither tried again nor given up here."""
        self._is_abandoned = False
        """The stop deadline has passed: what is still out is settled by `stop`."""
        self._stopping = threading.Event()
        self._deadline_s = float("inf")
        self._threads: list[threading.Thread] = []
        self._backoff = Backoff(retry)
        self._failures = FailureLog(name, clock)

    @property
    def name(self) -> str:
        return self._name

    @property
    def trouble(self) -> str:
        """Why it cannot deliver; empty while it can."""
        return self._failures.reason

    def start(self) -> None:
        """Open the sender and the disk and begin to deliver. Raises `errors.StartError`."""
        self._sender.open()
        if self._disk is not None:
            self._recover(self._disk)
        for number in range(self._n_consumers):
            thread = threading.Thread(target=self._run, name=f"export-{self._name}-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _recover(self, disk: Disk) -> None:
        found = disk.open()
        with self._changed:
            self._file = disk.file
            for waiting in found:
                self._tally.came(waiting)
                self._lanes.add(waiting)
            self._tally.counts["recovered_requests"] += len(found)
            self._tally.counts["failed_requests"] += disk.file.n_lost
        if found:
            _LOG.info("exporter %s: %d requests were kept on disk and are sent now", self._name, len(found))

    def has_room(self, body_bytes: int) -> bool:
        """Whether a request of this size would be taken now."""
        with self._changed:
            return self._has_room(body_bytes, 1) and (self._file is None or self._file.can_write)

    def offer(self, request: ExportRequest) -> bool:
        """Take the request, or say False and take nothing. With a disk: True when it is there."""
        waiting = self._waiting(request)
        if self._disk is not None and request.on_done is None:
            return self._offer_to_disk(waiting)
        with self._changed:
            if not self._has_room(waiting.size, waiting.items):
                self._tally.refused(waiting, "refused_requests_queue_full")
                return False
            self._tally.came(waiting)
            self._add(waiting)
            return True

    def counters(self) -> dict[str, int]:
        """Everything in `COUNTERS`, and what is in the queue now."""
        with self._changed:
            return {**self._tally.show(), "in_flight_requests": self._n_calls}

    def hand_over(self, timeout_s: float) -> list[ExportRequest]:
        """End for a successor; see `request.Exporter`. What is on disk stays there for the successor to find."""
        with self._changed:
            if self._is_stopped:
                return []
            self._is_stopped = self._is_handing_over = True
            self._deadline_s = self._clock()  # nothing further is taken
            self._stopping.set()
            self._changed.notify_all()
        ends_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, ends_s - time.monotonic()))
        is_under_way = any(thread.is_alive() for thread in self._threads)
        with self._changed:
            self._is_abandoned = True
            self._changed.notify_all()
            for waiting in self._out:
                waiting.may_repeat |= is_under_way
            left = sorted([*self._out, *self._lanes], key=lambda waiting: waiting.since_s)
            self._out.clear()
            self._lanes.clear()
        self._sender.close()
        if self._file is not None:
            self._file.close(waiting.row for waiting in left if waiting.row and waiting.may_repeat)
        return [
            ExportRequest(w.signal, w.body or b"", w.items, w.on_done, w.is_urgent, w.may_repeat)
            for w in left
            if not w.row
        ]

    def adopt(self, requests: list[ExportRequest]) -> None:
        """Take what a predecessor handed over, whatever the bounds say. Called before anything is offered."""
        for request in requests:
            waiting = self._waiting(request)
            with self._changed:
                self._tally.came(waiting)
            # what cannot be stored is still here
            is_stored = self._file is not None and request.on_done is None and self._file.put(waiting)
            with self._changed:
                if is_stored:
                    self._cache(waiting)
                self._add(waiting)

    def stop(self, timeout_s: float) -> None:
        """Take nothing more, deliver what is queued within ``timeout_s``; keep the rest on disk, or give it up."""
        with self._changed:
            if self._is_stopped:
                return
            self._is_stopped = True
            self._deadline_s = self._clock() + timeout_s
            self._stopping.set()
            self._changed.notify_all()
        ends_s = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, ends_s - time.monotonic()))
        with self._changed:
            self._is_abandoned = True
            self._changed.notify_all()
            for waiting in self._out:
                waiting.may_repeat = True  # what is under way may arrive
            left = [*self._out, *self._lanes]
            self._out.clear()
            self._lanes.clear()
            lost = [waiting for waiting in left if not waiting.row]
            kept = [waiting for waiting in left if waiting.row]
            for waiting in lost:
                self._tally.failed(waiting, "failed_items_shutdown")
            given_up = self._tally.counts["failed_items_shutdown"]
        self._sender.close()
        if self._file is not None:
            self._file.close(waiting.row for waiting in kept if waiting.may_repeat)
        if given_up:
            _LOG.warning("exporter %s: %d items were not delivered at shutdown", self._name, given_up)
        if kept:
            n_items = sum(waiting.items for waiting in kept)
            _LOG.warning(
                "exporter %s: %d items in %d requests were not delivered at shutdown and are kept on disk for the next "
                "start", self._name, n_items, len(kept),
            )  # fmt: skip
        for waiting in lost:
            self._tell(waiting, False)

    def _waiting(self, request: ExportRequest) -> Waiting:
        return Waiting(
            request.signal, request.body, len(request.body), request.items, self._clock(), request.on_done,
            request.is_urgent, 0, request.is_redelivery,
        )  # fmt: skip

    def _offer_to_disk(self, waiting: Waiting) -> bool:
        with self._changed:
            file = self._file
            if file is None or not self._has_room(waiting.size, waiting.items):
                self._tally.refused(waiting, "refused_requests_queue_full")
                return False
            self._tally.came(waiting)
        is_stored = file.put(waiting)
        with self._changed:
            if not is_stored:
                self._tally.left(waiting)
                self._tally.refused(waiting, "refused_requests_disk")
                return False
            if self._is_abandoned:  # stopped meanwhile: it is on disk for the next start
                return True
            self._cache(waiting)
            self._add(waiting)
            return True

    def _has_room(self, n_bytes: int, n_items: int) -> bool:
        return not self._is_stopped and self._tally.fits(n_bytes, n_items)

    def _cache(self, waiting: Waiting) -> None:
        if self._cached_bytes + waiting.size > CACHE_BYTES:
            waiting.body = None
        else:
            self._cached_bytes += waiting.size
            waiting.is_cached = True

    def _add(self, waiting: Waiting) -> None:
        is_first = self._lanes.add(waiting)
        # who waits for the time of a lane's first request, or watches a busy consumer, needs no call for each further
        if self._n_idle and (
            (is_first and not self._n_watching) or self._lanes.is_due(waiting, is_busy=self._n_calls > 0)
        ):
            self._changed.notify()

    def _tell(self, waiting: Waiting, is_delivered: bool) -> None:
        if waiting.on_done is None:
            return
        try:
            waiting.on_done(is_delivered)
        except Exception:  # noqa: BLE001 - theirs, and must not end the delivering thread
            _LOG.exception("exporter %s: on_done failed", self._name)

    # What follows runs in the delivering threads --------------------------------------------------------------------

    def _run(self) -> None:
        while taken := self._take():
            try:
                self._deliver(taken)
            finally:
                with self._changed:
                    self._pause()
                    self._n_calls -= 1

    def _pause(self) -> None:
        """With the lock held, after a call: the next one takes more along. A stop, an alert or a full join ends it."""
        if not self._pauses or self._is_stopped or self._lanes.take_is_due():
            return
        self._n_idle += 1
        self._n_watching += 1
        self._changed.wait(PAUSE_S)
        self._n_idle -= 1
        self._n_watching -= 1

    def _take(self) -> list[Waiting]:
        """What to send next, as one; empty when it is time to end."""
        while True:
            with self._changed:
                now_s = self._clock()
                if self._is_abandoned or (self._is_stopped and (not self._lanes.n or now_s >= self._deadline_s)):
                    return []
                taken, wait_s = self._lanes.take(now_s, is_busy=self._n_calls > 0, is_stopping=self._is_stopped)
                if taken:
                    self._out.update(taken)
                    self._n_calls += 1
                    if self._lanes.n and self._n_idle and not self._n_watching:
                        self._changed.notify()
                    return taken
                if not self._must_tidy(now_s):
                    self._rest(wait_s)
                    continue
            if self._file is not None:
                self._file.tidy()

    def _must_tidy(self, now_s: float) -> bool:
        if self._file is None or not self._file.n_to_delete or now_s - self._tidied_s < TIDY_S:
            return False
        self._tidied_s = now_s
        return True

    def _rest(self, wait_s: float | None) -> None:
        """With the lock held: waits for a call, or for the time when something is due."""
        if wait_s is None and self._n_calls and not self._n_watching:
            wait_s = _POLL_S
        if self._file is not None and self._file.n_to_delete:
            wait_s = TIDY_S if wait_s is None else min(wait_s, TIDY_S)
        is_watching = wait_s is not None and wait_s <= _POLL_S
        self._n_idle += 1
        self._n_watching += is_watching
        self._changed.wait(wait_s)
        self._n_idle -= 1
        self._n_watching -= is_watching

    def _deliver(self, taken: list[Waiting]) -> None:
        taken = self._load(taken)
        if not taken:
            return
        request = _join(taken)
        streak = self._backoff.streak()
        began_s = self._clock()
        while True:
            self._hold()
            try:
                with self._changed:
                    self._tally.counts["calls"] += 1
                self.joined.observe(len(taken))
                rejected = self._sender.send(request)
            except Transient as error:
                self._failures.failed(str(error))
                if not error.is_answered and not request.is_redelivery:
                    request = replace(request, is_redelivery=True)
                    for waiting in taken:
                        waiting.may_repeat = True
                now_s = self._clock()
                delay_s = self._backoff.delay_s(streak, now_s, self._draw(), error.retry_after_s)
                if not self._retries or (self._patience_s and now_s + delay_s - began_s > self._patience_s):
                    self._settle(taken, "failed_items_retries_exhausted")
                    return
                if not self._sleep(delay_s):
                    if not self._is_handing_over and not any(waiting.row for waiting in taken):
                        self._settle(taken, "failed_items_shutdown")
                    return
                with self._changed:
                    self._tally.counts["retries"] += 1
            except Permanent as error:
                self._failures.failed(str(error))
                if len(taken) == 1 or error.concerns_all:
                    self._settle(taken, "failed_items_permanent")
                    return
                self._split(taken, error)
                return
            except Exception as error:  # noqa: BLE001 - a bug in a sender must not end the delivering thread
                self._failures.failed(f"internal error: {error!r}")
                self._settle(taken, "failed_items_permanent")
                return
            else:
                self._failures.succeeded()
                self._backoff.succeeded(self._clock())
                self._settle(taken, None, rejected)
                return

    def _load(self, taken: list[Waiting]) -> list[Waiting]:
        if self._file is None:
            return taken
        damaged = self._file.load(taken)
        if not damaged:
            return taken
        self._settle(damaged, "failed_items_damaged")
        return [waiting for waiting in taken if waiting not in damaged]

    def _split(self, taken: list[Waiting], error: Permanent) -> None:
        """One bad request takes no others along: each by itself."""
        if error.is_size:
            with self._changed:
                limit = self._lanes.shrink(sum(waiting.size for waiting in taken))
            _LOG.info("exporter %s: no more than %d bytes are joined from now on", self._name, limit)
        for waiting in taken:
            self._deliver([waiting])

    def _hold(self) -> None:
        """Waits as long as the backend asked for, whichever request it told; a stop ends that."""
        while not self._stopping.is_set() and (delay_s := self._backoff.not_before_s - self._clock()) > 0:
            self._wait(self._stopping, delay_s)

    def _sleep(self, delay_s: float) -> bool:
        """Waits before another attempt. False: the time for stopping is over before that."""
        if self._stopping.is_set():
            # the wait must not be cut short by the event any more: the rest of the time is for further attempts
            if self._clock() + delay_s >= self._deadline_s:
                return False
            self._wait(threading.Event(), delay_s)
        else:
            self._wait(self._stopping, delay_s)  # a stop ends the wait: one more attempt at once
        return not self._is_handing_over

    def _settle(self, taken: list[Waiting], failed_as: str | None, rejected: int = 0) -> None:
        with self._changed:
            if self._is_abandoned:
                return
            for waiting in taken:
                self._out.discard(waiting)
                if failed_as is None:
                    self._tally.delivered(waiting)
                else:
                    self._tally.failed(waiting, failed_as)
                if waiting.is_cached:
                    self._cached_bytes -= waiting.size
            self._tally.rejected(taken, rejected)
            if self._file is not None:
                self._file.done([waiting.row for waiting in taken if waiting.row])
        for waiting in taken:
            self._tell(waiting, failed_as is None)


def _join(taken: list[Waiting]) -> ExportRequest:
    """Serialized requests of one signal, end to end, are one valid request."""
    first = taken[0]
    bodies = [waiting.body or b"" for waiting in taken]
    body = bodies[0] if len(taken) == 1 else b"".join(bodies)
    items = sum([waiting.items for waiting in taken])
    return ExportRequest(first.signal, body, items, is_urgent=first.is_urgent, is_redelivery=first.may_repeat)
