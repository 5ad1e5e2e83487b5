"""Profiles as a program gives them: checked, and turned into what `PUT /api/v1/profiles/{agent}` takes.

The body is plain JSON in the units people read: ``{"thresholds": {metric type: {level: value}}, "scaling": {...},
"monitoring_enabled": ..., "auto_scaling_enabled": ...}``, ratios as percent (``60`` is 60 %), seconds, counts, MiB for
``memory_bytes``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

from bmad_otel import _guard
from bmad_otel.monitor._types import AgentPerformanceProfile, AlertLevel, MetricType

Body = dict[str, Any]

_PERCENT: Final = frozenset({MetricType.MEMORY_USAGE, MetricType.ERROR_RATE, MetricType.SUCCESS_RATE})
"""Shares of a whole. CPU usage of an agent is not: it may use several cores."""

_LOW_IS_BAD: Final = frozenset({MetricType.THROUGHPUT, MetricType.SUCCESS_RATE})

_CUSTOM_PREFIX: Final = "custom:"
MEMORY_BYTES: Final = "memory_bytes"
"""The engine's metric type for resident memory, shown in MiB."""

_SHARES: Final = ("cpu_threshold", "memory_threshold")
_COUNTS: Final = ("min_instances", "max_instances")


def checked(profile: AgentPerformanceProfile) -> Body:
    """``profile`` as a body. Raises TypeError for something else, ValueError naming every problem with its path."""
    if not isinstance(profile, AgentPerformanceProfile):
        raise TypeError(f"a profile must be an AgentPerformanceProfile, not {profile!r}")
    problems: list[str] = []
    if not isinstance(profile.agent_name, str) or not profile.agent_name.strip():
        problems.append(f"agent_name: must be a name, not {profile.agent_name!r}")
    body: Body = {"thresholds": _thresholds(profile, problems), "scaling": _scaling(profile.scaling_rules, problems)}
    for name in ("monitoring_enabled", "auto_scaling_enabled"):
        value = body[name] = getattr(profile, name)
        if not isinstance(value, bool):
            problems.append(f"{name}: must be True or False, not {value!r}")
    for metric_type, value in _items(profile.baseline_metrics, "baseline_metrics", problems):
        if _name_of(metric_type) is None:
            problems.append(f"baseline_metrics.{_shown(metric_type)}: unknown metric type")
        elif _number(value) is None:
            problems.append(f"baseline_metrics.{_shown(metric_type)}: must be a number, not {value!r}")
    if problems:
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        raise ValueError(f"the profile of {profile.agent_name!r} has {count}:\n  " + "\n  ".join(problems))
    return body


def _thresholds(profile: AgentPerformanceProfile, problems: list[str]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for metric_type, levels in _items(profile.thresholds, "thresholds", problems):
        name = _name_of(metric_type)
        path = f"thresholds.{name or _shown(metric_type)}"
        if name is None or metric_type in (MetricType.CUSTOM, "custom"):
            known = ", ".join(known.value for known in MetricType if known is not MetricType.CUSTOM)
            problems.append(f"{path}: unknown metric type; known are {known} and custom:<name>")
            continue
        values: dict[str, float] = {}
        for level, value in _items(levels, path, problems):
            label = _label_of(level)
            where = f"{path}.{label or _shown(level)}"
            if label is None:
                known = ", ".join(known.value for known in AlertLevel)
                problems.append(f"{where}: unknown level; known are {known}")
                continue
            number = _number(value)
            if number is None or (number < 0 and not name.startswith(_CUSTOM_PREFIX)):
                problems.append(f"{where}: must be a number, 0 or more, not {value!r}")
                continue
            values[label] = number
        unit = _unit_of(name, values)
        if unit == "%":
            problems += [f"{path}.{label}: {value:g} % is over 100 %" for label, value in values.items() if value > 100]
        problems += _disorder(path, name, values)
        if unit == "MiB" and values:
            _guard.warn_once(
                f"memory of {profile.agent_name}",
                "bmad_otel: the profile of %r has thresholds above 100 for memory_usage, which is in percent; they are "
                "taken as MiB of resident memory",
                profile.agent_name,
            )
            name = MEMORY_BYTES
        if values:
            found[name] = values
    return found


def _unit_of(name: str, values: Mapping[str, float]) -> str:
    if name == MetricType.MEMORY_USAGE.value and any(value > 100 for value in values.values()):
        return "MiB"
    return "%" if any(name == share.value for share in _PERCENT) else ""


def _disorder(path: str, name: str, values: Mapping[str, float]) -> Iterator[str]:
    sign = -1 if any(name == low.value for low in _LOW_IS_BAD) else 1
    written = [(level.value, values[level.value]) for level in AlertLevel if level.value in values]
    for (low, low_value), (high, high_value) in pairwise(written):
        if sign * low_value > sign * high_value:
            worse = "above" if sign > 0 else "below"
            yield f"{path}.{high}: {low} {low_value:g} is {worse} {high} {high_value:g}"


def _scaling(rules: object, problems: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in _items(rules, "scaling_rules", problems):
        path = f"scaling_rules.{_shown(name)}"
        if name in _SHARES:
            number = None if value is None else _number(value)
            if value is not None and (number is None or not 0 < number <= (100 if name != "cpu_threshold" else 10_000)):
                problems.append(f"{path}: must be a percentage above 0, or None, not {value!r}")
                continue
            found[name] = number
        elif name in _COUNTS:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                problems.append(f"{path}: must be a whole number, 1 or more, not {value!r}")
                continue
            found[name] = value
        else:
            problems.append(f"{path}: unknown rule; known are {', '.join(_SHARES + _COUNTS)}")
    if found.get("min_instances", 1) > found.get("max_instances", found.get("min_instances", 1)):
        problems.append(
            f"scaling_rules.min_instances: {found['min_instances']} is more than max_instances {found['max_instances']}"
        )
    return found


def _items(value: object, path: str, problems: list[str]) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return list(value.items())
    problems.append(f"{path}: must be a dict, not {value!r}")
    return []


def _name_of(metric_type: object) -> str | None:
    """The engine's name of a metric type given as a member, its value, or ``custom:<name>``."""
    name = getattr(metric_type, "value", metric_type)  # also members of another module's enum of the same shape
    if not isinstance(name, str):
        return None
    if name.startswith(_CUSTOM_PREFIX) and len(name) > len(_CUSTOM_PREFIX):
        return name
    return name if any(name == known.value for known in MetricType) else None


def _label_of(level: object) -> str | None:
    label = getattr(level, "value", level)
    return label if isinstance(label, str) and any(label == known.value for known in AlertLevel) else None


def _shown(key: object) -> str:
    value = getattr(key, "value", key)
    return value if isinstance(value, str) else repr(key)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
