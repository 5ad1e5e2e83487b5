"""One method per question. Each answers from one snapshot of the store; all raise StoreError when it cannot be read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any

from bmad_processor.agent_names import CANONICAL, canonical
from bmad_processor.measure import measure, panes_in_window, response_quantiles
from bmad_processor.metric_types import CPU_USAGE, ERROR_RATE, RESPONSE_TIME, THROUGHPUT
from bmad_processor.model import Level, PartitionKey
from bmad_processor.pricing import Prices
from bmad_processor.settings import HOST_AGENT, EngineSettings
from bmad_processor.state import Partition
from bmad_processor.store import Reader, Snapshot
from bmad_processor.summary import (
    baselines,
    display,
    is_active,
    metric_row,
    scaling,
    system_summary,
)

from . import lately
from .agent import describe
from .check import Asked, check_partitions, unseen
from .costs import costs
from .dashboard import dashboard
from .export import export_document
from .prediction import prediction
from .profiles import all_profiles, one_profile
from .trends import trends


class ReadModel:
    """Answers from what ``reader`` looks into, which needs to exist only when a question is asked.

    ``now_ns`` is the clock: windows end and ages are counted from it.
    """

    def __init__(self, reader: Reader, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._reader = reader
        self._now_ns = now_ns
        self._prices = Prices()

    def system_summary(self) -> dict[str, Any]:
        """Hosts, agents, alerts and what was dropped."""
        with self._reader.snapshot() as store:
            return system_summary(
                store.partitions(),
                store.settings(),
                store.alerts(),
                store.counters(),
                self._now_ns(),
                since_ns=store.started_ns(),
            )

    def agent_summary(
        self, name: str, namespace: str | None = None, window_ns: int | None = None
    ) -> dict[str, Any] | None:
        """The summary of an agent under any of its names; None when it is unknown.

        With ``window_ns`` it has ``window_metrics`` (see `lately`) of that time until now, and of the alerts those that
        were firing within it.

        The same name in several namespaces is several agents: without ``namespace`` the one heard of last is taken,
        and ``also_in`` lists the namespaces of the others. ``system`` is the host (heard of last, as ``host`` says).
        """
        with self._reader.snapshot() as store:
            partition, others = _find(store, name, namespace)
            if partition is None:
                return None
            settings, now_ns = store.settings(), self._now_ns()
            alerts = self._aged(store.alerts(partition_key=str(partition.key), limit=100))
            if window_ns is not None:
                alerts = [alert for alert in alerts if lately.is_within(alert, now_ns - window_ns)]
            summary = describe(partition, settings, alerts, self._prices, now_ns)
            if window_ns is not None:
                summary["window_metrics"] = lately.window_metrics(
                    store, partition, settings, now_ns=now_ns, window_ns=window_ns
                )
            is_host = partition.key.kind == "host"
            return summary | {"also_in": sorted(key.name if is_host else key.namespace for key in others)}

    def list_agents(self) -> list[dict[str, Any]]:
        """One row per agent, those with the worst firing alert first, then by name."""
        with self._reader.snapshot() as store:
            settings, now_ns = store.settings(), self._now_ns()
            worst: dict[str, Level] = {}
            for alert in store.alerts(status="firing"):
                key, level = alert["partition_key"], Level[alert["level"].upper()]
                worst[key] = max(level, worst.get(key, level))
            agents = [p for p in store.partitions() if p.key.kind == "agent"]
            agents.sort(key=lambda p: (-worst.get(str(p.key), 0), p.key.name, p.key.namespace))
            return [_row(p, settings, worst.get(str(p.key)), now_ns) for p in agents]

    def alerts(
        self, agent: str | None = None, level: Level | None = None, status: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Alert episodes, firing ones first, then the newest. ``status`` is ``firing`` or ``resolved``."""
        with self._reader.snapshot() as store:
            name = None if agent is None else canonical(agent)
            return self._aged(store.alerts(agent_name=name, level=level, status=status, limit=limit))

    def _aged(self, alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A firing alert has lasted until now, whenever it was last written."""
        now_ns = self._now_ns()
        return [
            alert | {"duration_s": max(0, now_ns - alert["started_ns"]) / 1e9} if alert["status"] == "firing" else alert
            for alert in alerts
        ]

    def knows(self, name: str) -> bool:
        """Whether there is an agent of this name, or at least an alert of it."""
        with self._reader.snapshot() as store:
            return bool(_keys(store, name, None)) or store.has_alerts(canonical(name))

    def history(self, agent: str, metric: str, limit: int = 100, namespace: str | None = None) -> dict[str, Any] | None:
        """The newest points of one series, oldest first, in display units; None for an unknown agent.

        ``metric_types`` lists the series there are; a metric without any has no points.
        """
        with self._reader.snapshot() as store:
            partition, _ = _find(store, agent, namespace)
            if partition is None:
                return None
            key = str(partition.key)
            return {
                "agent_name": canonical(agent),
                "namespace": partition.key.namespace,
                "metric_type": metric,
                "unit": metric_row(metric, partition.unit_of(metric)).display_unit,
                "points": [
                    {"timestamp": time_ns / 1e9, "value": display(metric, value), "n": n}
                    for time_ns, value, n in store.history(key, metric, limit)
                ],
                "metric_types": store.metric_types(key),
            }

    def trend(
        self, agent: str, metric: str | None = None, *, window_ns: int, namespace: str | None = None
    ) -> dict[str, Any] | None:
        """Which metrics of an agent rise or fall (see `trends`), all or the one named; None for an unknown agent.

        ``metric_types`` lists the series there are.
        """
        with self._reader.snapshot() as store:
            partition, _ = _find(store, agent, namespace)
            if partition is None:
                return None
            settings, now_ns = store.settings(), self._now_ns()
            return {
                "agent_name": canonical(agent),
                "namespace": partition.key.namespace,
                "window_s": window_ns / 1e9,
                "as_of": now_ns / 1e9,
                "trends": trends(store, partition, settings, metric=metric, now_ns=now_ns, window_ns=window_ns),
                "metric_types": store.metric_types(str(partition.key)),
            }

    def prediction(self, agent: str, *, horizon_ns: int, namespace: str | None = None) -> dict[str, Any] | None:
        """How many instances an agent will need (see `prediction`); None for an unknown agent."""
        with self._reader.snapshot() as store:
            partition, _ = _find(store, agent, namespace)
            if partition is None:
                return None
            now_ns = self._now_ns()
            return {
                "agent_name": canonical(agent),
                "namespace": partition.key.namespace,
                "as_of": now_ns / 1e9,
            } | prediction(store, partition, store.settings(), now_ns=now_ns, horizon_ns=horizon_ns)

    def scaling(self, limit: int = 100) -> dict[str, Any]:
        """The latest advice per agent, and the newest ``limit`` changes of advice."""
        with self._reader.snapshot() as store:
            return {"hints": store.hints(), "changes": store.hint_log(limit)}

    def costs(self, group_by: str) -> dict[str, Any]:
        """Tokens and money of all agents, by one of `costs.GROUPS`."""
        with self._reader.snapshot() as store:
            return costs(store.partitions(), group_by, self._prices, self._now_ns())

    def profiles(self) -> dict[str, Any]:
        """Every profile, merged."""
        with self._reader.snapshot() as store:
            return all_profiles(store.settings().profiles)

    def profile(self, name: str) -> dict[str, Any] | None:
        """What an agent is judged by; ``*`` is the default profile. None for a name that nothing is known of."""
        agent = canonical(name)
        with self._reader.snapshot() as store:
            profiles = store.settings().profiles
            is_known = agent in (profiles.default.agent, HOST_AGENT, *CANONICAL, *profiles.by_agent)
            return one_profile(profiles, agent) if is_known or _keys(store, name, None) else None

    def near_profiles(self, name: str) -> list[str]:
        """Agents with a profile that ``name`` may be a misspelling of."""
        with self._reader.snapshot() as store:
            known = {PartitionKey.parse(key).name for key in store.partition_keys() if key.startswith("agent/")}
            return near(canonical(name), known | {*CANONICAL, *store.settings().profiles.by_agent})

    def export(self, since_ns: int | None = None, *, with_history: bool = True) -> dict[str, Any]:
        """Everything known, with the history of the last ``since_ns`` nanoseconds (see `export_document`)."""
        with self._reader.snapshot() as store:
            return export_document(
                store,
                self._prices,
                since_ns=since_ns,
                now_ns=self._now_ns(),
                aged=self._aged,
                with_history=with_history,
            )

    def check(self, agent: str | None, fail_on: Level, since_ns: int) -> dict[str, Any] | None:
        """Whether agents kept within their thresholds (see `check_partitions`); None when ``agent`` is unknown.

        Without ``agent`` all agents, not the hosts: a machine that builds is busy. ``system`` asks for the hosts. An
        agent that has not reported has checks without data if it is one of BMAD's or has a profile.
        """
        with self._reader.snapshot() as store:
            asked = Asked(fail_on, since_ns, self._now_ns())
            if agent is None:
                return check_partitions(store, [p for p in store.partitions() if p.key.kind == "agent"], asked)
            found = [p for key in _keys(store, agent, None) if (p := store.partition(str(key))) is not None]
            if not found:
                never_seen = unseen(agent, store.settings())
                found = [] if never_seen is None else [never_seen]
            return check_partitions(store, found, asked) if found else None

    def dashboard(self) -> dict[str, Any]:
        """What the BMAD dashboard shows (see `dashboard`)."""
        with self._reader.snapshot() as store:
            return dashboard(store, self._now_ns())

    def near_names(self, name: str) -> list[str]:
        """Known agents that ``name`` may be a misspelling of, the nearest first."""
        with self._reader.snapshot() as store:
            known = {PartitionKey.parse(key).name for key in store.partition_keys() if key.startswith("agent/")}
        return near(canonical(name), known) or [n for n in near(canonical(name), CANONICAL) if n in known]


def near(word: str, known: Iterable[str]) -> list[str]:
    """The up to three members of ``known`` most like ``word``, whatever their case."""
    by_lower = {name.lower(): name for name in known}
    lower = word.lower()
    matches = get_close_matches(lower, by_lower, n=3, cutoff=0.6)
    # difflib finds typing errors, but not that "developer" is a part of the name
    matches += [name for name in sorted(by_lower) if len(lower) > 2 and lower in name and name not in matches]
    return [by_lower[match] for match in matches[:3]]


def _keys(store: Snapshot, name: str, namespace: str | None) -> list[PartitionKey]:
    wanted = canonical(name)
    keys = [PartitionKey.parse(key) for key in store.partition_keys()]
    found = [key for key in keys if key.kind == "agent" and key.name == wanted]
    if not found and wanted == HOST_AGENT:
        found = [key for key in keys if key.kind == "host"]
    return [key for key in found if namespace is None or key.namespace == namespace]


def _find(store: Snapshot, name: str, namespace: str | None) -> tuple[Partition | None, list[PartitionKey]]:
    """The partition of ``name`` heard of last, and the keys of the others."""
    found = [p for key in _keys(store, name, namespace) if (p := store.partition(str(key))) is not None]
    if not found:
        return None, []
    latest = max(found, key=lambda p: p.last_seen_ns)
    return latest, [p.key for p in found if p is not latest]


def _row(partition: Partition, settings: EngineSettings, level: Level | None, now_ns: int) -> dict[str, Any]:
    profile = settings.profiles.of(partition.key)
    panes = panes_in_window(partition.panes, settings, now_ns)
    measured = measure(partition, panes, settings, end_ns=now_ns)
    advice = scaling(partition, profile)
    oldest_ns = now_ns - settings.instance_timeout_ns
    quantiles = response_quantiles(partition, panes)

    def value(name: str) -> float | None:
        return display(name, measured[name].value) if name in measured else None

    return {
        "name": partition.key.name,
        "namespace": partition.key.namespace,
        "instances": sum(seen.last_seen_ns >= oldest_ns for seen in partition.instances.values()),
        "rate": value(THROUGHPUT),
        "p95_s": None if quantiles is None else quantiles["p95_s"],
        "error_rate": value(ERROR_RATE),
        "cpu_usage": value(CPU_USAGE),
        "baseline_response_s": baselines(partition, settings).get(RESPONSE_TIME),
        "level": None if level is None else level.label,
        "tasks_total": partition.tasks_total,
        "errors_total": partition.errors_total,
        "has_profile": settings.profiles.has_own(partition.key),
        "monitoring_enabled": profile.monitoring_enabled,
        "auto_scaling_enabled": profile.auto_scaling_enabled,
        "scaling": {name: advice[name] for name in ("current", "desired", "action")},
        "is_active": is_active(partition, settings, now_ns),
        "last_seen": partition.last_seen_ns / 1e9,
        "age_s": max(0.0, round((now_ns - partition.last_seen_ns) / 1e9, 3)),
    }
