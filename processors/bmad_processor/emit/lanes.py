"""What waits to be sent, and what of it goes together. No lock, no clock, no I/O.

A lane holds requests of one signal in the order they came; what is urgent has lanes of its own that go first. Of
several lanes that are ready, the one goes whose first request came first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bmad_processor.model import Signal

from .queue_config import BatchConfig

JOIN_BYTES: Final = 3 * 2**20
"""Joined without being asked to, and when batching is configured without a limit: a call costs the same for 1 kB and
for 1 MiB. Well below the 4 MiB that a gRPC server takes by default."""

PATIENCE_S: Final = 0.05
"""While a request is under way, others wait this long for it to come back and take them along."""

MIN_JOIN_BYTES: Final = 64 * 1024
"""A backend that takes no more than this at once takes nothing worth joining."""


@dataclass(slots=True, eq=False)
class Waiting:
    """One request from `offer` until its outcome is known."""

    signal: Signal
    body: bytes | None
    """None: on disk only."""
    size: int
    items: int
    since_s: float
    on_done: Callable[[bool], None] | None = None
    is_urgent: bool = False
    row: int = 0
    """Its number on disk, 0 when it is in memory only."""
    may_repeat: bool = False
    """The backend may have it already."""
    is_cached: bool = False
    """On disk, and its body in memory all the same."""


class _Lane:
    __slots__ = ("items", "size", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Waiting] = deque()
        self.size = 0
        self.items = 0

    def measure(self, sizer: str) -> int:
        if sizer == "bytes":
            return self.size
        return self.items if sizer == "items" else len(self.waiting)


class Lanes:
    """All lanes of one exporter. ``joins``: whether the exporter can send several requests as one."""

    def __init__(self, batch: BatchConfig | None, *, joins: bool) -> None:
        self._batch = batch if joins else None
        self._joins = joins
        self._lanes: dict[tuple[bool, Signal], _Lane] = {}
        self._join_bytes = JOIN_BYTES
        if self._batch is not None and self._batch.sizer == "bytes" and self._batch.max_size:
            self._join_bytes = self._batch.max_size
        self.n = 0

    def add(self, waiting: Waiting) -> bool:
        """At the end of its lane; whether it is the first there."""
        key = (waiting.is_urgent, waiting.signal)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
        lane.waiting.append(waiting)
        lane.size += waiting.size
        lane.items += waiting.items
        self.n += 1
        return len(lane.waiting) == 1

    def take(
        self, now_s: float, *, is_busy: bool = False, is_stopping: bool = False
    ) -> tuple[list[Waiting], float | None]:
        """What to send now, as one; or nothing, and in how many seconds to ask again (None: when more has come).

        ``is_busy``: something is under way already. ``is_stopping``: nothing waits for company any more.
        """
        best: _Lane | None = None
        best_order: tuple[bool, float] = (False, 0.0)
        soonest_s: float | None = None
        for (is_urgent, _), lane in self._lanes.items():
            if not lane.waiting:
                continue
            due_s = 0.0 if is_stopping or is_urgent else self._due_s(lane, is_busy)
            if due_s > now_s:
                soonest_s = due_s if soonest_s is None else min(soonest_s, due_s)
                continue
            order = (not is_urgent, lane.waiting[0].since_s)
            if best is None or order < best_order:
                best, best_order = lane, order
        if best is None:
            return [], None if soonest_s is None else soonest_s - now_s
        return self._join(best), None

    def is_due(self, waiting: Waiting, *, is_busy: bool) -> bool:
        """Whether what was just added makes its lane ready at once."""
        return waiting.is_urgent or self._due_s(self._lanes[False, waiting.signal], is_busy) == 0.0

    def take_is_due(self) -> bool:
        """Whether something waits that would go beside a call that is under way."""
        return any(
            lane.waiting and (is_urgent or self._due_s(lane, is_busy=True) == 0.0)
            for (is_urgent, _), lane in self._lanes.items()
        )

    def shrink(self, refused_bytes: int) -> int:
        """A joined request of this size was too large for the backend: the new limit."""
        self._join_bytes = min(self._join_bytes, max(MIN_JOIN_BYTES, refused_bytes // 2))
        return self._join_bytes

    def __iter__(self) -> Iterator[Waiting]:
        for lane in self._lanes.values():
            yield from lane.waiting

    def clear(self) -> None:
        """Forgets everything."""
        self._lanes.clear()
        self.n = 0

    def _due_s(self, lane: _Lane, is_busy: bool) -> float:
        batch = self._batch
        if batch is not None:
            if lane.measure(batch.sizer) >= batch.min_size or lane.size >= self._join_bytes:
                return 0.0
            return lane.waiting[0].since_s + batch.flush_timeout / 1e9
        if not is_busy or lane.size >= self._join_bytes:
            return 0.0
        return lane.waiting[0].since_s + PATIENCE_S

    def _join(self, lane: _Lane) -> list[Waiting]:
        first = self._pop(lane)
        taken = [first]
        if not self._joins:
            return taken
        size, items = first.size, first.items
        batch = self._batch
        while lane.waiting:
            following = lane.waiting[0]
            size += following.size
            items += following.items
            # one mark for a whole request: what may be a repetition does not go with what is none
            if size > self._join_bytes or following.may_repeat != first.may_repeat:
                break
            if batch is not None and batch.max_size:
                measure = {"items": items, "requests": len(taken) + 1, "bytes": size}[batch.sizer]
                if measure > batch.max_size:
                    break
            taken.append(self._pop(lane))
        return taken

    def _pop(self, lane: _Lane) -> Waiting:
        waiting = lane.waiting.popleft()
        lane.size -= waiting.size
        lane.items -= waiting.items
        self.n -= 1
        return waiting
