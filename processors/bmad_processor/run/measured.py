"""A consumer that is measured: how long requests take, how large they are, how they end."""

from __future__ import annotations

import time
from typing import Any

from bmad_processor.errors import Overloaded
from bmad_processor.histogram import DURATION_BOUNDS_S, SIZE_BOUNDS_BYTES, Histogram
from bmad_processor.model import Signal
from bmad_processor.receive import Accepted
from bmad_processor.receive.consumer import Consumer


class Requests:
    """What is known of the requests of one receiver and protocol. Costs two microseconds a request."""

    def __init__(self) -> None:
        self._durations = Histogram(DURATION_BOUNDS_S)
        self._sizes = Histogram(SIZE_BOUNDS_BYTES)
        self._outcomes = dict.fromkeys(("success", "refused", "failure"), 0)

    def done(self, outcome: str, duration_s: float, n_bytes: int) -> None:
        """One request: ``success``, ``refused`` (send it again) or ``failure``."""
        self._outcomes[outcome] += 1  # may miss one under a race of threads, which is not worth a lock
        self._durations.observe(duration_s)
        self._sizes.observe(n_bytes)

    def to_dict(self) -> dict[str, Any]:
        """As the status has it."""
        sizes = self._sizes.to_dict()
        return {**self._outcomes, "duration_s": self._durations.to_dict(), "size_bytes": sizes}


class Measured:
    """Another consumer with its requests measured."""

    def __init__(self, consumer: Consumer, requests: Requests) -> None:
        self._consumer = consumer
        self._consume = consumer.consume
        self._done = requests.done

    @property
    def may_wait(self) -> bool:
        """As the other one; a reload may change it."""
        return self._consumer.may_wait

    def consume(self, signal: Signal, body: bytes) -> Accepted:
        """As `Consumer` has it."""
        began_s = time.perf_counter()
        outcome = "failure"
        try:
            accepted = self._consume(signal, body)
            outcome = "success"
            return accepted
        except Overloaded:
            outcome = "refused"
            raise
        finally:
            self._done(outcome, time.perf_counter() - began_s, len(body))
