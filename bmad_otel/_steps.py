"""CPU time of each agent's own steps, per thread, without a lock on the hot path.

A *step* is one uninterrupted piece of a tracked call on one thread: a whole synchronous call, or what a coroutine or
generator does between two suspensions. Steps nest on a thread; each step's time goes to its own agent without the time
of the steps inside it.

Asking the kernel for a thread's CPU clock costs ten times as much as the monotonic clock, which no system call answers.
So it is asked only where it matters: a step shorter than `NEGLIGIBLE_NS` counts as CPU time whole, and a step that
begins within `FRESH_NS` after a reading begins with that reading. What a step used is never more than it lasted, so
only a step that waits can be counted too high, by at most `FRESH_NS`.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import weakref
from typing import Final

NEGLIGIBLE_NS: Final = 50_000
"""A CPU reading costs a fiftieth of this."""

FRESH_NS: Final = 200_000
"""How long a CPU reading serves for steps that begin after it: about ten calls of a tracked function that does
nothing."""

_FOLD_AT: Final = 64
"""Threads registered before ended ones are folded outside of an observation, so that a program which starts a thread
per job and is never observed stays bounded."""

_MAX_TOLD: Final = 32
"""Long steps remembered per thread; they matter only while a step around them is still running."""

thread_cpu_ns = time.thread_time_ns


def is_in_event_loop() -> bool:
    """Whether an asyncio event loop runs on this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class Cell:
    """One thread's account; only that thread writes it.

    ``booked_ns``: CPU time of all steps on this thread so far; what it grows by during a step was used by steps inside.
    ``read_cpu_ns``: the last reading of the thread's CPU clock, good until ``stale_at_ns``. ``own_ns``: CPU time of
    each agent's own steps on this thread; it outlives the cell (and so the thread) in the meter's register.
    """

    __slots__ = ("__weakref__", "_told", "booked_ns", "own_ns", "read_cpu_ns", "stale_at_ns")

    def __init__(self) -> None:
        self.booked_ns = 0
        self.read_cpu_ns = 0
        self.stale_at_ns = -sys.maxsize
        self.own_ns: dict[str, int] = {}
        self._told: list[tuple[int, int]] = []

    def read(self, now_ns: int) -> int:
        """Read the thread's CPU clock."""
        self.stale_at_ns = now_ns + FRESH_NS
        self.read_cpu_ns = cpu_ns = thread_cpu_ns()
        return cpu_ns

    def used_by_long_step(self, step_ns: int, step_cpu_ns: int, now_ns: int) -> int:
        """CPU time of a step that began at ``step_ns`` with ``step_cpu_ns`` on the clock; a fork begins the clock anew,
        so it never gets negative."""
        return min(max(0, self.read(now_ns) - step_cpu_ns), now_ns - step_ns)

    def add(self, agent: str, used_ns: int) -> None:
        """Book a step's own time."""
        if used_ns > 0:
            self.own_ns[agent] = self.own_ns.get(agent, 0) + used_ns

    def untold_ns(self, start_ns: int, end_ns: int) -> int:
        """How long a long step lasted without the long steps inside it that were told already."""
        inside_ns = sum(end - start for start, end in self._told if start >= start_ns)
        self._told = [step for step in self._told[-_MAX_TOLD:] if step[0] < start_ns]
        self._told.append((start_ns, end_ns))
        return end_ns - start_ns - inside_ns


class CpuMeter:
    """All accounts of the process. `cell` is for the hot path, `by_agent_ns` for an observation."""

    def __init__(self) -> None:
        self._local = threading.local()
        # Reentrant: the garbage collector may end a task on a new thread in the middle of an observation there.
        self._lock = threading.RLock()
        self._accounts: dict[weakref.ref[Cell], dict[str, int]] = {}
        self._ended_ns: dict[str, int] = {}
        self._fold_at = _FOLD_AT

    def cell(self) -> Cell:
        """The account of the calling thread."""
        try:
            cell: Cell = self._local.cell
        except AttributeError:
            cell = self._local.cell = Cell()
            self._register(cell)
        return cell

    def by_agent_ns(self) -> dict[str, int]:
        """CPU nanoseconds of each agent's own steps since the start of the process (or its fork)."""
        with self._lock:
            self._fold_ended()
            total = self._ended_ns.copy()
            for own_ns in list(self._accounts.values()):
                # dict.copy is one step for the interpreter: the owner may add an agent meanwhile
                for agent, used_ns in own_ns.copy().items():
                    total[agent] = total.get(agent, 0) + used_ns
        return total

    def _register(self, cell: Cell) -> None:
        with self._lock:
            self._accounts[weakref.ref(cell)] = cell.own_ns
            if len(self._accounts) >= self._fold_at:
                self._fold_ended()
                self._fold_at = max(_FOLD_AT, 2 * len(self._accounts))

    def _fold_ended(self) -> None:
        # A thread's cell dies with its threading.local storage, foreign threads' too, which is more than
        # threading.Thread.is_alive can say.
        for reference in list(self._accounts):
            if reference() is None:
                for agent, used_ns in self._accounts.pop(reference, {}).items():
                    self._ended_ns[agent] = self._ended_ns.get(agent, 0) + used_ns
