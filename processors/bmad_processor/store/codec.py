"""Alerts, alert events and scaling hints as JSON values: what the store keeps is what the API shows.

Keys and units of an alert follow the BMAD performance monitor: ``current_value`` and ``threshold`` are what a person
reads (percent for ratios) with ``unit`` beside them. The values inside are kept under ``value`` and
``threshold_value``, times as integer nanoseconds under ``*_ns``: reading back gives the same object, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bmad_processor.metric_types import is_custom
from bmad_processor.model import (
    Alert,
    AlertEvent,
    AlertEventKind,
    AlertStatus,
    Exemplar,
    Level,
    PartitionKey,
    Reason,
    ScalingAction,
    ScalingHint,
)
from bmad_processor.state_json import dump_reason, load_reason
from bmad_processor.summary import agent_label, display, metric_row


def alert_to_dict(alert: Alert) -> dict[str, Any]:
    """JSON form of an alert. ``timestamp`` (start) and ``resolution_time`` are seconds since the epoch."""
    row = metric_row(alert.metric_type, alert.unit)
    end_ns = alert.updated_ns if alert.resolved_ns is None else alert.resolved_ns
    return {
        "alert_id": alert.alert_id,
        "level": alert.level.label,
        "message": alert.message,
        "agent_name": agent_label(alert.key),
        "namespace": alert.key.namespace,
        "host": alert.key.name if alert.key.kind == "host" else None,
        "metric_type": alert.metric_type,
        "current_value": display(alert.metric_type, alert.value),
        "threshold": display(alert.metric_type, alert.threshold),
        "unit": row.display_unit,
        "status": alert.status.value,
        "timestamp": alert.started_ns / 1e9,
        "resolved": alert.status is AlertStatus.RESOLVED,
        "resolution_time": None if alert.resolved_ns is None else alert.resolved_ns / 1e9,
        "duration_s": max(0, end_ns - alert.started_ns) / 1e9,
        "fingerprint": alert.fingerprint,
        "reason": dump_reason(alert.reason),
        "value": alert.value,
        "threshold_value": alert.threshold,
        "window_ns": alert.reason.window_ns,
        "exemplar_durations_ns": [e.duration_ns for e in alert.reason.exemplars],
        "started_ns": alert.started_ns,
        "updated_ns": alert.updated_ns,
        "resolved_ns": alert.resolved_ns,
        "partition_key": str(alert.key),
    }


def alert_from_dict(data: Mapping[str, Any]) -> Alert:
    """Inverse of `alert_to_dict`. Raises ValueError for anything else."""
    try:
        return Alert(
            alert_id=data["alert_id"],
            fingerprint=data["fingerprint"],
            key=PartitionKey.parse(data["partition_key"]),
            metric_type=data["metric_type"],
            level=Level[data["level"].upper()],
            status=AlertStatus(data["status"]),
            started_ns=data["started_ns"],
            updated_ns=data["updated_ns"],
            resolved_ns=data["resolved_ns"],
            value=data["value"],
            threshold=data["threshold_value"],
            message=data["message"],
            reason=_exact_reason(data),
            unit=data["unit"] if is_custom(data["metric_type"]) else "",
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"damaged alert: {error!r}") from error


def _exact_reason(data: Mapping[str, Any]) -> Reason:
    reason = load_reason(data["reason"])
    if reason is None:
        raise ValueError("damaged alert: no reason")
    # seconds as a float are for people; large durations would come back a few nanoseconds off
    exemplars = tuple(
        Exemplar(e.trace_id, duration_ns, e.task, e.error)
        for e, duration_ns in zip(reason.exemplars, data["exemplar_durations_ns"], strict=True)
    )
    return Reason(
        rule=reason.rule,
        value=reason.value,
        threshold=reason.threshold,
        n=reason.n,
        window_ns=data["window_ns"],
        baseline=reason.baseline,
        score=reason.score,
        exemplars=exemplars,
        note=reason.note,
    )


def event_to_dict(event: AlertEvent) -> dict[str, Any]:
    """JSON form of an alert event."""
    return {
        "event_id": event.event_id,
        "kind": event.kind.value,
        "time_ns": event.time_ns,
        "alert": alert_to_dict(event.alert),
    }


def event_from_dict(data: Mapping[str, Any]) -> AlertEvent:
    """Inverse of `event_to_dict`. Raises ValueError for anything else."""
    try:
        return AlertEvent(
            data["event_id"], AlertEventKind(data["kind"]), data["time_ns"], alert_from_dict(data["alert"])
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"damaged alert event: {error!r}") from error


def hint_to_dict(hint: ScalingHint) -> dict[str, Any]:
    """JSON form of a scaling hint; ``evidence`` is metric type to ratio."""
    return {
        "agent_name": agent_label(hint.key),
        "namespace": hint.key.namespace,
        "current": hint.current,
        "desired": hint.desired,
        "min_instances": hint.min_instances,
        "max_instances": hint.max_instances,
        "action": hint.action.value,
        "reason": hint.reason,
        "evidence": dict(hint.evidence),
        "timestamp": hint.time_ns / 1e9,
        "time_ns": hint.time_ns,
        "partition_key": str(hint.key),
    }


def hint_from_dict(data: Mapping[str, Any]) -> ScalingHint:
    """Inverse of `hint_to_dict`. Raises ValueError for anything else."""
    try:
        return ScalingHint(
            key=PartitionKey.parse(data["partition_key"]),
            time_ns=data["time_ns"],
            current=data["current"],
            desired=data["desired"],
            min_instances=data["min_instances"],
            max_instances=data["max_instances"],
            action=ScalingAction(data["action"]),
            reason=data["reason"],
            evidence=dict(data["evidence"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"damaged scaling hint: {error!r}") from error
