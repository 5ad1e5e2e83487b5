"""The configuration of a monitor: a dict, as the BMAD performance monitor takes it, checked at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Config:
    """Field for field the keys of the dict, with the defaults of the BMAD performance monitor."""

    monitoring_interval: float = 5.0
    """Seconds between two judgements."""
    metrics_history_size: int = 1000
    """Points kept of each series."""
    baseline_smoothing: float = 0.1
    """How much a new value moves the baseline."""
    alert_cooldown: float = 300.0
    """Seconds a series stays silent after its alert resolved, unless it gets worse than before."""
    max_alerts: int = 1000
    """Alerts kept; the oldest resolved one goes first."""
    evaluation_window: float = 60.0
    """Seconds the values rest on; rounded up to a whole number of intervals."""


_SECONDS: Final[dict[str, tuple[float, float]]] = {
    "monitoring_interval": (1.0, 60.0),
    "alert_cooldown": (0.0, 86_400.0),
    "evaluation_window": (1.0, 3_600.0),
}
_COUNTS: Final[dict[str, tuple[int, int]]] = {
    "metrics_history_size": (1, 100_000),
    "max_alerts": (1, 100_000),
}
_KNOWN: Final = tuple(Config.__dataclass_fields__)


def checked(config: Mapping[str, Any] | None) -> Config:
    """The configuration. Raises TypeError for what is no mapping, ValueError naming every wrong key."""
    if config is None:
        return Config()
    if not isinstance(config, Mapping):
        raise TypeError(f"config must be a dict, not {config!r}")
    problems: list[str] = []
    found: dict[str, Any] = {}
    for name, value in config.items():
        if name not in _KNOWN:
            near = get_close_matches(str(name), _KNOWN, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_KNOWN)}"
            problems.append(f"config.{name}: unknown key; {hint}")
        elif name in _COUNTS:
            least, most = _COUNTS[name]
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                problems.append(f"config.{name}: must be a whole number from {least} to {most:,}, not {value!r}")
            found[name] = value
        elif name == "baseline_smoothing":
            if not is_number(value) or not 0 < value <= 1:
                problems.append(f"config.{name}: must be a number above 0 and at most 1, not {value!r}")
            found[name] = value
        else:
            least_s, most_s = _SECONDS[name]
            if not is_number(value) or not least_s <= value <= most_s:
                problems.append(f"config.{name}: must be {least_s:g} to {most_s:g} seconds, not {value!r}")
            found[name] = value
    if problems:
        raise ValueError("; ".join(problems))
    return Config(**found)


def checked_interval(interval: object) -> float:
    """``interval`` of `start_monitoring` in seconds. Raises ValueError."""
    least_s, most_s = _SECONDS["monitoring_interval"]
    if not is_number(interval) or not least_s <= interval <= most_s:  # type: ignore[operator]
        raise ValueError(f"interval must be {least_s:g} to {most_s:g} seconds, not {interval!r}")
    return float(interval)  # type: ignore[arg-type]


def is_number(value: object) -> bool:
    """Whether it is a finite number, which True is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
