"""A number of bytes that several threads take from and give back to."""

from __future__ import annotations

import threading
from typing import Final

DEFAULT_BYTES: Final = 256 * 2**20
"""Four requests of the largest size, or thousands of usual ones."""


class ByteBudget:
    """Thread-safe. Whoever is alone gets what is asked for, so that a small budget never refuses everything."""

    def __init__(self, limit_bytes: int = DEFAULT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        """Taken and not given back."""
        self.n_refused = 0
        self._lock = threading.Lock()

    def take(self, n_bytes: int, held_bytes: int = 0) -> bool:
        """Take ``n_bytes``; False and nothing taken when there are not as many.

        ``held_bytes`` is what the asker holds already: whoever holds everything that is taken is alone.
        """
        with self._lock:
            is_alone = self.held_bytes <= held_bytes
            if not is_alone and self.held_bytes + n_bytes > self.limit_bytes:
                self.n_refused += 1
                return False
            self.held_bytes += n_bytes
            return True

    def give(self, n_bytes: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self.held_bytes -= n_bytes
