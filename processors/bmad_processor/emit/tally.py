"""What is in a queue, whether more fits, and what became of everything else. No lock: the queue's own is held."""

from __future__ import annotations

from .counts import COUNTERS
from .lanes import Waiting
from .queue_config import QueueConfig


class Tally:
    """Of one exporter."""

    def __init__(self, config: QueueConfig) -> None:
        self._sizer = config.sizer
        self._capacity = config.capacity
        self._max_bytes = config.byte_limit
        self._n_requests = 0
        self._n_items = 0
        self._n_bytes = 0
        self.counts = dict.fromkeys(COUNTERS, 0)

    def fits(self, n_bytes: int, n_items: int) -> bool:
        """Whether there is room. With nothing else waiting there always is, or a large request could never pass."""
        if not self._n_requests:
            return True
        more = {"bytes": n_bytes, "items": n_items, "requests": 1}[self._sizer]
        return self._measure() + more <= self._capacity and self._n_bytes + n_bytes <= self._max_bytes

    def came(self, waiting: Waiting) -> None:
        """It is in the queue."""
        self._n_requests += 1
        self._n_items += waiting.items
        self._n_bytes += waiting.size

    def left(self, waiting: Waiting) -> None:
        """It is not in the queue any more."""
        self._n_requests -= 1
        self._n_items -= waiting.items
        self._n_bytes -= waiting.size

    def refused(self, waiting: Waiting, counter: str) -> None:
        """It was not taken."""
        self.counts[counter] += 1
        self.counts[f"enqueue_failed_{waiting.signal}"] += waiting.items

    def delivered(self, waiting: Waiting) -> None:
        """The backend has it."""
        self.left(waiting)
        self.counts["sent_requests"] += 1
        self.counts["sent_items"] += waiting.items
        self.counts[f"sent_{waiting.signal}"] += waiting.items
        if waiting.may_repeat:
            self.counts["redelivered_items"] += waiting.items

    def rejected(self, taken: list[Waiting], n_items: int) -> None:
        """Of what was delivered together the backend left out so many items."""
        n_items = min(max(n_items, 0), sum(waiting.items for waiting in taken))
        if n_items:
            self.counts["sent_items"] -= n_items
            self.counts[f"sent_{taken[0].signal}"] -= n_items
            self.counts["rejected_items_partial_success"] += n_items
            self.counts[f"send_failed_{taken[0].signal}"] += n_items

    def failed(self, waiting: Waiting, counter: str) -> None:
        """It was given up; ``counter`` is one of `counts.OUTCOMES`."""
        self.left(waiting)
        self.counts["failed_requests"] += 1
        self.counts[counter] += waiting.items
        self.counts[f"send_failed_{waiting.signal}"] += waiting.items

    def show(self) -> dict[str, int]:
        """Every counter, and what is in the queue now."""
        return {
            **self.counts,
            "queue_requests": self._n_requests,
            "queue_bytes": self._n_bytes,
            "queue_size": self._measure(),
            "queue_capacity": self._capacity,
        }

    def _measure(self) -> int:
        if self._sizer == "bytes":
            return self._n_bytes
        return self._n_items if self._sizer == "items" else self._n_requests
