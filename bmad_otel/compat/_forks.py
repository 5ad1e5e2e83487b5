"""What a forked child does with the objects of its parent: their locks may be held by threads it does not have."""

from __future__ import annotations

import os
import weakref
from typing import Final, Protocol


class Forks(Protocol):
    """An object that begins anew in a forked child."""

    def after_fork_in_child(self) -> None: ...


class _Followed:
    """All such objects, for as long as somebody keeps them."""

    def __init__(self) -> None:
        self._all: weakref.WeakSet[Forks] = weakref.WeakSet()
        self._is_registered = False

    def add(self, each: Forks) -> None:
        self._all.add(each)
        if not self._is_registered and hasattr(os, "register_at_fork"):
            self._is_registered = True
            os.register_at_fork(after_in_child=self._after_fork_in_child)

    def _after_fork_in_child(self) -> None:
        for each in list(self._all):
            each.after_fork_in_child()


_followed: Final = _Followed()


def follow(each: Forks) -> None:
    """Call ``each.after_fork_in_child()`` in every child forked from now on."""
    _followed.add(each)
