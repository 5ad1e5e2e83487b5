"""The state of the SDK in this process, in one place.

Everything that changes lives here, so that a fork can start the child with nothing inherited and a test can start anew.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bmad_otel import _guard
from bmad_otel._content import Capture, default_capture
from bmad_otel._durations import Durations
from bmad_otel._instruments import Instruments, closed_instruments, open_instruments
from bmad_otel._labels import AgentNames
from bmad_otel._queues import Queues
from bmad_otel._running import RunningTasks
from bmad_otel._said import SaidByAgents
from bmad_otel._steps import CpuMeter


class State:
    """Registers of what runs and what it used, and the instruments that report them."""

    def __init__(self) -> None:
        self.agents = AgentNames()
        self.running = RunningTasks()
        self.cpu = CpuMeter()
        self.durations = Durations()
        self.queues = Queues()
        self.said = SaidByAgents()
        self.capture: Capture | None = None
        self.instruments: Instruments | None = None
        self._lock = threading.RLock()
        self._is_opening = False
        self._follows_forks = False

    def open(self) -> Instruments:
        """The instruments, created now if this is the first time."""
        with self._lock:
            if self.instruments is None:
                if self._is_opening:  # a signal handler with a task of its own, in the middle of this
                    return closed_instruments()
                self._is_opening = True
                self.instruments = open_instruments(self)
                if self.capture is None:
                    self.capture = default_capture()
            self._follow_forks()
            return self.instruments

    def reset(self) -> None:
        """Begin anew: nothing runs, nothing was used, no agent is known. Instruments stay, they are made only once."""
        self.agents = AgentNames()
        self.running = RunningTasks()
        self.cpu = CpuMeter()
        self.said = SaidByAgents()

    @contextmanager
    def afresh(self) -> Iterator[None]:
        """For a test: begin anew, and at the end let all be as it was, also if the test has shut the SDK down."""
        self.open()
        earlier = vars(self).copy()
        self.reset()
        try:
            yield
        finally:
            vars(self).update(earlier)

    def _follow_forks(self) -> None:
        if not self._follows_forks and hasattr(os, "register_at_fork"):
            self._follows_forks = True
            os.register_at_fork(after_in_child=self._after_fork_in_child)

    def _after_fork_in_child(self) -> None:
        # The parent's tasks and CPU time are the parent's; its locks may be held by threads that do not exist here.
        _guard.after_fork_in_child()
        self._lock = threading.RLock()
        self.running.tasks.clear()  # the very dict the tasks of the parent know
        self.cpu = CpuMeter()
        self.durations.after_fork_in_child()
        self.said.clear()
        if self.instruments is not None:
            self.instruments.after_fork_in_child()


state = State()
