"""How long to wait before trying again: full jitter, one memory of the backend for all consumers of an exporter."""

from __future__ import annotations

from typing import Final

from .queue_config import RetryConfig

MULTIPLIER: Final = 1.5
"""Growth of the interval, the Collector's."""

FLAKY_S: Final = 10.0
"""A backend that took something within this time is not away, it refuses now and then..."""

FLAKY_INTERVAL_S: Final = 1.0
"""...and is asked again about twice a second."""

LONGEST_RETRY_AFTER_S: Final = 300.0
"""What a backend asks for is obeyed for so long at a time: a date in its answer depends on two clocks, of which one may
have been set back by an hour."""


class Backoff:
    """Shared by the consumers of one exporter; simple assignments only, so no lock."""

    def __init__(self, config: RetryConfig) -> None:
        self._initial_s = config.initial_interval / 1e9
        self._max_s = config.max_interval / 1e9
        self._n_successes = 0
        self._last_success_s = float("-inf")
        self.not_before_s = float("-inf")
        """No request goes out earlier: the backend said so."""

    def succeeded(self, now_s: float) -> None:
        """The backend took a request."""
        self._n_successes += 1
        self._last_success_s = now_s

    def streak(self) -> Streak:
        """The failures of one request in a row."""
        return Streak(self._n_successes)

    def delay_s(self, streak: Streak, now_s: float, draw: float, retry_after_s: float | None) -> float:
        """The wait after one more failure; ``draw`` is from 0 to 1."""
        if streak.n_successes != self._n_successes:
            streak.n_successes = self._n_successes
            streak.n = 0
        interval_s = min(self._initial_s * MULTIPLIER ** min(streak.n, 100), self._max_s)
        if now_s - self._last_success_s < FLAKY_S:
            interval_s = min(interval_s, max(FLAKY_INTERVAL_S, self._initial_s))
        streak.n += 1
        if retry_after_s is None:
            return draw * interval_s
        asked_s = min(retry_after_s, LONGEST_RETRY_AFTER_S)
        self.not_before_s = max(self.not_before_s, now_s + asked_s)
        return max(draw * interval_s, asked_s)


class Streak:
    """How often one request failed in a row, while the backend took nothing."""

    __slots__ = ("n", "n_successes")

    def __init__(self, n_successes: int) -> None:
        self.n = 0
        self.n_successes = n_successes
