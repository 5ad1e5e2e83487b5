"""The values a `MetricsCollector` keeps under one name."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final, NamedTuple

MAX_LABEL_SETS: Final = 200
"""Sets of labels of one name; an id in a label would make a new one at each call."""

MAX_SAMPLES: Final = 1000
"""Values kept under one name, all sets of labels together: what BMAD keeps."""

_MAX_LABELS: Final = 16
_MAX_TEXT: Final = 256  # characters of a label's name or value

Labels = tuple[tuple[str, str], ...]
"""Sorted pairs of name and value."""


class Kind(Enum):
    """What the values of a name are; ``exposed`` is the word for it outside."""

    GAUGE = "gauge"
    COUNTER = "counter"  # values are added
    TOTAL = "total"  # values are totals so far
    HISTOGRAM = "histogram"

    @property
    def exposed(self) -> str:
        return {Kind.TOTAL: "counter"}.get(self, self.value)


class Sample(NamedTuple):
    """A value and when it came, in seconds since the epoch."""

    value: float
    time_s: float


class _Series:
    """One set of labels."""

    __slots__ = ("count", "last", "samples", "sum")

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=MAX_SAMPLES)
        self.last: Sample | None = None
        self.sum = 0.0
        self.count = 0


class Collected:
    """One name: its kind, and its values by labels."""

    def __init__(self, name: str, kind: Kind) -> None:
        self.name = name
        self.kind = kind
        self._series: dict[Labels, _Series] = {}
        self._size = 0

    def add(self, value: float, labels: Labels, kind: Kind, now_s: float) -> str | None:
        """Keep a value; why not, if it cannot be kept."""
        if not math.isfinite(value):
            return "not_a_number"
        if kind is not self.kind:
            return "other_kind"
        series = self._series.get(labels)
        if series is None:
            if len(self._series) >= MAX_LABEL_SETS:
                return "label_sets"
            series = self._series[labels] = _Series()
        series.count += 1
        series.sum += value
        kept = series.sum if kind is Kind.COUNTER else value
        if len(series.samples) < MAX_SAMPLES:
            self._size += 1
        series.last = Sample(kept, now_s)
        series.samples.append(series.last)
        if self._size > MAX_SAMPLES:
            longest = max(self._series.values(), key=lambda each: len(each.samples))
            longest.samples.popleft()
            self._size -= 1
        return None

    def samples(self) -> Iterator[tuple[str, Sample, Labels]]:
        """Name, value and labels of all that is kept; of a histogram the percentiles."""
        for labels, series in self._series.items():
            if self.kind is Kind.HISTOGRAM:
                if series.last is not None:
                    for suffix, value in zip(("p50", "p95", "p99"), self._percentiles(series), strict=True):
                        yield f"{self.name}_{suffix}", Sample(value, series.last.time_s), labels
            else:
                for sample in series.samples:
                    yield self.name, sample, labels

    def latest(self) -> Iterator[tuple[Labels, float]]:
        """The last value of each set of labels; not for histograms."""
        for labels, series in self._series.items():
            if series.last is not None:
                yield labels, series.last.value

    def summaries(self) -> Iterator[tuple[Labels, tuple[float, float, float], float, int]]:
        """For a histogram: labels, percentiles 50, 95 and 99 of what is kept, sum and number of all there were."""
        for labels, series in self._series.items():
            if series.samples:
                yield labels, self._percentiles(series), series.sum, series.count

    def forget_before(self, time_s: float) -> bool:
        """Drop older values; False when nothing is left."""
        for labels, series in list(self._series.items()):
            while series.samples and series.samples[0].time_s < time_s:
                series.samples.popleft()
                self._size -= 1
            if not series.samples:
                del self._series[labels]
        return bool(self._series)

    @staticmethod
    def _percentiles(series: _Series) -> tuple[float, float, float]:
        """By nearest rank."""
        ordered = sorted(sample.value for sample in series.samples)
        p50, p95, p99 = (ordered[max(0, math.ceil(len(ordered) * share) - 1)] for share in (0.5, 0.95, 0.99))
        return p50, p95, p99


def labels_of(given: Mapping[str, object] | None) -> Labels:
    """Labels as text, sorted and bounded."""
    if not isinstance(given, Mapping):
        return ()
    pairs = sorted((str(key)[:_MAX_TEXT], str(value)[:_MAX_TEXT]) for key, value in given.items())
    return tuple(pairs[:_MAX_LABELS])
