"""The running parts of one kind, by name."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from .deadline import Deadline
from .part import Part, Wanted

P = TypeVar("P", bound=Part)

_UNDO_S: Final = 1.0
"""For a part that could not start: there is nothing to wait for."""


class Shelf(Generic[P]):
    """Parts in the order they were started. Not thread-safe: starting, reloading and stopping exclude each other."""

    def __init__(self, share_s: float) -> None:
        """``share_s`` is the most that one part may take to stop."""
        self._share_s = share_s
        self._wanted: dict[str, Wanted[P]] = {}
        self.parts: dict[str, P] = {}
        """The running ones by name."""

    def start(self, wanted: Wanted[P]) -> P:
        """Builds and starts a part. Raises StartError; then nothing of it is left."""
        part = wanted.build()
        try:
            part.start()
        except BaseException:
            part.stop(_UNDO_S)
            raise
        self.put(wanted, part)
        return part

    def put(self, wanted: Wanted[P], part: P) -> None:
        """A part that runs already."""
        self._wanted[wanted.name] = wanted
        self.parts[wanted.name] = part

    def take(self, name: str) -> tuple[Wanted[P], P]:
        """A part is no longer of this shelf; it goes on running."""
        return self._wanted.pop(name), self.parts.pop(name)

    def stop(self, name: str, deadline: Deadline) -> Wanted[P]:
        """Ends a part; gives what it was built from."""
        wanted, part = self.take(name)
        part.stop(deadline.share(self._share_s))
        return wanted

    def stop_all(self, deadline: Deadline) -> None:
        """Ends them all, the last started first. Safe to call twice."""
        for name in reversed(list(self.parts)):
            self.stop(name, deadline)

    def stop_together(self, deadline: Deadline) -> None:
        """Ends them all at once, so that one that waits for a dead backend does not take the time of the others."""
        parts = [self.take(name)[1] for name in reversed(list(self.parts))]
        if parts:
            with ThreadPoolExecutor(len(parts), thread_name_prefix="bmad-stop") as pool:
                list(pool.map(lambda part: part.stop(deadline.share(self._share_s)), parts))

    def wanted(self) -> dict[str, Wanted[P]]:
        """What the running parts were built from."""
        return dict(self._wanted)

    def counters(self) -> dict[str, dict[str, int]]:
        """Of each part that has a method ``counters``."""
        counting = {name: getattr(part, "counters", None) for name, part in list(self.parts.items())}
        return {name: counters() for name, counters in counting.items() if counters is not None}
