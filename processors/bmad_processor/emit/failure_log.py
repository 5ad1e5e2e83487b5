"""One line when a backend fails and one when it recovers, at a bounded rate."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

_LOG: Final = logging.getLogger("bmad_otel.collector")

INTERVAL_S: Final = 30.0
"""A backend that fails and recovers every second is not worth a line each time."""


class FailureLog:
    """Of one exporter; thread-safe."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self.reason = ""
        """Why it fails; empty while it does not. Read without a lock."""
        self._failing_since_s: float | None = None
        self._is_logged = False
        self._last_line_s = float("-inf")

    def failed(self, reason: str) -> None:
        """An attempt failed."""
        with self._lock:
            self.reason = reason
            if self._failing_since_s is not None:
                return
            now_s = self._failing_since_s = self._clock()
            self._is_logged = now_s - self._last_line_s >= INTERVAL_S
            if not self._is_logged:
                return
            self._last_line_s = now_s
        _LOG.warning("exporter %s: cannot deliver: %s", self._name, reason)

    def succeeded(self) -> None:
        """An attempt succeeded."""
        if self._failing_since_s is None:
            return
        with self._lock:
            since_s, self._failing_since_s = self._failing_since_s, None
            self.reason = ""
            if since_s is None or not self._is_logged:
                return
        _LOG.info("exporter %s: delivers again after %.0f s", self._name, self._clock() - since_s)
