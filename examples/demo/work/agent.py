"""What `agents_process` needs to know of an agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Task = Callable[[], Awaitable[object] | object]
"""One call of a tracked method, not yet made; a coroutine is awaited."""


class Agent(Protocol):
    """An agent of the demo. Its class is decorated with nothing; its tasks are, with ``@track_task``."""

    every_s: float
    """Least time from the start of one task to the start of the next."""
    share: float
    """Largest part of the time it may be at work; it rests after a task in proportion to what the task took."""

    def tasks(self) -> Iterator[Task | None]:
        """What to do next, for ever. None: nothing at the moment."""
        ...


@dataclass(slots=True)
class Surroundings:
    """What an agent may use of the world around it."""

    workspace: Path
    """Directory of this run, shared by all its processes."""
    backlog_url: str = ""
    orders: dict[str, str] = field(default_factory=dict)
    """What the conductor asked for last, by name; written by the thread that listens to it."""

    def order(self, name: str, default: int) -> int:
        """The number the conductor gave for ``name``."""
        orders: Mapping[str, str] = self.orders
        return int(orders.get(name, default))
