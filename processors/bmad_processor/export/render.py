"""One document, one format, one text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from .csv_rows import render_csv
from .document import Document
from .otlp_json import render_otlp_json
from .prometheus import render_openmetrics, render_prometheus


def _render_json(document: Document) -> str:
    return json.dumps(document, indent=2) + "\n"


_RENDERERS: Final[dict[str, Callable[[Document], str]]] = {
    "json": _render_json,
    "csv": render_csv,
    "prometheus": render_prometheus,
    "openmetrics": render_openmetrics,
    "otlp-json": render_otlp_json,
}

FORMATS: Final = tuple(_RENDERERS)
"""Names `render` knows."""

CONTENT_TYPES: Final = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8; header=present",
    "prometheus": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
    "otlp-json": "application/json",
}
"""Media type of each format."""


def render(document: Document, format: str = "json") -> str:  # noqa: A002 - as the BMAD monitor calls it
    """The export document as text. Raises ValueError for a format that is not one of `FORMATS`."""
    renderer = _RENDERERS.get(format)
    if renderer is None:
        raise ValueError(f"export: format must be one of {', '.join(FORMATS)}, not {format!r}")
    return renderer(document)
