"""Where a monitor's questions go: an engine in this process, or a collector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from bmad_otel.monitor._profiles import Body

Listener = Callable[[Mapping[str, Any]], None]
"""Told every alert event: ``kind`` (``fired``, ``escalated``, ``resolved``) and ``alert`` in the API's form."""


class Unanswered(Exception):
    """The question cannot be answered: ``status`` and ``code`` of the API, and names that may have been meant."""

    def __init__(self, status: int, code: str, detail: str, suggestions: Sequence[str] = ()) -> None:
        self.status = status
        self.code = code
        self.suggestions = list(suggestions)
        super().__init__(detail)


class Host(Protocol):
    """All methods may be called from any thread."""

    def ask(self, path: str, params: Mapping[str, str], *, collects: bool = True) -> dict[str, Any]:
        """The API's answer for ``path``. What has just happened is in it, unless ``collects`` is False, as for all but
        the first of many questions.

        Raises Unanswered, or ConnectionError when a remote host does not answer.
        """
        ...

    def register(self, agent: str, body: Body) -> None:
        """Judge ``agent`` by a profile. Raises ValueError or ConnectionError."""
        ...

    def set_interval(self, interval_s: float) -> None:
        """Judge this often from now on, if that is ours to say."""
        ...

    def collect(self) -> None:
        """Shortly before an interval ends: read what there is."""
        ...

    def judge(self) -> None:
        """At the end of an interval: see what has changed."""
        ...

    def counters(self) -> dict[str, int]:
        """What was lost on the way to the host, by reason."""
        ...

    def close(self) -> None:
        """Nobody asks any more."""
        ...
