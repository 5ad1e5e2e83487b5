"""What sending one request came to, in terms of what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Taken:
    """The receiver has it, but for ``rejected`` items, of which it says ``message``."""

    rejected: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Again:
    """It may arrive another time, not before ``after_s`` if the receiver has said so.

    ``error_type`` is a short fixed word, ``message`` for people. ``was_reached`` if something at the address took the
    connection: then the request itself may be the trouble.
    """

    error_type: str
    message: str
    was_reached: bool = True
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never be taken as things are: because of what it is (``is_content``), or because of an address, key or
    certificate that somebody may set right."""

    error_type: str
    message: str
    is_content: bool


Answer = Taken | Again | Refused


class Transport(Protocol):
    """Sends requests of one signal to one place. One thread sends; any thread may ``stop`` or ``close``."""

    def send(self, body: bytes, timeout_s: float) -> Answer:
        """Send a serialized export request and wait for the answer for at most about ``timeout_s``; never raises."""
        ...

    def stop(self) -> None:
        """Let a `send` under way end soon, as failed, and leave nothing open that does not survive a fork."""
        ...

    def forget(self) -> None:
        """In a forked child: let go of the parent's connection without a word to the other side."""
        ...
