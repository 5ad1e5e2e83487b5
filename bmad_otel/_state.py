"""The state of the SDK in this process, in one place.

Everything that changes lives here, so that a fork can start the child with nothing inherited and a test can start anew.
"""

from __future__ import annotations

import os
import threading

from bmad_otel import _guard
from bmad_otel._cpu import CpuMeter
from bmad_otel._instruments import Instruments, open_instruments
from bmad_otel._labels import AgentNames
from bmad_otel._running import RunningTasks


class State:
    """Registers of what runs and what it used, and the instruments that report them."""

    def __init__(self) -> None:
        self.agents = AgentNames()
        self.running = RunningTasks()
        self.cpu = CpuMeter()
        self.instruments: Instruments | None = None
        self._lock = threading.Lock()
        self._follows_forks = False

    def open(self) -> Instruments:
        """The instruments, created now if this is the first time."""
        with self._lock:
            if self.instruments is None:
                self.instruments = open_instruments(self)
            self._follow_forks()
            return self.instruments

    def _follow_forks(self) -> None:
        if not self._follows_forks and hasattr(os, "register_at_fork"):
            self._follows_forks = True
            os.register_at_fork(after_in_child=self._after_fork_in_child)

    def _after_fork_in_child(self) -> None:
        # The parent's tasks and CPU time are the parent's; its locks may be held by threads that do not exist here.
        _guard.after_fork_in_child()
        self._lock = threading.Lock()
        self.running = RunningTasks()
        self.cpu = CpuMeter()


state = State()
