"""The API's JSON for a path below ``/api/v1/`` and its parameters; the one place where parameters are checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from bmad_processor.errors import ProcessorError
from bmad_processor.model import AlertStatus, Level

from .costs import GROUPS
from .model import ReadModel, near

MAX_LIMIT: Final = 10_000
"""Rows in one answer; as many as any history or alert list keeps with sensible settings."""


class Unanswerable(ProcessorError):
    """The question cannot be answered. ``status`` is the HTTP status, ``code`` names the reason for programs."""

    def __init__(self, status: int, code: str, detail: str, suggestions: Collection[str] = ()) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.suggestions = list(suggestions)
        super().__init__(detail)

    def to_dict(self) -> dict[str, Any]:
        """The JSON body of the answer."""
        return {"error": self.code, "detail": self.detail, "suggestions": self.suggestions}


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
        case ["agents", *rest] if "/".join(rest):
            _check_names(params, ("namespace",))
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


def _profiles(model: ReadModel, params: Mapping[str, str]) -> dict[str, Any]:
    del params
    return model.profiles()


def _costs(model: ReadModel, params: Mapping[str, str]) -> dict[str, Any]:
    return model.costs(_one_of(params, "group_by", list(GROUPS)) or "agent")


_PLAIN: Final[dict[str, tuple[tuple[str, ...], Callable[[ReadModel, Mapping[str, str]], dict[str, Any]]]]] = {
    "system-summary": ((), _system_summary),
    "agents": ((), _agents),
    "alerts": (("agent", "level", "status", "limit"), _alerts),
    "scaling": (("limit",), _scaling),
    "profiles": ((), _profiles),
    "costs": (("group_by",), _costs),
}
"""Paths without a name in them: parameters, and who answers."""


def _agent(model: ReadModel, name: str, params: Mapping[str, str]) -> dict[str, Any]:
    summary = model.agent_summary(name, params.get("namespace"))
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
    if metric not in found["metric_types"]:
        known = found["metric_types"]
        raise Unanswerable(
            404, "unknown_metric", f"{found['agent_name']} has no history of {metric}", near(metric, known) or known
        )
    return found


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


def _limit(params: Mapping[str, str]) -> int:
    text = params.get("limit", "100")
    # isdecimal alone would let through digits of other scripts and texts too long to convert
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= MAX_LIMIT):
        raise Unanswerable(400, "bad_parameter", f"limit must be a number from 1 to {MAX_LIMIT}")
    return int(text)
