"""Answers of the API as the objects of the monitor's API: alerts, and the history of every series."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from bmad_otel.monitor._host import Unanswered
from bmad_otel.monitor._names import canonical
from bmad_otel.monitor._profiles import MEMORY_BYTES
from bmad_otel.monitor._sayings import UNNAMED
from bmad_otel.monitor._types import AlertLevel, MetricType, PerformanceAlert, PerformanceMetric


class Ask(Protocol):
    """`Host.ask`."""

    def __call__(self, path: str, params: Mapping[str, str], *, collects: bool = True) -> dict[str, Any]: ...


MAX_POINTS: Final = 10_000
"""The most that the API gives at once."""

_CUSTOM_PREFIX: Final = "custom:"
_HOST: Final = "system"
_MEASURED: Final = frozenset(member.value for member in MetricType if member is not MetricType.CUSTOM) | {MEMORY_BYTES}


def alert_of(found: Mapping[str, Any]) -> PerformanceAlert:
    """An alert in the API's form."""
    return PerformanceAlert(
        alert_id=found["alert_id"],
        level=AlertLevel(found["level"]),
        message=found["message"],
        metric_type=metric_type_of(found["metric_type"]),
        current_value=found["current_value"],
        threshold=found["threshold"],
        agent_name=found["agent_name"],
        timestamp=found["timestamp"],
        resolved=found["resolved"],
        resolution_time=found["resolution_time"],
    )


def metric_type_of(name: str) -> MetricType:
    """The member for the engine's name of a metric type: resident memory is memory usage, a named value is custom."""
    if name == MEMORY_BYTES:
        return MetricType.MEMORY_USAGE
    return MetricType(name) if name in _MEASURED else MetricType.CUSTOM


class History(Mapping[str, Sequence[PerformanceMetric]]):
    """Every series by ``{agent}_{metric}``, oldest value first; a custom one by ``{agent}_custom:{name}``, the one
    without a name by ``{agent}_custom``. A view: each look asks anew, and nothing can be put in."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def __getitem__(self, key: str) -> list[PerformanceMetric]:
        for agent, metric in _readings(key):
            points = self._points(agent, metric)
            if points:
                return points
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        names = [row["name"] for row in self._ask("agents", {})["agents"]]
        for agent in (*dict.fromkeys(names), _HOST):
            try:
                found = self._ask(f"agents/{agent}", {}, collects=False)
            except Unanswered:
                continue  # forgotten in between, or a host that has not reported
            for metric in found["current_metrics"]:
                if self._points(agent, metric, limit=1, collects=False):
                    yield key_of(agent, metric)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _points(
        self, agent: str, metric: str, *, limit: int = MAX_POINTS, collects: bool = True
    ) -> list[PerformanceMetric]:
        params = {"metric": metric, "limit": str(limit)}
        try:
            found = self._ask(f"agents/{agent}/history", params, collects=collects)
        except Unanswered:
            return []
        context = {"name": metric.removeprefix(_CUSTOM_PREFIX)} if metric.startswith(_CUSTOM_PREFIX) else {}
        return [
            PerformanceMetric(
                metric_type_of(metric),
                point["value"],
                found["unit"],
                point["timestamp"],
                found["agent_name"],
                {"n": point["n"], **context},
            )
            for point in found["points"]
        ]


def key_of(agent: str, metric: str) -> str:
    """The key of a series."""
    return f"{agent}_{MetricType.CUSTOM.value if metric == _CUSTOM_PREFIX + UNNAMED else metric}"


def _readings(key: object) -> Iterator[tuple[str, str]]:
    """What a key may mean, as agent and the engine's name of a metric type: both may have underscores in them."""
    if not isinstance(key, str):
        return
    at = key.find("_")
    while at >= 0:
        agent, metric = key[:at], key[at + 1 :]
        at = key.find("_", at + 1)
        if not agent:
            continue
        if metric == MetricType.CUSTOM.value:
            yield canonical(agent), _CUSTOM_PREFIX + UNNAMED
        elif metric in _MEASURED or (metric.startswith(_CUSTOM_PREFIX) and len(metric) > len(_CUSTOM_PREFIX)):
            yield canonical(agent), metric
