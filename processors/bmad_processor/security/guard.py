"""An authenticator in front of a listener: yes, a refusal, or a wait in a thread of its own."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from bmad_processor.errors import Overloaded, Unauthenticated

from .authenticator import Authenticator, Verdict

_CHECKS_AT_ONCE: Final = 1
"""A thread that does nothing else: guessing passwords must not take both cores."""

_MAX_WAITING: Final = 16
"""Checks that wait; at 50 ms or more each, one further back would wait a second."""

_RETRY_AFTER_S: Final = 1.0


class Guard:
    """Asks ``authenticator`` about requests. Thread-safe."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._pool = ThreadPoolExecutor(_CHECKS_AT_ONCE, thread_name_prefix="otlp-auth")
        self._waiting = threading.BoundedSemaphore(_MAX_WAITING)
        self.header: Final = authenticator.header
        """The header to give to `admit`, in lower case."""

    def admit(self, value: str | None) -> Future[bool] | None:
        """None: let in. A future: ask it, and refuse with `refusal` when it says no.

        Raises Unauthenticated, or Overloaded when too many are being checked.
        """
        match self._authenticator.judge(value):
            case Verdict.YES:
                return None
            case Verdict.TAKES_LONG if value is not None:
                if not self._waiting.acquire(blocking=False):
                    raise Overloaded("too many passwords are being checked", retry_after_s=_RETRY_AFTER_S)
                future = self._pool.submit(self._authenticator.check, value)
                future.add_done_callback(lambda _: self._waiting.release())
                return future
            case _:
                raise self.refusal()

    def refusal(self) -> Unauthenticated:
        """What a sender that is not let in is told: not why, which would help to guess."""
        return Unauthenticated("authentication is required", challenge=self._authenticator.challenge)

    def close(self) -> None:
        """Ends the thread; checks that wait are given up."""
        self._pool.shutdown(wait=False, cancel_futures=True)
