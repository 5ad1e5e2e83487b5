"""What agents say of themselves: custom and self-reported values and events, kept until they are observed.

Nothing here takes a lock: each step on a dictionary is atomic, and a value that is lost between two threads is replaced
by a newer one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from opentelemetry.metrics import Observation

from bmad_otel import _guard, semconv
from bmad_otel._clock import clock

MAX_NAMES: Final = 100
"""Names of values of one agent, and of its events. A name that holds an id fills any table; this one is small."""

OVERFLOW_NAME: Final = "overflow"
"""Under it the values of all further names of an agent are kept."""

SHOWN_FOR_NS: Final = 60_000_000_000
"""A value is observed for a minute after it was said: longer than any sensible interval of collection, and not for
ever, because a gauge that is never said again is no measurement."""

_Value = tuple[float, str, int]
"""Value, unit and when it was said, in nanoseconds of `clock.monotonic_ns`."""


class SaidByAgents:
    """The latest value of each name of each agent, and how often each event was told of."""

    __slots__ = ("_custom", "_events", "_reported", "folded")

    def __init__(self) -> None:
        self._custom: dict[str, dict[str, _Value]] = {}
        self._reported: dict[str, dict[str, _Value]] = {}
        self._events: dict[str, dict[str, int]] = {}
        self.folded = 0
        """Values and events that were kept under `OVERFLOW_NAME`."""

    def say_custom(self, agent: str, name: str, value: float, unit: str) -> None:
        """A value of the program's own."""
        names = self._custom.get(agent)
        if names is None:
            names = self._custom.setdefault(agent, {})
        names[name if name in names else self._admit(agent, names, name)] = (value, unit, clock.monotonic_ns())

    def say_reported(self, agent: str, name: str, value: float, unit: str) -> None:
        """What an agent says of itself under the name of a metric that is measured."""
        names = self._reported.get(agent)
        if names is None:
            names = self._reported.setdefault(agent, {})
        names[name if name in names else self._admit(agent, names, name)] = (value, unit, clock.monotonic_ns())

    def count_event(self, agent: str, name: str) -> str:
        """One more event; returns the name it is counted under."""
        names = self._events.get(agent)
        if names is None:
            names = self._events.setdefault(agent, {})
        if name not in names:
            name = self._admit(agent, names, name)
        names[name] = names.get(name, 0) + 1
        return name

    def custom(self) -> Iterable[Observation]:
        """Points of `semconv.CUSTOM`."""
        return _observed(self._custom)

    def reported(self) -> Iterable[Observation]:
        """Points of `semconv.REPORTED`."""
        return _observed(self._reported)

    def events(self) -> Iterable[Observation]:
        """Points of `semconv.AGENT_EVENTS`."""
        return [
            Observation(count, {semconv.GEN_AI_AGENT_NAME: agent, semconv.EVENT_NAME: name})
            for agent, names in self._events.copy().items()
            for name, count in names.copy().items()
        ]

    def clear(self) -> None:
        """Forget everything, as in a forked child: what the parent said is the parent's to report."""
        for kept in (self._custom, self._reported, self._events):
            kept.clear()
        self.folded = 0

    def _admit(self, agent: str, names: dict[str, _Value] | dict[str, int], name: str) -> str:
        if len(names) < MAX_NAMES:
            return name
        self.folded += 1
        _guard.warn_once(
            f"names of {agent}",
            "bmad_otel: agent %r uses more than %d names of values or events; further ones are kept under %r. Is an id "
            "part of the name?",
            agent,
            MAX_NAMES,
            OVERFLOW_NAME,
        )
        return OVERFLOW_NAME


def _observed(said: dict[str, dict[str, _Value]]) -> Iterable[Observation]:
    oldest_ns = clock.monotonic_ns() - SHOWN_FOR_NS
    points: list[Observation] = []
    for agent, names in said.copy().items():
        for name, kept in names.copy().items():
            value, unit, said_ns = kept
            if said_ns < oldest_ns:
                if names.get(name) is kept:
                    names.pop(name, None)  # makes room for another name
                continue
            attributes = {semconv.GEN_AI_AGENT_NAME: agent, semconv.METRIC_NAME: name, semconv.METRIC_UNIT: unit}
            points.append(Observation(value, attributes))
    return points
