"""Values as a person reads them, safe for a terminal."""

from __future__ import annotations

import math
import time
import unicodedata

from bmad_processor.metric_types import render_seconds


def safe(value: object) -> str:
    """``value`` as text on one line without control and format characters: telemetry must not drive the terminal."""
    text = str(value)
    if text.isascii() and text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_control(char) else char for char in text)


def _is_control(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] == "C" or category in ("Zl", "Zp")


def amount(value: float | None, unit: str) -> str:
    """A value in a display unit: ``75.2%``, ``3.40s``, ``1.2 MB/s``; ``-`` when unknown."""
    if value is None:
        return "-"
    match unit:
        case "%":
            return f"{value:.1f}%"
        case "seconds":
            return render_seconds(value)
        case "count":
            return f"{value:.0f}"
        case "tasks/second":
            return f"{value:.2f}/s"
        case "bytes/second":
            for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
                if abs(value) >= size:
                    return f"{value / size:.1f} {prefix}B/s"
            return f"{value:.0f} B/s"
        case _:
            return f"{value:.2f} {unit}".rstrip()


def money(dollars: float | None) -> str:
    """An amount in US dollars: ``$12.30``, ``$0.0042``; ``-`` when unknown."""
    if dollars is None:
        return "-"
    if dollars == 0 or dollars >= 0.995:
        return f"${dollars:,.2f}"
    # the price of one token is a ten-millionth of a dollar: three digits that say something, wherever they are
    digits = f"{dollars:.{2 - math.floor(math.log10(dollars))}f}".partition(".")[2]
    return "$0." + digits.rstrip("0").ljust(2, "0")


def age(seconds: float) -> str:
    """A time span in its largest unit: ``3s``, ``5m``, ``2h``, ``4d``."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def plural(n: int, noun: str) -> str:
    """``1 instance``, ``2 instances``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def moment(timestamp: float) -> str:
    """A time in seconds since the epoch as local date and time."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp))
    except (OverflowError, ValueError, OSError):
        return "?"
