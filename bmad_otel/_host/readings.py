"""What all readings have in common: one for each collection, and totals turned into rates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, TypeVar

from opentelemetry.metrics import Observation

T = TypeVar("T")

COLLECTION_S: Final = 0.1
"""Instruments asked within this time are taken to belong to one collection and show one reading. Also the shortest time
a rate is computed over: the kernel counts CPU time in ticks of 10 ms, most of a shorter rate would be rounding."""


class Recent(Generic[T]):
    """A reading, taken anew when it is older than ``age_s`` seconds or the process is a forked child."""

    def __init__(self, read: Callable[[], T], clock_s: Callable[[], float], age_s: float = COLLECTION_S) -> None:
        self._read = read
        self._clock_s = clock_s
        self._age_s = age_s
        self._last: tuple[int, float, T] | None = None

    def __call__(self) -> T:
        pid, now_s = os.getpid(), self._clock_s()
        last = self._last
        if last is not None and last[0] == pid and now_s - last[1] < self._age_s:
            return last[2]
        value = self._read()
        self._last = (pid, now_s, value)
        return value


class Rate:
    """Change of totals per second since the reading before; empty at the first."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._before: tuple[float, Mapping[str, float]] | None = None

    def per_second(self, totals: Mapping[str, float]) -> dict[str, float]:
        """Rates by key. A total that steps back (hibernation, a CPU taken offline) is no negative use."""
        now_s, before = self._clock_s(), self._before
        self._before = (now_s, totals)
        if before is None or now_s <= before[0]:
            return {}
        return {key: max(0.0, total - before[1].get(key, 0.0)) / (now_s - before[0]) for key, total in totals.items()}

    def restart(self) -> None:
        """The next reading is the first."""
        self._before = None


class RunningTotal:
    """The sum of counters that come and go, such as network interfaces, which never falls when one goes.

    A sum that falls would look like a restart to a backend, and the rest of it like new traffic.
    """

    def __init__(self) -> None:
        self._before: Mapping[str, Mapping[str, int]] = {}
        self._sums: dict[str, int] = {}

    def add(self, counters: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
        """Sums by kind of what ``counters`` shows, by device and kind. A counter that steps back began again at 0."""
        sums = dict(self._sums)
        for device, kinds in counters.items():
            before = self._before.get(device, {})
            for kind, value in kinds.items():
                grown = value - before.get(kind, 0)
                sums[kind] = sums.get(kind, 0) + (grown if grown >= 0 else value)
        self._before, self._sums = counters, sums
        return sums


def one(value: float | None) -> Iterable[Observation]:
    """The only point of a metric without attributes; none if there is no value."""
    return () if value is None else (Observation(value),)


def by(attribute: str, values: Mapping[str, float]) -> list[Observation]:
    """One point for each value of ``attribute``."""
    return [Observation(value, {attribute: key}) for key, value in values.items()]


def shares(values: Mapping[str, float], total: float) -> dict[str, float]:
    """Each value as a share of ``total``; nothing of nothing."""
    return {key: value / total for key, value in values.items()} if total > 0 else {}
