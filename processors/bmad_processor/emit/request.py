"""What is handed to an exporter, and what an exporter is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from bmad_processor.model import Signal


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """One Export*ServiceRequest on its way out."""

    signal: Signal
    body: bytes
    """Protobuf bytes; leave as they came."""
    items: int
    """Spans, data points or log records in it, for counting."""
    on_done: Callable[[bool], None] | None = None
    """Called exactly once with the final outcome, from the exporter's thread (from the thread that calls `stop` for
    what is left at shutdown). True: the backend answered that it has the request, perhaps without single items;
    sending it again would be wrong. False: it was given up. Such a request is never stored on disk: who waits for its
    outcome offers it again."""
    is_urgent: bool = False
    """Goes ahead of what is not."""
    is_redelivery: bool = False
    """The backend may have it already: nobody knows how an earlier attempt ended."""


REDELIVERED: Final = "bmad-otel-redelivered"
"""gRPC metadata and HTTP header, with the value ``true``, of a request that is a redelivery."""


class Exporter(Protocol):
    """Takes requests into a bounded queue and delivers them from threads of its own."""

    may_wait: bool
    """`offer` may wait for a disk."""

    @property
    def name(self) -> str:
        """Component id from the configuration, such as `otlp_grpc/backend`."""
        ...

    @property
    def trouble(self) -> str:
        """Why it cannot deliver; empty while it can. Takes no lock."""
        ...

    def start(self) -> None:
        """Open what is needed and begin to deliver. Raises `errors.StartError`."""
        ...

    def has_room(self, body_bytes: int) -> bool:
        """Whether a request of this size would be taken now."""
        ...

    def offer(self, request: ExportRequest) -> bool:
        """Take the request, or say False and take nothing. True from an exporter with storage: it is on disk."""
        ...

    def hand_over(self, timeout_s: float) -> list[ExportRequest]:
        """End for a successor: take nothing more, wait at most ``timeout_s`` for what is being sent, and give back what
        waits, in order and not counted as lost. Safe to call after `stop`, and `stop` after it."""
        ...

    def adopt(self, requests: list[ExportRequest]) -> None:
        """Take what a predecessor handed over, before everything else and whatever the bounds say."""
        ...

    def stop(self, timeout_s: float) -> None:
        """Take nothing more, deliver what is queued within ``timeout_s``; the rest is kept on disk, or counted as lost.

        Safe to call twice.
        """
        ...

    def counters(self) -> dict[str, int]:
        """What happened so far and what waits, by fixed names (`counts.COUNTERS`)."""
        ...
