"""Alert events and hints for tests."""

from __future__ import annotations

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

SECOND = 10**9
START_NS = 1_700_000_000 * SECOND
TRACE_IDS = ("5b8efff798038103d269b633813fc60c", "000102030405060708090a0b0c0d0e0f")


def an_event(
    kind: AlertEventKind = AlertEventKind.FIRED,
    *,
    level: Level = Level.WARNING,
    after_s: int = 0,
    agent: str = "dev",
    namespace: str = "",
    partition: str = "agent",
    baseline: float | None = 1.24,
    note: str = "",
    trace_ids: tuple[str, ...] = TRACE_IDS,
) -> AlertEvent:
    is_resolved = kind is AlertEventKind.RESOLVED
    now_ns = START_NS + after_s * SECOND
    reason = Reason(
        rule="p95 of response_time over 60 s > 5 s",
        value=6.2,
        threshold=5.0,
        n=42,
        window_ns=60 * SECOND,
        baseline=baseline,
        score=4.0,
        exemplars=tuple(Exemplar(trace_id, 7 * SECOND, "write_code", "") for trace_id in trace_ids),
        note=note,
    )
    alert = Alert(
        alert_id=f"{agent}_response_time_1700000000",
        fingerprint="fp",
        key=PartitionKey(partition, namespace, agent),
        metric_type="response_time",
        level=level,
        status=AlertStatus.RESOLVED if is_resolved else AlertStatus.FIRING,
        started_ns=START_NS,
        updated_ns=now_ns,
        resolved_ns=now_ns if is_resolved else None,
        value=6.2,
        threshold=5.0,
        message="Response time 6.20s > 5.00s",
        reason=reason,
    )
    return AlertEvent("event-1", kind, now_ns, alert)


def a_hint() -> ScalingHint:
    return ScalingHint(
        key=PartitionKey("agent", "shop", "dev"),
        time_ns=START_NS,
        current=2,
        desired=4,
        min_instances=1,
        max_instances=5,
        action=ScalingAction.SCALE_UP,
        reason="cpu_usage 1.5 of 0.75",
        evidence={"cpu_usage": 1.5},
    )
