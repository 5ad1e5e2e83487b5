"""A consumer behind the bounds of memory, for a receiver that has the whole body when it asks."""

from __future__ import annotations

from bmad_processor.limit import Admission
from bmad_processor.model import Signal
from bmad_processor.receive import Accepted
from bmad_processor.receive.consumer import Consumer


class Admitted:
    """Another consumer whose requests take their bytes from the budget."""

    def __init__(self, consumer: Consumer, admission: Admission) -> None:
        self._consumer = consumer
        self._consume = consumer.consume
        self._admission = admission

    @property
    def may_wait(self) -> bool:
        """As the other one; a reload may change it."""
        return self._consumer.may_wait

    def consume(self, signal: Signal, body: bytes) -> Accepted:
        """As `Consumer` has it; Overloaded while memory is short."""
        admission, size = self._admission, len(body)
        refusal = admission.refusal(signal)
        if refusal is not None:
            raise refusal
        admission.take(size)
        try:
            return self._consume(signal, body)
        finally:
            admission.give(size)
