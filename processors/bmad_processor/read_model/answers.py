"""The API's JSON for a path below ``/api/v1/`` and its parameters; the one place where parameters are checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from bmad_processor.errors import Unanswerable
from bmad_processor.model import AlertStatus, Level
from bmad_processor.quantities import NotUnderstood, duration_ns, render_duration

from .costs import GROUPS
from .model import ReadModel, near

MAX_LIMIT: Final = 10_000
"""Rows in one answer; as many as any history or alert list keeps with sensible settings."""

DEFAULT_WINDOW: Final = "1h"
"""How far back trends look, as in the BMAD monitor."""

MAX_WINDOW_NS: Final = 366 * 86_400_000_000_000
"""No history is longer; a larger number is a mistake."""

DEFAULT_HORIZON: Final = "15m"

MAX_HORIZON_NS: Final = 86_400_000_000_000
"""A line of the last hours says nothing about tomorrow."""


CHECK_SINCE_NS: Final = 15 * 60 * 1_000_000_000
"""How far back a check looks when it is not said: as long as a CI job usually runs."""


def answer(model: ReadModel, path: str, params: Mapping[str, str]) -> dict[str, Any]:
    """What the API says at ``path`` (without ``/api/v1/``). Raises Unanswerable, or StoreError without a store."""
    match path.split("/"):
        case [name] if name in _PLAIN:
            allowed, ask = _PLAIN[name]
            _check_names(params, allowed)
            return ask(model, params)
        case ["agents", *rest] if rest and rest[-1] == "history" and len(rest) > 1:
            _check_names(params, ("metric", "limit", "namespace"))
            return _history(model, "/".join(rest[:-1]), params)
        case ["agents", *rest] if rest and rest[-1] == "trend" and len(rest) > 1:
            _check_names(params, ("metric", "window", "namespace"))
            return _trend(model, "/".join(rest[:-1]), params)
        case ["agents", *rest] if rest and rest[-1] == "prediction" and len(rest) > 1:
            _check_names(params, ("horizon", "namespace"))
            return _prediction(model, "/".join(rest[:-1]), params)
        case ["agents", *rest] if "/".join(rest):
            _check_names(params, ("window", "namespace"))
            return _agent(model, "/".join(rest), params)
        case ["profiles", *rest] if "/".join(rest):
            _check_names(params, ())
            return _profile(model, "/".join(rest))
    raise Unanswerable(404, "not_found", f"there is no /api/v1/{path}", sorted(_PLAIN))


def _system_summary(model: ReadModel, params: Mapping[str, str]) -> dict[str, Any]:
    del params
    return model.system_summary()


def _agents(model: ReadModel, params: Mapping[str, str]) -> dict[str, Any]:
    del params
    return {"agents": model.list_agents()}


def _alerts(model: ReadModel, params: Mapping[str, str]) -> dict[str, Any]:
    agent = params.get("agent")
    level = _one_of(params, "level", [level.label for level in Level])
    status = _one_of(params, "status", [status.value for status in AlertStatus])
    limit = _limit(params)
    found = model.alerts(agent, None if level is None else Level[level.upper()], status, limit + 1)
    if agent is not None and not found and not model.knows(agent):
        raise _unknown_agent(model, agent)
    return {"alerts": found[:limit], "is_truncated": len(found) > limit}


def _scaling(model: ReadModel, params: Mapping[str, str]) -> dict[str, Any]:
    return model.scaling(_limit(params))


def _costs(model: ReadModel, params: Mapping[str, str]) -> dict[str, Any]:
    return model.costs(_one_of(params, "group_by", list(GROUPS)) or "agent")


def _profiles(model: ReadModel, params: Mapping[str, str]) -> dict[str, Any]:
    del params
    return model.profiles()


def _check(model: ReadModel, params: Mapping[str, str]) -> dict[str, Any]:
    fail_on = _one_of(params, "fail_on", [level.label for level in Level]) or Level.CRITICAL.label
    since_ns, agent = _duration(params, "since"), params.get("agent")
    report = model.check(agent, Level[fail_on.upper()], CHECK_SINCE_NS if since_ns is None else since_ns)
    if report is None:
        raise _unknown_agent(model, agent or "")
    return report


def _export(model: ReadModel, params: Mapping[str, str]) -> dict[str, Any]:
    return model.export(_duration(params, "since"))


def _performance(model: ReadModel, params: Mapping[str, str]) -> dict[str, Any]:
    del params
    return model.dashboard()


_PLAIN: Final[dict[str, tuple[tuple[str, ...], Callable[[ReadModel, Mapping[str, str]], dict[str, Any]]]]] = {
    "system-summary": ((), _system_summary),
    "agents": ((), _agents),
    "alerts": (("agent", "level", "status", "limit"), _alerts),
    "scaling": (("limit",), _scaling),
    "costs": (("group_by",), _costs),
    "profiles": ((), _profiles),
    "check": (("agent", "fail_on", "since"), _check),
    "export": (("since",), _export),
    "performance": ((), _performance),
}
"""Paths without a name in them: parameters, and who answers."""


def _agent(model: ReadModel, name: str, params: Mapping[str, str]) -> dict[str, Any]:
    window_ns = _span(params, "window", MAX_WINDOW_NS) if "window" in params else None
    summary = model.agent_summary(name, params.get("namespace"), window_ns)
    if summary is None:
        raise _unknown_agent(model, name)
    return summary


def _profile(model: ReadModel, name: str) -> dict[str, Any]:
    found = model.profile(name)
    if found is None:
        raise Unanswerable(404, "unknown_agent", f"unknown agent: {name}", model.near_profiles(name))
    return found


def _history(model: ReadModel, name: str, params: Mapping[str, str]) -> dict[str, Any]:
    metric = params.get("metric")
    if not metric:
        raise Unanswerable(400, "bad_parameter", "the parameter metric is needed, such as metric=response_time")
    found = model.history(name, metric, _limit(params), params.get("namespace"))
    if found is None:
        raise _unknown_agent(model, name)
    _check_metric(metric, found)
    return found


def _trend(model: ReadModel, name: str, params: Mapping[str, str]) -> dict[str, Any]:
    metric = params.get("metric")
    window_ns = _span({"window": DEFAULT_WINDOW, **params}, "window", MAX_WINDOW_NS)
    found = model.trend(name, metric, window_ns=window_ns, namespace=params.get("namespace"))
    if found is None:
        raise _unknown_agent(model, name)
    if metric is not None:
        _check_metric(metric, found)
    return found


def _prediction(model: ReadModel, name: str, params: Mapping[str, str]) -> dict[str, Any]:
    horizon_ns = _span({"horizon": DEFAULT_HORIZON, **params}, "horizon", MAX_HORIZON_NS)
    found = model.prediction(name, horizon_ns=horizon_ns, namespace=params.get("namespace"))
    if found is None:
        raise _unknown_agent(model, name)
    return found


def _check_metric(metric: str, found: Mapping[str, Any]) -> None:
    known = found["metric_types"]
    if metric not in known:
        raise Unanswerable(
            404, "unknown_metric", f"{found['agent_name']} has no history of {metric}", near(metric, known) or known
        )


def _unknown_agent(model: ReadModel, name: str) -> Unanswerable:
    return Unanswerable(404, "unknown_agent", f"unknown agent: {name}", model.near_names(name))


def _check_names(params: Mapping[str, str], allowed: Collection[str]) -> None:
    for name in params:
        if name not in allowed:
            # a misspelt filter that is ignored would give a wrong answer that looks right
            raise Unanswerable(400, "bad_parameter", f"unknown parameter: {name}", near(name, allowed) or allowed)


def _one_of(params: Mapping[str, str], name: str, values: list[str]) -> str | None:
    value = params.get(name)
    if value is not None and value not in values:
        raise Unanswerable(400, "bad_parameter", f"{name} must be one of {', '.join(values)}", values)
    return value


def _span(params: Mapping[str, str], name: str, at_most_ns: int) -> int:
    """Nanoseconds of a duration such as ``1h``."""
    try:
        span_ns = duration_ns(params[name])
    except NotUnderstood as error:
        raise Unanswerable(400, "bad_parameter", f"{name} must be {error.expected}") from error
    if not 0 < span_ns <= at_most_ns:
        raise Unanswerable(400, "bad_parameter", f"{name} must be more than 0, at most {render_duration(at_most_ns)}")
    return span_ns


def _duration(params: Mapping[str, str], name: str) -> int | None:
    """Nanoseconds of how far back to look, 0 included; None when it is not said."""
    if name not in params:
        return None
    try:
        return min(duration_ns(params[name]), MAX_WINDOW_NS)
    except NotUnderstood as error:
        raise Unanswerable(400, "bad_parameter", f"{name} must be {error.expected}") from error


def _limit(params: Mapping[str, str]) -> int:
    text = params.get("limit", "100")
    # isdecimal alone would let through digits of other scripts and texts too long to convert
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= MAX_LIMIT):
        raise Unanswerable(400, "bad_parameter", f"limit must be a number from 1 to {MAX_LIMIT}")
    return int(text)
