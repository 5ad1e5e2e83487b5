"""Everything the monitor knows in one document, in every format of the command line's ``export-data``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Ask = Callable[[str, Mapping[str, str]], dict[str, Any]]


def export(ask: Ask, format_name: str) -> str:
    """The document as text. Raises ValueError for a format that is not known."""
    from bmad_processor.export import FORMATS, render

    if format_name not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(map(repr, FORMATS))}, not {format_name!r}")
    return render(ask("export", {}), format_name)
