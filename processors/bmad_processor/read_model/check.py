"""Whether agents kept within their thresholds lately: what a CI job asks.

Every agent and metric with a threshold is one check. It is judged as the engine judges, by the same function, from the
values of all judged windows since then, from the window that ends now, and from the alerts that were open since then:
a violation that is over by now still counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bmad_processor import evaluate
from bmad_processor.agent_names import CANONICAL, canonical
from bmad_processor.measure import measure, panes_in_window
from bmad_processor.metric_types import Direction, metric_type, render
from bmad_processor.model import Level, Measured, PartitionKey
from bmad_processor.settings import EngineSettings
from bmad_processor.state import Partition
from bmad_processor.store import Snapshot
from bmad_processor.summary import agent_label, display, metric_row

PASS: Final = "pass"  # noqa: S105 - a verdict
FAIL: Final = "fail"
NO_DATA: Final = "no_data"

MAX_VALUES: Final = 10_000
"""Judged windows of one series that are looked at, the newest."""

_ORDER: Final = {FAIL: 0, PASS: 1, NO_DATA: 2}


@dataclass(frozen=True, slots=True)
class Asked:
    """``fail_on`` is the lowest level that fails a check; ``since_ns`` how far back to look, from ``now_ns``."""

    fail_on: Level
    since_ns: int
    now_ns: int

    @property
    def begin_ns(self) -> int:
        """Nothing before this counts."""
        return self.now_ns - self.since_ns


@dataclass(frozen=True, slots=True)
class _Value:
    measured: Measured
    time_ns: int


def check_partitions(store: Snapshot, partitions: Sequence[Partition], asked: Asked) -> dict[str, Any]:
    """The report over these agents (or hosts): ``checks``, counts by status, and one ``status`` for all.

    ``status`` is ``fail`` when a check failed, ``no_data`` when none had data, else ``pass``. Agents whose monitoring
    is switched off have no checks and are listed as ``not_monitored``.
    """
    settings = store.settings()
    checks: list[dict[str, Any]] = []
    switched_off: list[str] = []
    for partition in partitions:
        if settings.profiles.of(partition.key).monitoring_enabled:
            checks += _checks(store, partition, settings, asked)
        else:
            switched_off.append(agent_label(partition.key))
    return report(checks, switched_off, asked)


def report(checks: Iterable[dict[str, Any]], not_monitored: Iterable[str], asked: Asked) -> dict[str, Any]:
    """Checks with what they say together, failed ones first."""
    ordered = sorted(checks, key=lambda c: (_ORDER[c["status"]], c["agent"], c["namespace"], c["metric"]))
    counts = {status: sum(check["status"] == status for check in ordered) for status in _ORDER}
    status = FAIL if counts[FAIL] else PASS if counts[PASS] else NO_DATA
    return {
        "passed": status == PASS,
        "status": status,
        "fail_on": asked.fail_on.label,
        "since_s": asked.since_ns / 1e9,
        "as_of": asked.now_ns / 1e9,
        "counts": counts,
        "checks": ordered,
        "not_monitored": sorted(not_monitored),
    }


def unseen(name: str, settings: EngineSettings) -> Partition | None:
    """An empty partition for an agent that has never reported, if it is one of BMAD's or has a profile; else None."""
    key = PartitionKey("agent", "", canonical(name))
    is_known = key.name in CANONICAL or settings.profiles.has_own(key)
    return Partition(key, 0, 0) if is_known else None


def _checks(store: Snapshot, partition: Partition, settings: EngineSettings, asked: Asked) -> list[dict[str, Any]]:
    thresholds = settings.profiles.of(partition.key).thresholds
    panes = panes_in_window(partition.panes, settings, asked.now_ns)
    live = measure(partition, panes, settings, end_ns=asked.now_ns)
    alerts = _open_since(store.alerts(partition_key=str(partition.key)), asked)
    checks = []
    for name, levels in thresholds.items():
        wanted = {level: value for level, value in levels.items() if level >= asked.fail_on}
        if wanted:
            values = _values(store, partition, name, live.get(name), asked)
            checks.append(_judge(partition, name, levels, values, alerts.pop(name, None), settings, asked))
    for name, alert in alerts.items():  # of a metric that has lost its threshold meanwhile
        checks.append(_by_alert(partition, name, alert))
    return checks


def _open_since(alerts: Iterable[dict[str, Any]], asked: Asked) -> dict[str, dict[str, Any]]:
    """Metric type to its worst alert of the asked level or higher that was open at some time since then."""
    worst: dict[str, dict[str, Any]] = {}
    for alert in alerts:
        level = Level[alert["level"].upper()]
        ended_ns = alert["resolved_ns"]
        if level < asked.fail_on or (ended_ns is not None and ended_ns < asked.begin_ns):
            continue
        known = worst.get(alert["metric_type"])
        if known is None or level > Level[known["level"].upper()]:
            worst[alert["metric_type"]] = alert
    return worst


def _values(store: Snapshot, partition: Partition, name: str, live: Measured | None, asked: Asked) -> list[_Value]:
    """What was judged since then, oldest first, and the window that ends now."""
    rows = store.history(str(partition.key), name, MAX_VALUES)
    found = [_Value(Measured(name, value, n, True), time_ns) for time_ns, value, n in rows if time_ns >= asked.begin_ns]
    return [*found, _Value(live, asked.now_ns)] if live is not None else found


def _judge(
    partition: Partition,
    name: str,
    levels: Mapping[Level, float],
    values: list[_Value],
    alert: dict[str, Any] | None,
    settings: EngineSettings,
    asked: Asked,
) -> dict[str, Any]:
    judged = [
        (evaluate.judge(value.measured, levels, clear_margin_ratio=settings.clear_margin_ratio), value)
        for value in values
        if evaluate.is_judgeable(value.measured, settings)
    ]
    failed = [(verdict, value) for verdict, value in judged if verdict.level and verdict.level >= asked.fail_on]
    limit = min((level, value) for level, value in levels.items() if level >= asked.fail_on)[1]
    if failed:
        verdict, value = max(failed, key=lambda item: (item[0].level, _badness(item[1].measured)))
        threshold = verdict.threshold if verdict.threshold is not None else limit
        return _check(partition, name, FAIL, value, threshold, verdict.level)
    if alert is not None:
        return _by_alert(partition, name, alert)
    if judged:
        verdict, value = judged[-1]
        return _check(partition, name, PASS, value, limit, verdict.level)
    return _check(partition, name, NO_DATA, values[-1] if values else None, limit, None)


def _badness(measured: Measured) -> float:
    is_low_bad = metric_type(measured.metric_type).direction is Direction.LOW_IS_BAD
    return -measured.value if is_low_bad else measured.value


def _check(
    partition: Partition, name: str, status: str, value: _Value | None, threshold: float, level: Level | None
) -> dict[str, Any]:
    row = metric_row(name)
    limit = f"threshold: {render(name, threshold)}"
    if value is None:
        message = f"{row.label}: no data ({limit})"
    elif status == NO_DATA:
        message = f"{row.label} rests on {value.measured.n} tasks, too few to judge ({limit})"
    else:
        message = f"{row.label} {'was' if status == FAIL else 'is'} {render(name, value.measured.value)} ({limit})"
    return {
        "agent": agent_label(partition.key),
        "namespace": partition.key.namespace,
        "host": partition.key.name if partition.key.kind == "host" else None,
        "metric": name,
        "status": status,
        "level": None if level is None else level.label,
        "value": None if value is None else display(name, value.measured.value),
        "threshold": display(name, threshold),
        "unit": row.display_unit,
        "n": 0 if value is None else value.measured.n,
        "at": None if value is None else value.time_ns / 1e9,
        "message": message,
        "alert_id": None,
    }


def _by_alert(partition: Partition, name: str, alert: dict[str, Any]) -> dict[str, Any]:
    reason = alert.get("reason") or {}
    at_s = alert["timestamp"] if alert["resolution_time"] is None else alert["resolution_time"]
    return {
        "agent": agent_label(partition.key),
        "namespace": partition.key.namespace,
        "host": partition.key.name if partition.key.kind == "host" else None,
        "metric": name,
        "status": FAIL,
        "level": alert["level"],
        "value": alert["current_value"],
        "threshold": alert["threshold"],
        "unit": alert["unit"],
        "n": reason.get("n", 0),
        "at": at_s,
        "message": f"a {alert['level']} alert was open: {alert['message']}",
        "alert_id": alert["alert_id"],
    }
