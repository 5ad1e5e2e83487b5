"""Sends the requests of one signal to one place, on the thread of the SDK's queue or reader that asks.

A request that does not arrive is tried again, less and less often, for as long as it is worth it; what is given up goes
to the disk if there is a spool, and is counted. Nothing here runs on a thread of the program itself.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Final

from bmad_otel import _guard
from bmad_otel._delivery.answers import Again, Answer, Refused, Taken, Transport
from bmad_otel._delivery.ledger import ITEMS, Ledger, Reason
from bmad_otel._delivery.spool import Spool
from bmad_otel._delivery.target import Target

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 10.0
"""Between attempts, doubling in between: a receiver that is back has everything within 10 s and is not run over."""

_LAST_PAUSE_S: Final = 0.05
"""Between the two attempts that a receiver which cannot be reached gets while closing."""

_REPLAYS: Final = 10
"""Requests from the disk that are sent after one that has arrived: new ones are not kept waiting for all of the old."""

_QUIET_S: Final = 0.05
_QUIET_AT_LAST_S: Final = 1.0
"""A fork waits the first for a request under way to end, then has it broken off and waits up to the second."""


class Sender:
    """The way to one target. One thread sends; any thread may call the rest.

    ``is_worth_waiting``: whether a request is kept until the program ends; false for metrics, of which the next request
    says the same and more.
    """

    def __init__(
        self,
        target: Target,
        open_transport: Callable[[Target], Transport],
        spool: Spool | None,
        *,
        is_worth_waiting: bool,
    ) -> None:
        self.target = target
        self.ledger = Ledger()
        self._open_transport = open_transport
        self._spool = spool
        self._is_worth_waiting = is_worth_waiting
        self._transport = open_transport(target)
        self._begin()

    def _begin(self) -> None:
        self._busy = threading.Lock()  # held while a request is under way
        self._changed = threading.Event()  # wakes a pause
        self._is_paused = False
        self._is_down = False
        self._close_by_s: float | None = None
        self._has_given_up = False

    def send(self, body: bytes, items: int) -> bool:
        """Deliver a request of ``items``; False if it was given up, which is counted."""
        if self._has_given_up:
            return self._give_up(body, items, Reason.SHUTDOWN_TIMEOUT)
        began_s = time.monotonic()
        attempts = 0
        while True:
            answer = self._attempt(body)
            attempts += 1
            match answer:
                case Taken():
                    self._take(items, answer)
                    self._replay()
                    return True
                case Refused():
                    self._note(answer.error_type, answer.message)
                    if answer.is_content:
                        self.ledger.drop(items, Reason.EXPORT_FAILED, answer.error_type)
                        return False
                    return self._give_up(body, items, Reason.EXPORT_FAILED, answer.error_type)
                case Again():
                    self._note(answer.error_type, answer.message)
                    if not self._wait(answer, attempts, began_s):
                        return self._give_up(body, items, Reason.EXPORT_FAILED, answer.error_type)

    def close_by(self, deadline_s: float) -> None:
        """From now on nothing is waited for beyond ``deadline_s``, a time of `time.monotonic`."""
        self._close_by_s = deadline_s
        self._changed.set()

    def stop(self) -> None:
        """Break off what is under way; everything still to come is given up at once."""
        self._has_given_up = True
        self._changed.set()
        self._transport.stop()

    # Forks -----------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Have no request under way: gRPC does not survive a fork in the middle of a call, in neither process."""
        self._is_paused = True
        is_quiet = self._busy.acquire(timeout=_QUIET_S)
        self._transport.stop()
        if not is_quiet:
            is_quiet = self._busy.acquire(timeout=_QUIET_AT_LAST_S)
        if is_quiet:
            self._busy.release()

    def after_fork_in_parent(self) -> None:
        self._is_paused = False
        self._changed.set()  # what was broken off has not failed

    def after_fork_in_child(self) -> None:
        """Begin anew: what waits is the parent's to send."""
        self._transport.forget()
        self._transport = self._open_transport(self.target)
        self.ledger.begin()
        self._begin()

    # Attempts --------------------------------------------------------------------------------------------------------

    def _attempt(self, body: bytes) -> Answer:
        by_s = self._close_by_s
        left_s = self.target.timeout_s if by_s is None else by_s - time.monotonic()
        with self._busy:
            if self._is_paused:
                return Again("forking", "a fork is under way")
            return self._transport.send(body, max(0.05, min(self.target.timeout_s, left_s)))

    def _wait(self, answer: Again, attempts: int, began_s: float) -> bool:
        """Wait until it is time to try again; False if it is not worth it any more."""
        if self._is_paused:
            self._changed.wait(_QUIET_AT_LAST_S)
            self._changed.clear()
            return True
        if self._has_given_up:
            return False
        now_s = time.monotonic()
        if self._close_by_s is not None:
            is_hopeless = not answer.was_reached and attempts > 1
            if is_hopeless or now_s + (answer.after_s or _LAST_PAUSE_S) >= self._close_by_s:
                self._has_given_up = True
                return False
            time.sleep(answer.after_s or _LAST_PAUSE_S)
            return True
        is_kept = self._spool is None and self._is_worth_waiting
        if not is_kept and (self._is_down or now_s - began_s >= self.target.timeout_s):
            self._is_down = True
            return False
        pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(attempts - 1, 10))
        pause_s *= random.uniform(0.8, 1.2)  # noqa: S311 - so that many processes do not come at once
        self._changed.wait(pause_s if answer.after_s is None else answer.after_s)
        self._changed.clear()
        return True

    def _take(self, items: int, answer: Taken) -> None:
        self._is_down = False
        rejected = min(items, answer.rejected)
        self.ledger.export(items - rejected)
        if rejected:
            self.ledger.drop(rejected, Reason.EXPORT_FAILED, "rejected")
            _guard.warn_once(
                f"rejected {self.target.signal} {self.target.endpoint}",
                "bmad_otel: %s rejects some of the %s: %s; this is said once",
                self.target.endpoint,
                ITEMS[self.target.signal],
                answer.message[:200] or "it does not say why",
            )

    def _note(self, error_type: str, message: str) -> None:
        if self._is_paused:
            return
        self.ledger.fail(message)
        if self._close_by_s is None:  # else the last word at the end says it
            _guard.warn_once(
                f"delivery {self.target.server} {self.target.port} {error_type}",
                "bmad_otel: %s does not take what is sent: %s; this is said once, and what is lost is counted",
                self.target.endpoint,
                message,
            )

    def _give_up(self, body: bytes, items: int, reason: Reason, error_type: str | None = None) -> bool:
        if self._spool is not None:
            failure = self._spool.store(self.target.signal, body, items)
            if failure is None:
                self.ledger.spooled += items
                return False
            reason, error_type = failure, None
        self.ledger.drop(items, reason, error_type)
        return False

    def _replay(self) -> None:
        """Send some of what earlier processes, or this one while the receiver was away, have left on the disk."""
        if self._spool is None:
            return
        for _ in range(_REPLAYS):
            if self._close_by_s is not None or self._is_paused:
                return
            claim = self._spool.claim(self.target.signal)
            if claim is None:
                return
            with claim:
                answer = self._attempt(claim.body)
                match answer:
                    case Taken():
                        self._take(claim.items, answer)
                        claim.remove()
                    case Refused(is_content=True):
                        self.ledger.drop(claim.items, Reason.EXPORT_FAILED, answer.error_type)
                        claim.remove()
                    case _:
                        return  # it stays where it is
