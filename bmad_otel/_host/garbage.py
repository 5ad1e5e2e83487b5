"""What Python's garbage collector did in this process."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence

from opentelemetry.metrics import Observation

from bmad_otel import semconv
from bmad_otel._host.readings import Recent
from bmad_otel._host.sources import Sources


class Garbage:
    """Counts of the collector by generation. A forked child inherits its parent's counts, and leaves them out."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._inherited: Sequence[Mapping[str, int]] = ()
        self._reading = Recent(sources.garbage, sources.clock_s)

    def measures(self) -> dict[semconv.Metric, Callable[[], Iterable[Observation]]]:
        if platform.python_implementation() != "CPython":
            return {}
        return {
            semconv.CPYTHON_GC_COLLECTIONS: lambda: self._counts("collections"),
            semconv.CPYTHON_GC_COLLECTED_OBJECTS: lambda: self._counts("collected"),
            semconv.CPYTHON_GC_UNCOLLECTABLE_OBJECTS: lambda: self._counts("uncollectable"),
        }

    def after_fork_in_child(self) -> None:
        """Count from here."""
        self._inherited = self._sources.garbage()

    def _counts(self, kind: str) -> Iterable[Observation]:
        for generation, counts in enumerate(self._reading()):
            inherited = self._inherited[generation][kind] if self._inherited else 0
            yield Observation(counts[kind] - inherited, {semconv.GC_GENERATION: generation})
