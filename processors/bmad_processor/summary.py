"""What a person or a program wants to know about one partition, computed from its state alone.

The one source of every summary: JSON API, CLI, export and page print these dictionaries. Keys and units follow the
BMAD performance monitor (``current_metrics``, ``baseline_metrics``, ``recommendations`` ...) with what it lacked beside
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from .measure import measure, panes_in_window, response_quantiles
from .metric_types import (
    CPU_USAGE,
    CUSTOM_PREFIX,
    DISK_IO,
    ERROR_RATE,
    MEMORY_USAGE,
    METRIC_TYPES,
    NETWORK_IO,
    REPORTED_PREFIX,
    RESPONSE_TIME,
    Direction,
    MetricType,
    is_custom,
    is_reported,
    metric_type,
    render,
)
from .model import ANY_TOOL, Exemplar, Level, Measured, PartitionKey
from .settings import HOST_AGENT, EngineSettings, Profile
from .state import Pane, Partition

MAX_SHOWN_INSTANCES: Final = 20
"""Names of instances in a summary; the count is always complete."""

MAX_SHOWN_ALERTS: Final = 20
"""Alerts in an agent's summary: all that fit a screen, firing ones first. `/api/v1/alerts` has the others."""

MAX_SHOWN_EXEMPLARS: Final = 5

LOW_CPU_RATIO: Final = 0.20
"""Below this the BMAD monitor advised to scale down; profiles have no threshold for too little."""

SCALE_UP: Final = "Consider scaling up CPU resources or optimizing task distribution"
SCALE_DOWN: Final = "Consider scaling down CPU resources: utilization is low"
LESS_MEMORY: Final = "Consider increasing memory or optimizing memory usage"
FASTER: Final = "Consider optimizing tasks to reduce response time"
FEWER_ERRORS: Final = "Investigate the causes of the high error rate"


# Names and units ------------------------------------------------------------------------------------------------------


def agent_label(key: PartitionKey) -> str:
    """The agent a person reads for a partition: its name, for a host `HOST_AGENT`."""
    return HOST_AGENT if key.kind == "host" else key.name


def metric_row(name: str, unit: str = "") -> MetricType:
    """The row of ``name``; a plain row for a type this release does not know, so that old data stays readable.

    ``unit`` is that of a custom or reported value (`Partition.unit_of`).
    """
    if name in METRIC_TYPES:
        return METRIC_TYPES[name]
    return metric_type(name if is_custom(name) or is_reported(name) else CUSTOM_PREFIX + name, unit)


def display(name: str, value: float) -> float:
    """``value`` of metric type ``name`` in the unit a person reads; 0.29 becomes 29, not 28.999999999999996."""
    factor = metric_row(name).display_factor
    return value if factor == 1 else round(value * factor, 9)


def thresholds_of(profile: Profile) -> dict[str, dict[str, float]]:
    """Metric type to level to threshold in display units."""
    return {
        name: {level.label: display(name, value) for level, value in sorted(levels.items())}
        for name, levels in profile.thresholds.items()
    }


def directions_of(profile: Profile) -> dict[str, str]:
    """Metric type to the side of its thresholds that is bad, for all that have thresholds."""
    return {name: (profile.directions.get(name) or metric_row(name).direction).value for name in profile.thresholds}


def _seconds(time_ns: int) -> float:
    return time_ns / 1e9


def _age_s(time_ns: int, now_ns: int) -> float:
    # a sender's clock may be ahead of ours
    return max(0.0, round((now_ns - time_ns) / 1e9, 3))


# One agent ------------------------------------------------------------------------------------------------------------


def agent_summary(
    partition: Partition, settings: EngineSettings, alerts: Sequence[Mapping[str, Any]], now_ns: int
) -> dict[str, Any]:
    """Everything about one partition. ``alerts`` are its alerts as JSON values, newest first.

    ``current_metrics`` rest on the evaluation window that ends now, the open pane included, so that a new agent is seen
    at once. A metric without data in it shows its last judged value with ``is_stale`` set; ``as_of`` says from when.
    """
    profile = settings.profiles.of(partition.key)
    panes = panes_in_window(partition.panes, settings, now_ns)
    measured = measure(partition, panes, settings, end_ns=now_ns)
    details = recommend(measured, profile, min_tasks=settings.min_tasks)
    firing_first = sorted(alerts, key=lambda alert: bool(alert["resolved"]))
    return {
        "agent_name": agent_label(partition.key),
        "namespace": partition.key.namespace,
        "kind": partition.key.kind,
        "host": partition.key.name if partition.key.kind == "host" else None,
        "has_profile": settings.profiles.has_own(partition.key),
        "monitoring_enabled": profile.monitoring_enabled,
        "auto_scaling_enabled": profile.auto_scaling_enabled,
        "baseline_metrics": baselines(partition, settings),
        "current_metrics": current_metrics(partition, measured, now_ns),
        "self_reported": self_reported(partition, measured, now_ns),
        "response_times": response_quantiles(partition, panes),
        "alerts": [dict(alert) for alert in firing_first[:MAX_SHOWN_ALERTS]],
        "recommendations": [str(detail["text"]) for detail in details],
        "recommendation_details": details,
        "instances": _instances(partition, settings, now_ns),
        "scaling": scaling(partition, profile),
        "thresholds": thresholds_of(profile),
        "directions": directions_of(profile),
        "exemplars": _exemplars(panes),
        "tools": tools(partition),
        "tool_calls": partition.tools[ANY_TOOL].calls if ANY_TOOL in partition.tools else None,
        "tasks_total": partition.tasks_total,
        "errors_total": partition.errors_total,
        "first_seen": _seconds(partition.first_seen_ns),
        "last_seen": _seconds(partition.last_seen_ns),
        "age_s": _age_s(partition.last_seen_ns, now_ns),
        "is_active": is_active(partition, settings, now_ns),
        "window_s": settings.window_ns / 1e9,
        "as_of": _seconds(now_ns),
    }


def is_active(partition: Partition, settings: EngineSettings, now_ns: int) -> bool:
    """Whether it was heard of within the time after which an instance counts as gone."""
    return now_ns - partition.last_seen_ns <= settings.instance_timeout_ns


def current_metrics(partition: Partition, measured: Mapping[str, Measured], now_ns: int) -> dict[str, dict[str, Any]]:
    """Metric type to value, unit, n, level and score of the last judgement, and how old the value is.

    Measured ones only: what an agent says of itself is in `self_reported`.
    """
    shown: dict[str, dict[str, Any]] = {}
    for name in sorted(measured.keys() | partition.latest.keys(), key=_usual_order):
        if is_reported(name):
            continue
        now = measured.get(name)
        judged = partition.latest.get(name)
        value = now.value if now else judged.value if judged else 0.0
        shown[name] = {
            "value": display(name, value),
            "unit": metric_row(name, partition.unit_of(name)).display_unit,
            "n": now.n if now else judged.n if judged else 0,
            "level": judged.level.label if judged and judged.level else None,
            "score": judged.score if judged else None,
            "is_stale": now is None,
            "as_of": _seconds(now_ns if now or not judged else judged.time_ns),
        }
    return shown


def self_reported(partition: Partition, measured: Mapping[str, Measured], now_ns: int) -> dict[str, dict[str, Any]]:
    """What the agent says of itself: name (without ``reported:``) to value, unit, n, and from when it is.

    The mean of what it said within the window, else of the last time it said anything. Never judged.
    """
    shown: dict[str, dict[str, Any]] = {}
    for name in sorted(measured.keys() | partition.latest.keys()):
        if not is_reported(name):
            continue
        now, last = measured.get(name), partition.latest.get(name)
        said = now or last
        if said is not None:
            shown[name.removeprefix(REPORTED_PREFIX)] = {
                "value": said.value,
                "unit": partition.unit_of(name),
                "n": said.n,
                "as_of": _seconds(now_ns if now or last is None else last.time_ns),
            }
    return shown


def _usual_order(name: str) -> tuple[int, str]:
    known = list(METRIC_TYPES)
    return (known.index(name), "") if name in METRIC_TYPES else (len(known), name)


def baselines(partition: Partition, settings: EngineSettings) -> dict[str, float]:
    """Metric type to learned normal value in display units, of those that have learned enough to be used."""
    return {
        name: display(name, baseline.mean)
        for name, baseline in partition.baselines.items()
        if baseline.n >= settings.warmup
    }


def scaling(partition: Partition, profile: Profile) -> dict[str, Any]:
    """The last advice; ``desired`` and ``action`` are None before the first."""
    last = partition.scaling
    was_given = last.desired > 0
    return {
        "current": last.current if was_given else None,
        "desired": last.desired if was_given else None,
        "min": profile.scaling.min_instances,
        "max": profile.scaling.max_instances,
        "action": last.action or None,
        "reason": last.reason,
        "as_of": _seconds(last.time_ns) if was_given else None,
    }


def tools(partition: Partition) -> dict[str, dict[str, Any]]:
    """Tool to its calls since the agent is known, the most called first; durations in seconds. Only of tools whose
    calls name the agent; ``tool_calls`` counts all that its tasks executed."""
    named = ((name, use) for name, use in partition.tools.items() if name != ANY_TOOL)
    used = sorted(named, key=lambda item: (-item[1].calls, item[0]))
    return {
        name: {
            "calls": use.calls,
            "errors": use.errors,
            "mean_s": use.sum_ns / use.calls / 1e9 if use.calls else None,
            "max_s": use.max_ns / 1e9,
        }
        for name, use in used
    }


def _instances(partition: Partition, settings: EngineSettings, now_ns: int) -> dict[str, Any]:
    oldest_ns = now_ns - settings.instance_timeout_ns
    names = sorted(name for name, seen in partition.instances.items() if seen.last_seen_ns >= oldest_ns)
    return {
        "count": len(names),
        "names": names[:MAX_SHOWN_INSTANCES],
        "is_truncated": len(names) > MAX_SHOWN_INSTANCES,
    }


def _exemplars(panes: Iterable[Pane]) -> list[dict[str, Any]]:
    """Real tasks worth a look: failed ones first, then the slowest."""
    found: dict[str, Exemplar] = {e.trace_id: e for pane in panes for e in pane.exemplars}
    worst = sorted(found.values(), key=lambda e: (not e.error, -e.duration_ns))
    return [
        {"trace_id": e.trace_id, "duration_s": e.duration_ns / 1e9, "task": e.task, "error": e.error}
        for e in worst[:MAX_SHOWN_EXEMPLARS]
    ]


# Recommendations ------------------------------------------------------------------------------------------------------


def recommend(measured: Mapping[str, Measured], profile: Profile, *, min_tasks: int) -> list[dict[str, Any]]:
    """The five rules of the BMAD monitor, against the profile's warning thresholds, each with its evidence.

    An error rate of fewer than ``min_tasks`` tasks gives no advice, as it gives no alert.
    """
    advice: list[dict[str, Any]] = []
    too_much = {CPU_USAGE: SCALE_UP, MEMORY_USAGE: LESS_MEMORY, RESPONSE_TIME: FASTER, ERROR_RATE: FEWER_ERRORS}
    for name, text in too_much.items():
        now = measured.get(name)
        if now is None or profile.direction_of(name) is not Direction.HIGH_IS_BAD:
            continue  # the advice is against too much of it
        if name == ERROR_RATE and now.n < min_tasks:
            continue
        limit = _warning(profile, name)
        if limit is not None and now.value > limit:
            advice.append(_advice(text, f"{name} > {render(name, limit)}", now, limit))
        elif name == CPU_USAGE and now.value < LOW_CPU_RATIO:
            advice.append(_advice(SCALE_DOWN, f"{name} < {render(name, LOW_CPU_RATIO)}", now, LOW_CPU_RATIO))
    return advice


def _warning(profile: Profile, name: str) -> float | None:
    levels = profile.thresholds.get(name, {})
    # a profile may leave the warning out; the next level then is the first that matters
    return next((levels[level] for level in (Level.WARNING, Level.CRITICAL, Level.EMERGENCY) if level in levels), None)


def _advice(text: str, rule: str, now: Measured, limit: float) -> dict[str, Any]:
    name = now.metric_type
    evidence = {
        "metric_type": name,
        "value": display(name, now.value),
        "threshold": display(name, limit),
        "unit": metric_row(name).display_unit,
        "n": now.n,
    }
    return {"text": text, "rule": rule, "evidence": evidence}


# Everything together --------------------------------------------------------------------------------------------------

_HOST_METRICS: Final[dict[str, Callable[[list[float]], float]]] = {
    CPU_USAGE: lambda values: sum(values) / len(values),
    MEMORY_USAGE: lambda values: sum(values) / len(values),
    DISK_IO: sum,
    NETWORK_IO: sum,
}
"""How several hosts become one number: shares are averaged, flows are added."""


def system_summary(
    partitions: Sequence[Partition],
    settings: EngineSettings,
    alerts: Sequence[Mapping[str, Any]],
    counters: Mapping[str, int],
    now_ns: int,
    *,
    since_ns: int | None = None,
) -> dict[str, Any]:
    """Everything at once. ``alerts`` are all kept alerts, ``counters`` the engine's, ``since_ns`` the monitor's start.

    A host metric is None when no host reported it lately.
    """
    hosts = {p.key.name: _host(p, settings, now_ns) for p in partitions if p.key.kind == "host"}
    agents = [p for p in partitions if p.key.kind == "agent"]
    summary: dict[str, Any] = {}
    for name, combine in _HOST_METRICS.items():
        values = [host[name] for host in hosts.values() if host[name] is not None]
        summary[name] = combine(values) if values else None
    firing = [alert for alert in alerts if not alert["resolved"]]
    return summary | {
        "units": {name: metric_row(name).display_unit for name in _HOST_METRICS},
        "hosts": hosts,
        "active_agents": sum(is_active(p, settings, now_ns) for p in agents),
        "agents_total": len(agents),
        "total_alerts": len(alerts),
        "firing_alerts": {
            level.label: sum(alert["level"] == level.label for alert in firing) for level in reversed(Level)
        },
        "tasks_total": sum(p.tasks_total for p in agents),
        "errors_total": sum(p.errors_total for p in agents),
        "dropped": dict(counters),
        "since": None if since_ns is None else _seconds(since_ns),
        "as_of": _seconds(now_ns),
    }


def _host(partition: Partition, settings: EngineSettings, now_ns: int) -> dict[str, Any]:
    panes = panes_in_window(partition.panes, settings, now_ns)
    measured = measure(partition, panes, settings, end_ns=now_ns)
    host: dict[str, Any] = {}
    for name in _HOST_METRICS:
        now, judged = measured.get(name), partition.latest.get(name)
        if now is not None:
            host[name] = display(name, now.value)
        elif judged is not None and now_ns - judged.time_ns <= settings.instance_timeout_ns:
            # hosts that report once a minute fall out of a one minute window now and then
            host[name] = display(name, judged.value)
        else:
            host[name] = None
    return host | {"last_seen": _seconds(partition.last_seen_ns), "age_s": _age_s(partition.last_seen_ns, now_ns)}
