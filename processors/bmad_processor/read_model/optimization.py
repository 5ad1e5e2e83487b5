"""What the measured values of one agent say about memory, processing and response time. Pure: JSON in, JSON out.

The three topics are the "optimization tools" of BMAD's documentation. Nothing is ever changed by them: every finding is
a measured value with what it rests on, and where a rule of the summary applies, its recommendation and which way the
value should move.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

TOPICS: Final[Mapping[str, tuple[str, ...]]] = {
    "memory_optimization": ("memory_usage", "memory_bytes"),
    "processing_optimization": ("cpu_usage", "throughput", "queue_size", "active_tasks"),
    "response_time_optimization": ("response_time", "error_rate", "success_rate"),
}
"""Topic to the metric types it looks at."""

_LOW_IS_BAD: Final = ("throughput", "success_rate")


def optimization(summary: Mapping[str, Any], trends: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Findings per topic, those with a recommendation first.

    ``summary`` is the agent's summary, ``trends`` the ``trends`` of its trend answer, if there is one. ``applied`` is
    always false: advice, not action.
    """
    advice = {detail["evidence"]["metric_type"]: detail for detail in summary["recommendation_details"]}
    findings = [
        _finding(topic, metric, summary, advice.get(metric), (trends or {}).get(metric))
        for topic, metrics in TOPICS.items()
        for metric in metrics
        if metric in summary["current_metrics"]
    ]
    findings.sort(key=lambda finding: (list(TOPICS).index(finding["topic"]), finding["recommendation"] is None))
    scaling = summary["scaling"]
    return {
        "agent_name": summary["agent_name"],
        "namespace": summary["namespace"],
        "source": "measured",
        "applied": False,
        "window_s": summary["window_s"],
        "as_of": summary["as_of"],
        "findings": findings,
        "recommendations": list(summary["recommendations"]),
        "scaling": {key: scaling[key] for key in ("current", "desired", "action", "reason")},
    }


def _finding(
    topic: str,
    metric: str,
    summary: Mapping[str, Any],
    advice: Mapping[str, Any] | None,
    trend: Mapping[str, Any] | None,
) -> dict[str, Any]:
    now = summary["current_metrics"][metric]
    return {
        "topic": topic,
        "metric": metric,
        "what": _what(metric, now, advice, trend, has_thresholds=metric in summary["thresholds"]),
        "evidence": {
            "value": now["value"],
            "unit": now["unit"],
            "n": now["n"],
            "as_of": now["as_of"],
            "is_stale": now["is_stale"],
            "baseline": summary["baseline_metrics"].get(metric),
            "thresholds": summary["thresholds"].get(metric, {}),
            "level": now["level"],
            "rule": None if advice is None else advice["rule"],
            "trend": None if trend is None else dict(trend),
        },
        "n": now["n"],
        "recommendation": None if advice is None else advice["text"],
        "expected": None if advice is None else _expected(metric, advice),
    }


def _expected(metric: str, advice: Mapping[str, Any]) -> dict[str, Any]:
    """Which way the value should move when the recommendation is followed, and past what."""
    evidence = advice["evidence"]
    direction = "down" if evidence["value"] > evidence["threshold"] else "up"
    return {"metric": metric, "direction": direction, "past": evidence["threshold"], "unit": evidence["unit"]}


def _what(
    metric: str,
    now: Mapping[str, Any],
    advice: Mapping[str, Any] | None,
    trend: Mapping[str, Any] | None,
    *,
    has_thresholds: bool,
) -> str:
    said = []
    if advice is not None:
        said.append(str(advice["rule"]))
    elif now["level"] is not None:
        said.append(f"{metric} is at level {now['level']}")
    direction = None if trend is None else trend.get("direction")
    if trend is not None and trend.get("significant") and direction in ("increasing", "decreasing"):
        is_bad = (direction == "decreasing") == (metric in _LOW_IS_BAD)
        said.append(f"{metric} is {direction}{', which is the wrong way' if is_bad else ''}")
    if now["is_stale"]:
        said.append("no data in the present window; this is the last value")
    return "; ".join(said) or ("within its thresholds" if has_thresholds else "measured, no threshold is set")
