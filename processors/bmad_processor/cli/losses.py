"""What a collector did not use or could not deliver, out of what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

_LOSSES: Final = ("refused", "rejected", "failed", "dropped", "undelivered")
"""Beginnings of the names of counters that count losses; the engine's own are losses all."""

_NO_LOSS: Final = frozenset({"partitions", "repeated", "clock_set_back", "clock_went_back"})
"""Counters of the engine that tell of something else."""


def losses(status: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Part of the collector to counter to number, of the API's ``status``; only what is not 0, since it started."""
    lost: dict[str, dict[str, int]] = {}
    for part in ("intake", "announcer"):
        lost[part] = _counted(status.get(part), lambda name: name.startswith(_LOSSES))
    lost["engine"] = _counted(status.get("engine"), lambda name: name not in _NO_LOSS)
    for part in ("receivers", "exporters"):
        for name, counters in (status.get(part) or {}).items():
            lost[name] = _counted(counters, lambda counter: counter.startswith(_LOSSES))
    return {part: counters for part, counters in lost.items() if counters}


def _counted(counters: object, is_loss: Callable[[str], bool]) -> dict[str, int]:
    if not isinstance(counters, Mapping):
        return {}
    return {str(name): n for name, n in counters.items() if isinstance(n, int) and n and is_loss(str(name))}
