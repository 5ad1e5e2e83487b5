"""Everything the monitor knows in one document."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from bmad_otel.monitor._host import Unanswered

Ask = Callable[[str, Mapping[str, str]], dict[str, Any]]

FORMATS: Final = ("json",)

MAX_ALERTS: Final = 100
"""In ``recent_alerts``, as in the BMAD performance monitor."""


def document(ask: Ask) -> dict[str, Any]:
    """``timestamp``, ``system_summary``, ``agent_summaries`` by name, and the ``recent_alerts``."""
    system = ask("system-summary", {})
    summaries: dict[str, Any] = {}
    for row in ask("agents", {})["agents"]:
        try:
            summaries[row["name"]] = ask(f"agents/{row['name']}", {})
        except Unanswered:
            continue  # forgotten in between
    alerts = ask("alerts", {"limit": str(MAX_ALERTS)})["alerts"]
    return {
        "timestamp": system["as_of"],
        "system_summary": system,
        "agent_summaries": summaries,
        "recent_alerts": sorted(alerts, key=lambda alert: float(alert["timestamp"])),
    }


def export(ask: Ask, format_name: object) -> str:
    """The document as text. Raises ValueError for a format that is not known."""
    if format_name not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(map(repr, FORMATS))}, not {format_name!r}")
    return json.dumps(document(ask), indent=2)
