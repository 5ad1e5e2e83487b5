"""What a collector consists of: parts that start and stop, each wanted by the configuration.

A part is *wanted* with everything it is built from. Two equal wishes are one part, which is how a reload knows what may
stay as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Part(Protocol):
    """Something that runs for a while. One that counts has ``counters() -> dict[str, int]``, which the status shows."""

    def start(self) -> None:
        """Raises StartError; then nothing of it runs."""
        ...

    def stop(self, timeout_s: float) -> None:
        """Ends within ``timeout_s``. Safe to call twice, and when `start` failed."""
        ...


class Listener(Part, Protocol):
    """A part that others connect to."""

    @property
    def endpoint(self) -> str:
        """host:port as it really listens."""
        ...


P = TypeVar("P", bound=Part, covariant=True)


@dataclass(frozen=True, slots=True)
class Wanted(Generic[P]):
    """A part as a configuration asks for it."""

    name: str
    """Its id in the configuration; a receiver's with its protocol, such as ``otlp/grpc``."""
    settings: tuple[object, ...]
    """Everything it is built from. A reload leaves a part alone whose name and settings are the same."""
    build: Callable[[], P] = field(compare=False)
    """Makes it, not started yet. May raise StartError."""
    endpoint: str = ""
    """Of a listener: where it is to listen."""
