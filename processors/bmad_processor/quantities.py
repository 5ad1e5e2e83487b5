"""Durations, sizes, shares and addresses as a person writes them, in base units. Standard library only.

Files, command line and parameters of the API all read them here, so that ``5s``, ``64MiB`` and ``60%`` mean the same
everywhere. Everything raises `NotUnderstood`, which says what was expected.
"""

from __future__ import annotations

import re
from typing import Final

_DURATIONS_NS: Final = {
    "ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000,
    "m": 60_000_000_000, "h": 3_600_000_000_000, "d": 86_400_000_000_000,
}  # fmt: skip
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)", re.ASCII)

_SIZES: Final = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30,
}  # fmt: skip
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?I?B)", re.IGNORECASE)

_MAX_TEXT: Final = 64
"""No quantity is longer; a few hundred digits would overflow."""


class NotUnderstood(ValueError):
    """The text is not such a quantity; ``expected`` says what is."""

    def __init__(self, expected: str) -> None:
        self.expected = expected
        super().__init__(f"expected {expected}")


def duration_ns(value: object) -> int:
    """``5s``, ``1m30s``, ``500ms`` as nanoseconds. Anything else is refused, bare numbers other than 0 included."""
    if isinstance(value, str) and len(value) <= _MAX_TEXT:
        text = value.strip().replace(" ", "")
        parts = _DURATION_PART.findall(text)
        if parts and "".join(n + u for n, u in parts) == text:
            return round(sum(float(n) * _DURATIONS_NS[u] for n, u in parts))
        if text == "0":
            return 0
    if value == 0 and not isinstance(value, bool):
        return 0
    raise NotUnderstood("a duration with its unit, such as 5s, 500ms or 1m30s")


def size_bytes(value: object) -> int:
    """``64MiB`` or a number of bytes as bytes."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    if isinstance(value, str) and len(value) <= _MAX_TEXT and (match := _SIZE.fullmatch(value.strip())):
        return round(float(match[1]) * _SIZES[match[2].upper()])
    raise NotUnderstood("a size such as 64MiB, or a number of bytes")


def share_ratio(value: object) -> float:
    """``60%`` or ``0.6`` as 0.6. A bare number above 1 is refused: it is almost surely a forgotten percent sign."""
    number: float | None = None
    if isinstance(value, str) and len(value) <= _MAX_TEXT:
        text = value.strip()
        try:
            number = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            number = None
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        number = float(value)
    if number is not None and 0 <= number <= 1:
        return number
    raise NotUnderstood("a share such as 60%, or 0 to 1")


def endpoint(value: object) -> str:
    """``host:port``; port 0 asks for any free port. A host is needed: say ``0.0.0.0:4317`` to mean all."""
    if isinstance(value, str):
        host, colon, port = value.rpartition(":")
        if colon and host and "/" not in host and len(port) <= 5 and port.isdigit() and int(port) < 65536:
            return value
    raise NotUnderstood("an address as host:port, such as localhost:4317")


def split_endpoint(checked: str) -> tuple[str, int]:
    """Host (without the brackets of IPv6) and port of a checked endpoint."""
    host, _, port = checked.rpartition(":")
    return host.strip("[]"), int(port)


def render_duration(value_ns: int) -> str:
    """``1m30s`` for 90_000_000_000; `duration_ns` reads it back."""
    if value_ns == 0:
        return "0s"
    parts = []
    for unit in ("d", "h", "m", "s", "ms", "us", "ns"):
        count, value_ns = divmod(value_ns, _DURATIONS_NS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
