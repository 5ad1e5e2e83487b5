"""Which traces of one agent are worth opening. Pure: the agent's summary in, JSON out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def traces(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Traces of failed and slow tasks, failed ones first, then the slowest; each trace once.

    Those of the present window come from the summary, older ones from its alerts (``alert_id`` says which). They are
    examples that the engine kept, not all: ``tasks_total`` and ``errors_total`` count all tasks since ``first_seen``.
    """
    found: dict[str, dict[str, Any]] = {}
    for exemplar in summary["exemplars"]:
        found[exemplar["trace_id"]] = _row(exemplar, None)
    for alert in summary["alerts"]:
        for exemplar in (alert.get("reason") or {}).get("exemplars", ()):
            found.setdefault(exemplar["trace_id"], _row(exemplar, alert["alert_id"]))
    return {
        "agent_name": summary["agent_name"],
        "namespace": summary["namespace"],
        "traces": sorted(found.values(), key=lambda row: (not row["error"], -row["duration_s"])),
        "tasks_total": summary["tasks_total"],
        "errors_total": summary["errors_total"],
        "instances": summary["instances"]["count"],
        "response_times": summary["response_times"],
        "first_seen": summary["first_seen"],
        "last_seen": summary["last_seen"],
        "window_s": summary["window_s"],
        "as_of": summary["as_of"],
    }


def _row(exemplar: Mapping[str, Any], alert_id: str | None) -> dict[str, Any]:
    return {
        "trace_id": exemplar["trace_id"],
        "task": exemplar["task"],
        "duration_s": exemplar["duration_s"],
        "error": exemplar["error"],
        "alert_id": alert_id,
    }
