"""Questions about where things are going: trends of an agent's metrics, and how many instances it will need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from bmad_otel.monitor._host import Unanswered
from bmad_otel.monitor._names import canonical

Ask = Callable[[str, Mapping[str, str]], dict[str, Any]]


def trends(ask: Ask, agent_name: str, time_window: timedelta | str) -> dict[str, dict[str, Any]]:
    """Metric to its trend; empty for an agent that is not known. Raises ValueError for a wrong time."""
    window = duration("time_window", time_window)
    found = _answer(ask, f"agents/{canonical(str(agent_name))}/trend", {"window": window})
    return {} if found is None else dict(found["trends"])


def scaling_needs(ask: Ask, agent_name: str, horizon: timedelta | str) -> dict[str, Any]:
    """The advice for the time ahead; of an agent that is not known it says ``no data``. Raises ValueError for a wrong
    time."""
    ahead = duration("horizon", horizon)
    found = _answer(ask, f"agents/{canonical(str(agent_name))}/prediction", {"horizon": ahead})
    if found is not None:
        return found
    return {
        "agent_name": canonical(str(agent_name)), "action": "maintain", "reason": "no data", "urgency": "low",
        "current": 0, "desired": 0, "evidence": {},
    }  # fmt: skip


def duration(name: str, value: timedelta | str) -> str:
    """A time as the API takes it, such as ``3600s``. Raises TypeError or ValueError naming ``name``."""
    if isinstance(value, str):
        return value
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} must be a timedelta or text such as '1h', not {value!r}")
    if value <= timedelta(0):
        raise ValueError(f"{name} must be more than 0, not {value}")
    # nothing is kept for longer than a year: everything there is
    return f"{min(value, timedelta(days=365)) // timedelta(microseconds=1)}us"


def _answer(ask: Ask, path: str, params: Mapping[str, str]) -> dict[str, Any] | None:
    try:
        return ask(path, params)
    except Unanswered as error:
        if error.code == "unknown_agent":
            return None
        if error.code == "bad_parameter":
            raise ValueError(str(error)) from error
        raise
