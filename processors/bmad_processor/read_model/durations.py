"""How far back a question looks, as parameters say it. Standard library only: the embedded monitor asks as well."""

from __future__ import annotations

import re
from typing import Final

_UNITS_NS: Final = {
    "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000, "d": 86_400_000_000_000,
}  # fmt: skip
_PART: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)", re.ASCII)

MAX_NS: Final = 3650 * _UNITS_NS["d"]
"""Ten years: longer than anything is kept."""


def duration_ns(text: str) -> int | None:
    """``15m``, ``1h30m``, ``0s`` in nanoseconds, at most ten years; None for anything else."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return min(round(sum(float(number) * _UNITS_NS[unit] for number, unit in parts)), MAX_NS)
