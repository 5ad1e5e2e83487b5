"""What a receiver hands requests to: the pipeline, seen from the edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from bmad_processor.model import Signal


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request was taken, perhaps without some of its items (OTLP `partial_success`)."""

    rejected: int = 0
    """Spans, data points or log records that were not taken and must not be sent again."""
    message: str = ""
    """Why, in English; with nothing rejected it is a warning to the sender."""


ACCEPTED: Final = Accepted()
"""Full success, shared so that the usual answer allocates nothing."""


class Consumer(Protocol):
    """Takes request bodies; called from several threads at once."""

    @property
    def may_wait(self) -> bool:
        """Whether `consume` may block for a disk, so that a thread which serves others must not call it."""
        ...

    def consume(self, signal: Signal, body: bytes) -> Accepted:
        """Take one Export*ServiceRequest in protobuf bytes, decompressed and not yet decoded.

        Raises `errors.Malformed`, `errors.TooLarge` or `errors.Overloaded`; the sender is told which. Anything else
        is our own bug: the sender is told INTERNAL (HTTP 500), it is logged at a bounded rate, and the server lives on.
        """
        ...
