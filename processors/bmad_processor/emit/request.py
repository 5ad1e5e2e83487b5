"""What is handed to an exporter, and what an exporter is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

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
    sending it again would be wrong. False: it was given up."""


class Exporter(Protocol):
    """Takes requests into a bounded queue and delivers them from a thread of its own."""

    @property
    def name(self) -> str:
        """Component id from the configuration, such as `otlp_grpc/backend`."""
        ...

    def start(self) -> None:
        """Open what is needed and begin to deliver. Raises `errors.StartError`."""
        ...

    def has_room(self, body_bytes: int) -> bool:
        """Whether a request of this size would be taken now."""
        ...

    def offer(self, request: ExportRequest) -> bool:
        """Take the request, or say False and take nothing."""
        ...

    def hand_over(self, timeout_s: float) -> list[ExportRequest]:
        """End for a successor: take nothing more, wait at most ``timeout_s`` for what is being sent, and give back what
        waits, in order and not counted as lost. Safe to call after `stop`, and `stop` after it."""
        ...

    def adopt(self, requests: list[ExportRequest]) -> None:
        """Take what a predecessor handed over, before everything else and whatever the bounds say."""
        ...

    def stop(self, timeout_s: float) -> None:
        """Take nothing more, deliver what is queued within ``timeout_s``, count the rest. Safe to call twice."""
        ...

    def counters(self) -> dict[str, int]:
        """What happened so far, by fixed names (`sending_queue.COUNTERS`)."""
        ...
