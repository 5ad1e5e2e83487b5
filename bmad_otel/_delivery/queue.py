"""The SDK's batch processor, with a count of what does not fit into its queue."""

from __future__ import annotations

import itertools
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from bmad_otel import _guard
from bmad_otel._delivery.exporters import SpanSender
from bmad_otel._delivery.ledger import Reason

DEFAULT_QUEUE_SIZE: Final = 2048
"""Of OTEL_BSP_MAX_QUEUE_SIZE, by the specification."""


class CountedBatches(BatchSpanProcessor):
    """Spans in, batches out to a `SpanSender`.

    The SDK's queue drops the oldest span when it is full and logs it; here the newest is dropped, counted and said
    once.
    """

    def __init__(self, sender: SpanSender, queue_size: int, schedule_delay_ms: float | None) -> None:
        super().__init__(sender, max_queue_size=queue_size, schedule_delay_millis=schedule_delay_ms)
        self._sender = sender
        self._queue_size = queue_size
        self.begin()

    def begin(self) -> None:
        """Count from nothing; in a forked child the queue is empty."""
        self._entered = itertools.count(1)  # `next` is one step for the interpreter: no lock on the hot path
        self._last = 0
        self._sender.taken = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Queue ``span`` if it is sampled and there is room."""
        if not span.context.trace_flags.sampled:
            return
        if self._last - self._sender.taken >= self._queue_size:
            self._sender.sender.ledger.drop(1, Reason.QUEUE_FULL)
            _guard.warn_once(
                "span queue",
                "bmad_otel: more than %d spans wait to be sent; further ones are dropped and counted, metrics are not "
                "affected. OTEL_BSP_MAX_QUEUE_SIZE sets the number",
                self._queue_size,
            )
            return
        self._last = next(self._entered)
        super().on_end(span)

    def waiting(self) -> int:
        """Spans in the queue."""
        return max(0, self._last - self._sender.taken)
