"""CSV (RFC 4180): one row per point of the history.

A spreadsheet takes a cell that starts with ``=``, ``+``, ``-`` or ``@`` for a formula and may run it, and names come
from whoever sends telemetry. Such text gets an apostrophe in front, and so does text that starts with one: a reader
gets every name back by taking one leading apostrophe away.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Final

from .document import Document, history_points

COLUMNS: Final = ("timestamp", "agent", "namespace", "host", "metric", "value", "unit", "n")

_ESCAPED: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def render_csv(document: Document) -> str:
    """A header and the points. Times are ISO 8601 in UTC, values in the unit beside them; ``host`` is set for hosts."""
    text = io.StringIO()
    # the default line end: only with CRLF does the module quote cells that contain either character
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for point in history_points(document):
        owner = point.owner
        writer.writerow(
            [
                _iso(point.time_s),
                _safe(owner.agent),
                _safe(owner.namespace),
                _safe(owner.host),
                _safe(point.metric),
                repr(point.value),
                _safe(point.unit),
                point.n,
            ]
        )
    return text.getvalue()


def _safe(text: str) -> str:
    return "'" + text if text.startswith(_ESCAPED) else text


def _iso(time_s: float) -> str:
    try:
        return (_EPOCH + timedelta(seconds=time_s)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except OverflowError:  # a sender's clock beyond the year 9999
        return repr(time_s)
