"""How sending can fail: whether trying again can help."""

from __future__ import annotations


class Permanent(Exception):
    """The backend will never take this request."""


class Transient(Exception):
    """Trying again can help; not before ``retry_after_s`` seconds when the backend said so."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
