"""What workers say about themselves, put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

_NOT_ADDED: Final = frozenset({"bounds"})
"""The same for all: the limits of a histogram's buckets."""

_LARGEST: Final = frozenset({"pressure", "generation", "in_force_since", "unsent_events"})
"""Of these, and of ratios, the one that says most."""


def summed(statuses: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One document in the form of each: numbers are added, mappings joined, lists of the same length added place by
    place; of anything else the first is taken.
    """
    total: dict[str, Any] = {}
    for status in statuses:
        for key, value in status.items():
            total[key] = _joined(key, total[key], value) if key in total else value
    return total


def _joined(key: str, one: Any, other: Any) -> Any:
    if key in _NOT_ADDED:
        return one
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return summed([one, other])
    if _is_number(one) and _is_number(other):
        return max(one, other) if key in _LARGEST or key.endswith("_ratio") else one + other
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [_joined("", a, b) for a, b in zip(one, other, strict=True)]
    return one


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
