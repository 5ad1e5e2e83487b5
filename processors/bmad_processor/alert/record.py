"""From a condition to what is stored and said about it: alert, event, reason, message."""

from __future__ import annotations

from hashlib import blake2b

from bmad_processor.metric_types import RESPONSE_TIME, Direction, metric_type, render
from bmad_processor.model import (
    Alert,
    AlertEvent,
    AlertEventKind,
    AlertStatus,
    Exemplar,
    Level,
    PartitionKey,
    Reason,
    Verdict,
)
from bmad_processor.settings import HOST_AGENT, EngineSettings
from bmad_processor.state import Condition

from .lifecycle import Status

MAX_REASON_EXEMPLARS = 3
"""Enough to look at; an event stays small."""


def _digest(*parts: object) -> str:
    return blake2b("\0".join(str(part) for part in parts).encode(), digest_size=8).hexdigest()


def fingerprint(key: PartitionKey, metric_type_name: str) -> str:
    """Identity of a series, the same in every episode and on every host."""
    return _digest(key, metric_type_name)


def reason_for(
    verdict: Verdict,
    threshold: float,
    exemplars: list[Exemplar],
    settings: EngineSettings,
    *,
    direction: Direction | None = None,
    unit: str = "",
    note: str = "",
) -> Reason:
    """The rule in words and the numbers it used. ``direction`` is by default that of the metric type, ``unit`` that of
    a custom value."""
    direction = direction or metric_type(verdict.metric_type).direction
    what = f"p95 of {verdict.metric_type}" if verdict.metric_type == RESPONSE_TIME else verdict.metric_type
    sign = "<" if direction is Direction.LOW_IS_BAD else ">"
    window_s = settings.window_ns / 1e9
    return Reason(
        rule=f"{what} over {window_s:g} s {sign} {render(verdict.metric_type, threshold, unit)}",
        value=verdict.value,
        threshold=threshold,
        n=verdict.n,
        window_ns=settings.window_ns,
        baseline=verdict.baseline,
        score=verdict.score,
        exemplars=_choose(exemplars),
        note=note,
    )


def _choose(exemplars: list[Exemplar]) -> tuple[Exemplar, ...]:
    """Failed tasks first, then slow ones."""
    ranked = sorted(exemplars, key=lambda e: (not e.error, -e.duration_ns, e.trace_id))
    return tuple(ranked[:MAX_REASON_EXEMPLARS])


def message_for(
    metric_type_name: str, value: float, threshold: float, *, is_resolved: bool, note: str, unit: str = ""
) -> str:
    """One sentence, in the words of the BMAD monitor while firing."""
    label = metric_type(metric_type_name).label
    limit = f"(threshold: {render(metric_type_name, threshold, unit)})"
    if is_resolved and note:
        return f"{label}: {note} {limit}"
    verb = "is back to" if is_resolved else "is"
    return f"{label} {verb} {render(metric_type_name, value, unit)} {limit}"


def alert_of(
    key: PartitionKey, metric_type_name: str, condition: Condition, level: Level, at_ns: int, *, unit: str = ""
) -> Alert:
    """The present state of an announced alert. ``unit`` is that of a custom value."""
    is_firing = condition.status == Status.FIRING
    agent = HOST_AGENT if key.kind == "host" else key.name
    scope = f"{key.namespace}/{agent}" if key.namespace else agent
    if condition.reason is None:
        raise ValueError("an announced condition has a reason")
    return Alert(
        alert_id=f"{scope}_{metric_type_name}_{condition.started_ns // 1_000_000_000}",
        fingerprint=fingerprint(key, metric_type_name),
        key=key,
        metric_type=metric_type_name,
        level=level,
        status=AlertStatus.FIRING if is_firing else AlertStatus.RESOLVED,
        started_ns=condition.started_ns,
        updated_ns=at_ns,
        resolved_ns=None if is_firing else at_ns,
        value=condition.value,
        threshold=condition.threshold,
        message=message_for(
            metric_type_name,
            condition.value,
            condition.threshold,
            is_resolved=not is_firing,
            note=condition.reason.note,
            unit=unit,
        ),
        reason=condition.reason,
        unit=unit,
    )


def event_of(alert: Alert, kind: AlertEventKind, at_ns: int) -> AlertEvent:
    """The announcement; its id derives from what it says."""
    return AlertEvent(_digest(alert.fingerprint, alert.started_ns, kind, alert.level.label, at_ns), kind, at_ns, alert)
