"""What became of the reloads of a running collector."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Final

from bmad_processor.errors import ConfigError, ProcessorError, ReloadRefused

_LOG: Final = logging.getLogger("bmad_otel.collector")

OUTCOMES: Final = ("applied", "rejected", "refused", "failed")
"""In force; the files are wrong; not while it runs; could not start, and what was before is in force."""

_MAX_SHOWN: Final = 4000
"""Characters of a message in the status: a configuration can have hundreds of problems, and the log has them all."""


class Reloads:
    """Thread-safe. ``clock`` gives nanoseconds since the epoch."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._in_force_ns = clock()
        self._counts = dict.fromkeys(OUTCOMES, 0)
        self._last: tuple[int, str, str] | None = None
        self.generation = 1
        """Configurations that have been in force, the present one included."""

    def note(self, outcome: str, message: str) -> None:
        """A reload has ended like that."""
        with self._lock:
            self._counts[outcome] += 1
            self._last = (self._clock(), outcome, message[:_MAX_SHOWN])
            if outcome == "applied":
                self.generation += 1
                self._in_force_ns = self._last[0]

    def carry_out(self, change: Callable[[], list[str]], *, if_nothing: str) -> list[str]:
        """Has ``change`` put a configuration into force; notes and logs how that ended, and says what has changed.

        ``if_nothing`` is noted when that is nothing. Raises what ``change`` does: the one before is in force then.
        """
        try:
            said = change()
        except ProcessorError as error:
            self.note("refused" if isinstance(error, ReloadRefused) else "failed", str(error))
            _LOG.error("the configuration is as it was: %s", error)
            raise
        self.note("applied", "; ".join(said) or if_nothing)
        _LOG.info("configuration %d is in force: %s", self.generation, self.last_message)
        return said

    def reject(self, error: ConfigError) -> None:
        """A configuration that is wrong was to be loaded: every problem is logged."""
        self.note("rejected", str(error))
        _LOG.error("the configuration is as it was, for the new one is wrong:\n%s", error)

    @property
    def last_message(self) -> str:
        """What was said of the last one; empty before the first."""
        with self._lock:
            return "" if self._last is None else self._last[2]

    def status(self) -> dict[str, Any]:
        """The section ``config`` of the collector's status; times in seconds since the epoch."""
        with self._lock:
            last = None
            if self._last is not None:
                at_ns, outcome, message = self._last
                last = {"at": at_ns / 1e9, "outcome": outcome, "message": message}
            return {
                "generation": self.generation,
                "in_force_since": self._in_force_ns / 1e9,
                "reloads": dict(self._counts),
                "last_reload": last,
            }
