"""A memory of what was used lately, in two generations.

The young generation is an ordinary dict, read at the speed of one. When it is full it becomes the old one, from which
what is used again comes back. So the memory is bounded by two generations, and nothing that is in use has to be learned
again, which emptying a full dict would cost all at once.
"""

from __future__ import annotations

from typing import Final, TypeVar

UNBOUNDED: Final = 1 << 62
"""Limit of a generation that is made old by its owner."""

K = TypeVar("K")
V = TypeVar("V")


class Recent(dict[K, V]):
    """``limit`` entries a generation. Read with `get`; what that does not find, ask `recall`; write with `remember`."""

    __slots__ = ("_old", "limit")

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self._old: dict[K, V] = {}

    def recall(self, key: K) -> V:
        """From the old generation into the young one. Raises KeyError when it is in neither."""
        if key in self:
            return self[key]
        value = self._old.pop(key)
        self.remember(key, value)
        return value

    def remember(self, key: K, value: V) -> None:
        """Keeps an entry, and the others of two generations at most."""
        if len(self) >= self.limit and key not in self:
            self.age()
        self[key] = value

    def age(self) -> None:
        """What is not used until the next time is forgotten then."""
        self._old = dict(self)
        self.clear()
