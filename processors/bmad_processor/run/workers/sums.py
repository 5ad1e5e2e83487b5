"""What workers say about themselves, put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def summed(statuses: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One document in the form of each: numbers are added, mappings joined, of anything else the first is taken."""
    total: dict[str, Any] = {}
    for status in statuses:
        for key, value in status.items():
            if key not in total:
                total[key] = summed([value]) if isinstance(value, Mapping) else value
            elif isinstance(value, Mapping) and isinstance(total[key], Mapping):
                total[key] = summed([total[key], value])
            elif _is_number(value) and _is_number(total[key]):
                total[key] += value
    return total


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
