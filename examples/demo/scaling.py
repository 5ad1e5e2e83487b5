"""The demo's own operator: follows the collector's scaling hint by starting and stopping real processes.

A hint is advice; the collector starts nothing. What an autoscaler would do in production happens here, and is printed
as what it is: an action of the operator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .processes import Children

SCALED: Final = "QualityGuardian"


class Operator:
    """Keeps as many instances of `SCALED` running as the last hint said."""

    def __init__(
        self, children: Children, say: Callable[[str], None], command: Callable[[str], tuple[str, ...]]
    ) -> None:
        self._children = children
        self._say = say
        self._command = command
        self._running: list[str] = []
        self._started = 0

    @property
    def instances(self) -> int:
        return len(self._running)

    def follow(self, desired: int) -> None:
        """Starts what is missing, dismisses what is too much, youngest first."""
        while len(self._running) < desired:
            self._started += 1
            name = f"{SCALED.lower()}-{self._started}"
            self._children.start(name, *self._command(SCALED))
            self._running.append(name)
            if self._started > 1:
                self._say(f"operator: starts instance {len(self._running)} of {SCALED}, as the hint says")
        while len(self._running) > max(1, desired):
            self._say(f"operator: ends instance {len(self._running)} of {SCALED}, as the hint says")
            self._children.dismiss(self._running.pop())
