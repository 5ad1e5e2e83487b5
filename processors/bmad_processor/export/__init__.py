"""The export document (``GET /api/v1/export``) as JSON, CSV, Prometheus text, OpenMetrics or OTLP/JSON. Pure.

``document.py`` walks the document, ``units.py`` knows base units, and each format has its module. Standard library
only: the embedded monitor exports without any extra installed.
"""

from __future__ import annotations

from .document import Point, history_points, is_empty
from .render import CONTENT_TYPES, FORMATS, render

__all__ = ["render", "FORMATS", "CONTENT_TYPES", "Point", "history_points", "is_empty"]
