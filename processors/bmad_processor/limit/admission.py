"""Whether a request may come in, asked before its body is read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bmad_processor.errors import Overloaded
from bmad_processor.model import Signal

from .budget import ByteBudget
from .memory import allowed_bytes, rss_bytes
from .memory_limiter import MemoryLimiter

RETRY_AFTER_S: Final = 5.0
"""A collection of garbage and a few drained queues later; SDKs that give up after a minute still try several times."""

BUSY_RETRY_S: Final = 1.0
"""Requests in hand are done within milliseconds."""


_MOST_AT_ONCE: Final = 16
"""Usual requests arrive whole with their headers: more at a time would not be faster."""


class Admission:
    """What one receiver asks."""

    def __init__(self, budget: ByteBudget | None = None) -> None:
        self.budget = budget or ByteBudget()
        self._limiter: MemoryLimiter | None = None
        self._limited: frozenset[Signal] = frozenset()
        self._ceiling = allowed_bytes() // 2

    def limit(self, limiter: MemoryLimiter | None, limited: Iterable[Signal]) -> None:
        """From now on ``limiter`` says when these signals are refused."""
        self._limited = frozenset(limited)
        self._limiter = limiter

    def refusal(self, signal: Signal) -> Overloaded | None:
        """What to tell the sender of a request for ``signal`` that is not to be read now; None: go on."""
        limiter = self._limiter
        if limiter is None or not limiter.is_limited or signal not in self._limited:
            return None
        limiter.count_refused(signal)
        return Overloaded("the collector is short of memory", retry_after_s=RETRY_AFTER_S)

    def take(self, n_bytes: int, held_bytes: int = 0) -> None:
        """Raises Overloaded when other requests in hand leave no room for ``n_bytes`` more of this one."""
        if not self.budget.take(n_bytes, held_bytes):
            raise Overloaded("too many large requests at once", retry_after_s=BUSY_RETRY_S)

    def most_at_once(self, max_bytes: int, held_bytes: int = 0) -> int:
        """How many requests of unknown size, each of ``max_bytes`` at most, may be received at the same time beside
        those of ``held_bytes`` that are there and not done yet. One at least while these are within half of the budget:
        a small one must not make workers wait for each other."""
        limit = self.budget.limit_bytes
        n = max(0, limit - held_bytes) // max_bytes
        return max(1 if held_bytes <= limit // 2 else 0, min(_MOST_AT_ONCE, n))

    def has_memory(self) -> bool:
        """Whether one more may be received beside those that are slow. Looks at the process: some 10 us."""
        limiter = self._limiter
        ceiling = self._ceiling if limiter is None else limiter.limits.soft_bytes
        return rss_bytes() < ceiling

    def give(self, n_bytes: int) -> None:
        """After `take`, whatever became of the request."""
        self.budget.give(n_bytes)
