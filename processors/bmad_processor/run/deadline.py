"""One deadline that several parts share."""

from __future__ import annotations

import time
from typing import Final

_LEAST_S: Final = 0.1
"""Also who is last in line is told to stop, and gets a moment for it."""


class Deadline:
    """So and so many seconds from now."""

    def __init__(self, seconds: float) -> None:
        self._at_s = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds left, at least a moment."""
        return max(_LEAST_S, self._at_s - time.monotonic())

    def share(self, seconds: float) -> float:
        """``seconds``, or what is left when that is less."""
        return min(seconds, self.left_s)
