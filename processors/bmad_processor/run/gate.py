"""Between receivers and pipelines: open, or closed for the moment in which pipelines are changed."""

from __future__ import annotations

import threading
from typing import Final

from bmad_processor.errors import Overloaded
from bmad_processor.model import Signal
from bmad_processor.receive import Accepted
from bmad_processor.receive.consumer import Consumer

from .deadline import Deadline

_RETRY_AFTER_S: Final = 1.0
"""Exporters are exchanged and the engine is restarted within less."""


class Gate:
    """Lets requests in while it is open, and knows how many are inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_empty = threading.Condition(self._lock)
        self._inside = 0
        self._is_open = True

    def enter(self) -> None:
        """Raises Overloaded while the gate is closed: the sender tries again in a second."""
        with self._lock:
            if not self._is_open:
                raise Overloaded("the collector is being reconfigured", retry_after_s=_RETRY_AFTER_S)
            self._inside += 1

    def leave(self) -> None:
        """After `enter`, whatever became of the request."""
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._is_empty.notify_all()

    def close(self, deadline: Deadline) -> bool:
        """Lets nobody in any more and waits until everybody has left; False when some are still inside."""
        with self._lock:
            self._is_open = False
            return self._is_empty.wait_for(lambda: not self._inside, deadline.left_s)

    def open(self) -> None:
        """Lets requests in again."""
        with self._lock:
            self._is_open = True


class Gated:
    """A consumer behind the gate."""

    def __init__(self, consumer: Consumer, gate: Gate) -> None:
        self._consumer = consumer
        self._gate = gate

    @property
    def may_wait(self) -> bool:
        """As `Consumer` has it."""
        return self._consumer.may_wait

    def consume(self, signal: Signal, body: bytes) -> Accepted:
        """As `Consumer` has it; Overloaded while the gate is closed."""
        self._gate.enter()
        try:
            return self._consumer.consume(signal, body)
        finally:
            self._gate.leave()
