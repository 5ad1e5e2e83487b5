"""How sending can fail: whether trying again can help, and what it says about others."""

from __future__ import annotations


class Permanent(Exception):
    """The backend will never take this request.

    ``concerns_all``: not because of what is in it (a wrong token, no such service), so its parts would fare no better.
    ``is_size``: it is too large.
    """

    def __init__(self, reason: str, *, concerns_all: bool = False, is_size: bool = False) -> None:
        super().__init__(reason)
        self.concerns_all = concerns_all
        self.is_size = is_size


class Transient(Exception):
    """Trying again can help; not before ``retry_after_s`` seconds when the backend said so.

    ``is_answered``: the backend itself said no. Otherwise it may have taken the request, and the answer was lost.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None, *, is_answered: bool = False) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.is_answered = is_answered
