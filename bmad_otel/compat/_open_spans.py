"""The spans a tracer has begun and nobody has ended yet, found by their id."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from bmad_otel.compat._forks import follow
from bmad_otel.compat._tracer_span import TracerSpan

MAX_OPEN: Final = 1000
"""Spans that may be open at once; beyond it the oldest is ended, for a span nobody ends is never seen otherwise."""

_MAX_NAMES: Final = 100
"""Names counted apart; the rest is counted together."""

_OTHER: Final = "_OTHER"


class OpenSpans:
    """Open spans and what is counted of them, for any number of threads."""

    def __init__(self) -> None:
        self._begin()
        follow(self)

    def after_fork_in_child(self) -> None:
        """Begin anew: what the parent has begun the parent ends."""
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[str, TracerSpan] = OrderedDict()
        self._by_name: dict[str, int] = {}
        self._started = self._failed = self._abandoned = 0

    def add(self, span: TracerSpan) -> None:
        """Count a span that has begun."""
        with self._lock:
            self._started += 1
            name = span.name if span.name in self._by_name or len(self._by_name) < _MAX_NAMES else _OTHER
            self._by_name[name] = self._by_name.get(name, 0) + 1
            self._open[span.id] = span
            oldest = self._open.popitem(last=False)[1] if len(self._open) > MAX_OPEN else None
            self._abandoned += oldest is not None
        if oldest is not None:
            oldest.set_attribute("bmad.span.abandoned", True)
            oldest.end()

    def remove(self, span: TracerSpan) -> None:
        """Count a span that has ended."""
        with self._lock:
            self._open.pop(span.id, None)
            self._failed += span.failed

    def find(self, span: object) -> TracerSpan | None:
        """The open span that has this id, or is this one."""
        if isinstance(span, TracerSpan):
            return span
        with self._lock:
            return self._open.get(str(span))

    def end_all(self) -> None:
        """End what is open, the newest first."""
        with self._lock:
            spans = list(self._open.values())
        for span in reversed(spans):
            span.end()

    def counts(self) -> dict[str, object]:
        """Spans started, open, failed and abandoned so far, and how many of each name."""
        with self._lock:
            return {
                "spans_started": self._started,
                "spans_open": len(self._open),
                "spans_failed": self._failed,
                "spans_abandoned": self._abandoned,
                "operations": dict(self._by_name),
            }
