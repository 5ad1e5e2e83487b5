"""What a collector has taken in and passed on, out of what it says of itself, in a line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from .text import plural

_ITEMS: Final = {"traces": "span", "metrics": "data point", "logs": "log record"}


def traffic(status: Mapping[str, Any]) -> list[list[str]]:
    """Rows of name and text, of the API's ``status``: received, refused, and each exporter with its queue."""
    intake = status.get("intake") or {}
    requests = (status.get("requests") or {}).values()
    n_refused = sum(int(of.get("refused", 0)) for of in requests)
    rows = [["Received", _items(intake, "accepted_")]]
    if n_refused:
        rows.append(["Refused", f"{plural(n_refused, 'request')}, told to come again"])
    rows += [
        [f"To {name}", ", ".join(_exporter(counters))] for name, counters in (status.get("exporters") or {}).items()
    ]
    return rows


def _items(counters: Mapping[str, Any], prefix: str) -> str:
    found = [plural(int(counters[prefix + s]), word) for s, word in _ITEMS.items() if counters.get(prefix + s)]
    return ", ".join(found) or "nothing yet"


def _exporter(counters: Mapping[str, Any]) -> Iterator[str]:
    sent = counters.get("sent_items", 0)
    yield f"{plural(int(sent), 'item')} sent" if sent else "nothing sent yet"
    waiting = counters.get("queue_size", counters.get("queue_requests"))
    capacity = counters.get("queue_capacity")
    if waiting is not None:
        yield f"queue {waiting}" + (f" of {capacity}" if capacity else "")
    failed = sum(int(n) for name, n in counters.items() if name.startswith("failed_items"))
    if failed:
        yield f"{plural(failed, 'item')} lost"
