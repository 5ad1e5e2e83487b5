"""The export document: everything known, as one JSON value. `bmad_processor.export` renders it in other formats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from bmad_processor.model import PartitionKey
from bmad_processor.pricing import Prices
from bmad_processor.state import Partition
from bmad_processor.store import Snapshot
from bmad_processor.summary import display, metric_row, system_summary

from .agent import describe

RECENT_ALERTS: Final = 100
"""As many as the BMAD monitor exported."""

MAX_POINTS: Final = 250_000
"""Points of history in one document, some 10 MB of JSON: 23 agents with seven series of a thousand points, and half as
much again. With more series each gives its newest points, and ``is_truncated`` says so."""

Aged = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def export_document(
    store: Snapshot, prices: Prices, *, since_ns: int | None, now_ns: int, aged: Aged, with_history: bool = True
) -> dict[str, Any]:
    """The document of one snapshot.

    ``since_ns`` is how far back the history goes, None for all that is kept; without history there is what is true now.
    ``aged`` gives firing alerts their present duration. Keys of ``agent_summaries`` and ``history`` are agent names; a
    name that several namespaces have is ``namespace/name``. Points are ``[seconds since the epoch, value in the unit
    beside them, n]``, oldest first.
    """
    settings, partitions = store.settings(), store.partitions()
    kept = store.alerts()
    agents = [p for p in partitions if p.key.kind == "agent"]
    labels = agent_labels(p.key for p in agents)
    series = {str(p.key): store.metric_types(str(p.key)) if with_history else [] for p in partitions}
    limit = max(1, MAX_POINTS // max(1, sum(map(len, series.values()))))
    begin_ns = 0 if since_ns is None else now_ns - since_ns
    history = _History(store, series, limit, begin_ns)
    summaries = {
        labels[p.key]: describe(
            p, settings, aged(store.alerts(partition_key=str(p.key), limit=RECENT_ALERTS)), prices, now_ns
        )
        for p in agents
    }
    document: dict[str, Any] = {
        "timestamp": now_ns / 1e9,
        "since": None if since_ns is None else begin_ns / 1e9,
        "system_summary": system_summary(
            partitions, settings, kept, store.counters(), now_ns, since_ns=store.started_ns()
        ),
        "agent_summaries": summaries,
        "recent_alerts": sorted(aged(kept[:RECENT_ALERTS]), key=lambda alert: alert["started_ns"]),
        "hints": store.hints(),
        "history": {labels[p.key]: history.of(p, _units(summaries[labels[p.key]])) for p in agents},
        "host_history": {p.key.name: history.of(p, {}) for p in partitions if p.key.kind == "host"},
    }
    return document | {"is_truncated": history.is_truncated}


def agent_labels(keys: Iterable[PartitionKey]) -> dict[PartitionKey, str]:
    """A label for each agent, each once: its name, else ``namespace/name``, else the key of its partition."""
    keys = list(keys)
    counts = Counter(key.name for key in keys)
    labels = {key: key.name for key in keys if counts[key.name] == 1}
    taken = set(labels.values())
    for key in keys:
        if key not in labels:
            scoped = f"{key.namespace}/{key.name}" if key.namespace else key.name
            labels[key] = str(key) if scoped in taken else scoped
            taken.add(labels[key])
    return labels


def _units(summary: Mapping[str, Any]) -> dict[str, str]:
    """Metric type to the unit it was shown in: values of a program's own have the unit they came with."""
    return {name: str(now["unit"]) for name, now in summary["current_metrics"].items()}


class _History:
    """Reads series within the bounds of one document."""

    def __init__(self, store: Snapshot, series: dict[str, list[str]], limit: int, begin_ns: int) -> None:
        self._store = store
        self._series = series
        self._limit = limit
        self._begin_ns = begin_ns
        self.is_truncated = False

    def of(self, partition: Partition, units: Mapping[str, str]) -> dict[str, Any]:
        """Metric type to unit and points, of one partition."""
        key = str(partition.key)
        return {
            name: {"unit": units.get(name) or metric_row(name).display_unit, "points": points}
            for name in self._series[key]
            if (points := self._points(key, name))
        }

    def _points(self, key: str, name: str) -> list[list[float | int]]:
        rows = self._store.history(key, name, self._limit + 1)
        wanted = [row for row in rows if row[0] >= self._begin_ns]
        if len(wanted) > self._limit:
            self.is_truncated = True
            wanted = wanted[1:]
        return [[time_ns / 1e9, display(name, value), n] for time_ns, value, n in wanted]
