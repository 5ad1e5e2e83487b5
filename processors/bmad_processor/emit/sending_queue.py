"""A bounded queue with one delivering thread: backoff, give-up and orderly stop for every exporter.

Requests and bytes count from `offer` until the outcome is known, the one being sent included, because that is how long
the memory is held. Every request that leaves is counted under exactly one outcome.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from bmad_processor.model import Signal

from .config import QueueConfig, RetryConfig
from .outcome import Permanent, Transient
from .request import ExportRequest

_LOG: Final = logging.getLogger("bmad_otel.collector")

COUNTERS: Final = (
    "sent_requests",
    "sent_items",
    "failed_requests",
    "failed_items_permanent",
    "failed_items_retries_exhausted",
    "failed_items_shutdown",
    "rejected_items_partial_success",
    "refused_requests_queue_full",
    "retries",
    *(f"{what}_{signal}" for what in ("sent", "send_failed", "enqueue_failed") for signal in Signal),
)
"""Counters that only grow; as present values come `queue_requests` and `queue_bytes`, `queue_size` and `queue_capacity`
in requests, and `in_flight_requests`. ``<what>_<signal>`` are items by what became of them."""

MULTIPLIER: Final = 1.5
"""Growth of the backoff interval, the Collector's."""

_LOG_INTERVAL_S: Final = 30.0
"""A backend that fails and recovers every second is not worth a line each time."""


class Sender(Protocol):
    """Delivers one request; used by one thread."""

    def open(self) -> None:
        """Prepare, before the first `send`. Raises `errors.StartError` for what cannot work."""
        ...

    def send(self, request: ExportRequest) -> int:
        """Deliver, and return how many items the backend said it did not take (`partial_success`).

        Raises `Permanent` or `Transient`; anything else counts as permanent and is logged as our bug.
        """
        ...

    def close(self) -> None:
        """Release everything; may be called while another thread is in `send`, which should then fail soon."""
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
        clock: Callable[[], float] = time.monotonic,
        wait: Wait = _wait,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._sender = sender
        self._limits = queue
        self._retry = retry
        self._clock = clock
        self._wait = wait
        self._draw = draw

        self._changed = threading.Condition()
        self._waiting: deque[ExportRequest] = deque()
        self._sending: ExportRequest | None = None
        self._bytes = 0
        self._counts = dict.fromkeys(COUNTERS, 0)
        self._is_stopped = False
        self._is_handing_over = False
        """What is not settled yet is for a successor: it is neither tried again nor given up here."""
        self._is_abandoned = False
        """The stop deadline has passed: what is still out is settled by `stop`."""
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self._thread: threading.Thread | None = None

        self.trouble = ""
        """Why it cannot deliver; empty while it does. Read without a lock."""
        self._failing_since: float | None = None
        self._is_failure_logged = False
        self._last_line = float("-inf")

    @property
    def name(self) -> str:
        return self._name

    def start(self) -> None:
        """Open the sender and begin to deliver. Raises `errors.StartError`."""
        self._sender.open()
        self._thread = threading.Thread(target=self._run, name=f"export-{self._name}", daemon=True)
        self._thread.start()

    def has_room(self, body_bytes: int) -> bool:
        """Whether a request of this size would be taken now."""
        with self._changed:
            return self._fits(body_bytes)

    def offer(self, request: ExportRequest) -> bool:
        """Take the request, or say False and take nothing."""
        with self._changed:
            if not self._fits(len(request.body)):
                self._counts["refused_requests_queue_full"] += 1
                self._counts[f"enqueue_failed_{request.signal}"] += request.items
                return False
            self._waiting.append(request)
            self._bytes += len(request.body)
            self._changed.notify()
            return True

    def counters(self) -> dict[str, int]:
        """Everything in `COUNTERS`, and what is in the queue now."""
        with self._changed:
            return {
                **self._counts,
                "queue_requests": self._n(),
                "queue_bytes": self._bytes,
                "queue_size": self._n(),
                "queue_capacity": self._limits.queue_size,
                "in_flight_requests": int(self._sending is not None),
            }

    def hand_over(self, timeout_s: float) -> list[ExportRequest]:
        """End for a successor; see `request.Exporter`. A request that is being sent when the time is over is given back
        as well: the backend may get it twice."""
        with self._changed:
            if self._is_stopped:
                return []
            self._is_stopped = self._is_handing_over = True
            self._deadline = self._clock()  # nothing further is taken
            self._stopping.set()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        with self._changed:
            self._is_abandoned = True
            left = ([self._sending] if self._sending else []) + list(self._waiting)
            self._sending = None
            self._waiting.clear()
            self._bytes = 0
        self._sender.close()
        return left

    def adopt(self, requests: list[ExportRequest]) -> None:
        """Take what a predecessor handed over, before everything else and whatever the bounds say."""
        with self._changed:
            self._waiting.extendleft(reversed(requests))
            self._bytes += sum(len(request.body) for request in requests)
            self._changed.notify()

    def stop(self, timeout_s: float) -> None:
        """Take nothing more, deliver what is queued within ``timeout_s``, give up and count the rest."""
        with self._changed:
            if self._is_stopped:
                return
            self._is_stopped = True
            self._deadline = self._clock() + timeout_s
            self._stopping.set()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        with self._changed:
            self._is_abandoned = True
            left = ([self._sending] if self._sending else []) + list(self._waiting)
            self._sending = None
            self._waiting.clear()
            self._bytes = 0
            self._counts["failed_requests"] += len(left)
            self._counts["failed_items_shutdown"] += sum(request.items for request in left)
            for request in left:
                self._counts[f"send_failed_{request.signal}"] += request.items
            given_up = self._counts["failed_items_shutdown"]
        self._sender.close()
        if given_up:
            _LOG.warning("exporter %s: %d items were not delivered at shutdown", self._name, given_up)
        for request in left:
            self._tell(request, False)

    def _n(self) -> int:
        return len(self._waiting) + (self._sending is not None)

    def _fits(self, body_bytes: int) -> bool:
        if self._is_stopped:
            return False
        n = self._n()
        return not n or (n < self._limits.queue_size and self._bytes + body_bytes <= self._limits.max_bytes)

    def _tell(self, request: ExportRequest, is_delivered: bool) -> None:
        if request.on_done is None:
            return
        try:
            request.on_done(is_delivered)
        except Exception:  # noqa: BLE001 - theirs, and must not end the delivering thread
            _LOG.exception("exporter %s: on_done failed", self._name)

    # What follows runs in the delivering thread ---------------------------------------------------------------------

    def _run(self) -> None:
        while (request := self._take()) is not None:
            self._deliver(request)

    def _take(self) -> ExportRequest | None:
        with self._changed:
            while not self._waiting and not self._is_stopped:
                self._changed.wait()
            if not self._waiting or self._clock() >= self._deadline:
                return None
            self._sending = self._waiting.popleft()
            return self._sending

    def _deliver(self, request: ExportRequest) -> None:
        began = self._clock()
        interval_s = self._retry.initial_interval / 1e9
        while True:
            try:
                rejected = self._sender.send(request)
            except Transient as error:
                self._note_failure(str(error))
                failed_as = self._back_off(began, interval_s, error.retry_after_s)
                if self._is_handed_over():
                    return
                if failed_as is not None:
                    self._settle(request, failed_as)
                    return
                interval_s = min(interval_s * MULTIPLIER, self._retry.max_interval / 1e9)
            except Permanent as error:
                self._note_failure(str(error))
                self._settle(request, "failed_items_permanent")
                return
            except Exception as error:  # noqa: BLE001 - a bug in a sender must not end the delivering thread
                self._note_failure(f"internal error: {error!r}")
                self._settle(request, "failed_items_permanent")
                return
            else:
                self._note_success()
                self._settle(request, None, rejected)
                return

    def _back_off(self, began: float, interval_s: float, retry_after_s: float | None) -> str | None:
        """Wait for the next attempt. The counter to give up under, or None to try again."""
        now = self._clock()
        delay_s = max(self._draw() * interval_s, retry_after_s or 0.0)
        longest_s = self._retry.max_elapsed_time / 1e9
        if not self._retry.enabled or (longest_s and now + delay_s - began > longest_s):
            return "failed_items_retries_exhausted"
        if self._is_handed_over():
            return None
        if self._stopping.is_set():
            # the wait must not be cut short by the event any more: the rest of the time is for further attempts
            if now + delay_s >= self._deadline:
                return "failed_items_shutdown"
            self._wait(threading.Event(), delay_s)
        else:
            self._wait(self._stopping, delay_s)  # a stop ends the wait: one more attempt at once
            if self._is_handed_over():
                return None
        with self._changed:
            self._counts["retries"] += 1
        return None

    def _is_handed_over(self) -> bool:
        with self._changed:
            return self._is_handing_over

    def _settle(self, request: ExportRequest, failed_as: str | None, rejected: int = 0) -> None:
        with self._changed:
            if self._is_abandoned:
                return
            self._sending = None
            self._bytes -= len(request.body)
            if failed_as is None:
                rejected = min(max(rejected, 0), request.items)
                self._counts["sent_requests"] += 1
                self._counts["sent_items"] += request.items - rejected
                self._counts[f"sent_{request.signal}"] += request.items - rejected
                self._counts["rejected_items_partial_success"] += rejected
            else:
                self._counts["failed_requests"] += 1
                self._counts[failed_as] += request.items
                self._counts[f"send_failed_{request.signal}"] += request.items
        self._tell(request, failed_as is None)

    def _note_failure(self, reason: str) -> None:
        self.trouble = reason
        if self._failing_since is not None:
            return
        now = self._failing_since = self._clock()
        self._is_failure_logged = now - self._last_line >= _LOG_INTERVAL_S
        if self._is_failure_logged:
            self._last_line = now
            _LOG.warning("exporter %s: cannot deliver: %s", self._name, reason)

    def _note_success(self) -> None:
        self.trouble = ""
        if self._failing_since is None:
            return
        if self._is_failure_logged:
            _LOG.info("exporter %s: delivers again after %.0f s", self._name, self._clock() - self._failing_since)
        self._failing_since = None
