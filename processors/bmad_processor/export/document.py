"""Walking the export document: whose values it has, and which points.

The document is JSON as ``/api/v1/export`` gives it: values in display units, times in seconds since the epoch. What a
foreign or older program left out is skipped, so that an old file can still be rendered.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

HOST_AGENT: Final = "system"
"""Agent name under which a host's own values appear, as everywhere."""

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose value it is: an agent in its namespace, or a host (``host`` is not empty)."""

    agent: str
    namespace: str
    host: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one series in its display unit."""

    owner: Owner
    metric: str
    unit: str
    time_s: float
    value: float
    n: int


def is_empty(document: Document) -> bool:
    """Whether nothing has reported: no agent and no host."""
    system = _mapping(document.get("system_summary"))
    return not _mapping(document.get("agent_summaries")) and not _mapping(system.get("hosts"))


def agents(document: Document) -> Iterator[tuple[Owner, Mapping[str, Any]]]:
    """Every agent with its summary, in the document's order."""
    for label, summary in _mapping(document.get("agent_summaries")).items():
        if isinstance(summary, Mapping):
            yield _owner(str(label), summary), summary


def hosts(document: Document) -> Iterator[tuple[Owner, Mapping[str, Any]]]:
    """Every host with its row of the system summary."""
    for name, host in _mapping(_mapping(document.get("system_summary")).get("hosts")).items():
        if isinstance(host, Mapping):
            yield Owner(HOST_AGENT, "", str(name)), host


def history_points(document: Document) -> Iterator[Point]:
    """Every point of every series, oldest first within a series.

    A metric of an agent that has a value but no history yet (younger than a pane) gives its present value.
    """
    history = _mapping(document.get("history"))
    for label, summary in _mapping(document.get("agent_summaries")).items():
        if not isinstance(summary, Mapping):
            continue
        owner, series = _owner(str(label), summary), _mapping(history.get(label))
        yield from _series_points(owner, series)
        for metric, now in _mapping(summary.get("current_metrics")).items():
            if not _mapping(series.get(metric)).get("points") and (point := _present(owner, str(metric), now)):
                yield point
    for name, series in _mapping(document.get("host_history")).items():
        yield from _series_points(Owner(HOST_AGENT, "", str(name)), _mapping(series))


def number(value: object) -> float | None:
    """``value`` as a float; None for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _owner(label: str, summary: Mapping[str, Any]) -> Owner:
    return Owner(str(summary.get("agent_name") or label), str(summary.get("namespace") or ""))


def _series_points(owner: Owner, series: Mapping[str, Any]) -> Iterator[Point]:
    for metric, found in series.items():
        unit = str(_mapping(found).get("unit") or "")
        for time_s, value, n in _mapping(found).get("points") or ():
            when, amount = number(time_s), number(value)
            if when is not None and amount is not None:
                yield Point(owner, str(metric), unit, when, amount, int(n))


def _present(owner: Owner, metric: str, now: object) -> Point | None:
    row = _mapping(now)
    value, when = number(row.get("value")), number(row.get("as_of"))
    if value is None or when is None or row.get("is_stale"):
        return None
    return Point(owner, metric, str(row.get("unit") or ""), when, value, int(row.get("n") or 0))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
