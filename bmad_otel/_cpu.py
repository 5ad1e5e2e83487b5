"""CPU time of each agent's own steps, per thread, without a lock on the hot path.

A *step* is one uninterrupted piece of a tracked call on one thread: a whole synchronous call, or what a coroutine or
generator does between two suspensions. Steps nest on a thread; each step's time goes to its own agent without the time
of the steps inside it. Source: the thread's CPU clock, so waiting costs nothing.
"""

from __future__ import annotations

import threading
import weakref
from typing import Final

_FOLD_AT: Final = 64
"""Threads registered before ended ones are folded outside of an observation, so that a program which starts a thread
per job and is never observed stays bounded."""


class Cell:
    """One thread's account; only that thread writes it.

    ``nested_ns`` is the time of the steps that ended inside the step now running. ``own_ns`` maps an agent to the CPU
    time of its own steps on this thread; it outlives the cell (and so the thread) in the meter's register.
    """

    __slots__ = ("__weakref__", "nested_ns", "own_ns")

    def __init__(self) -> None:
        self.nested_ns = 0
        self.own_ns: dict[str, int] = {}


class CpuMeter:
    """All accounts of the process. `cell` is for the hot path, `by_agent_ns` for an observation."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._lock = threading.Lock()
        self._accounts: list[tuple[weakref.ref[Cell], dict[str, int]]] = []
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
            for _, own_ns in self._accounts:
                # dict.copy is one step for the interpreter: the owner may add an agent meanwhile
                for agent, used_ns in own_ns.copy().items():
                    total[agent] = total.get(agent, 0) + used_ns
        return total

    def _register(self, cell: Cell) -> None:
        with self._lock:
            self._accounts.append((weakref.ref(cell), cell.own_ns))
            if len(self._accounts) >= self._fold_at:
                self._fold_ended()
                self._fold_at = max(_FOLD_AT, 2 * len(self._accounts))

    def _fold_ended(self) -> None:
        # A thread's cell dies with its threading.local storage, foreign threads' too, which is more than
        # threading.Thread.is_alive can say.
        living = []
        for account in self._accounts:
            if account[0]() is None:
                for agent, used_ns in account[1].items():
                    self._ended_ns[agent] = self._ended_ns.get(agent, 0) + used_ns
            else:
                living.append(account)
        self._accounts = living
