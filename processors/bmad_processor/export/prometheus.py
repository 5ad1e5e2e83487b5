"""Prometheus text exposition 0.0.4 and OpenMetrics 1.0 of the document's present state.

Sources: prometheus.io, "Exposition formats"; the OpenMetrics specification, sections 5 (escaping) and 10 (types).
"""

from __future__ import annotations

from .document import Document
from .families import Family, families


def render_prometheus(document: Document) -> str:
    """Text exposition 0.0.4: ``# HELP``, ``# TYPE`` and one line per sample. No time stamps: it is what is true now."""
    lines: list[str] = []
    for family in families(document):
        name = family.name + ("_total" if family.is_counter else "")
        lines.append(f"# HELP {name} {_escape(family.help)}")
        lines.append(f"# TYPE {name} {'counter' if family.is_counter else 'gauge'}")
        lines += _samples(family)
    return "".join(line + "\n" for line in lines)


def render_openmetrics(document: Document) -> str:
    """The same as OpenMetrics, with ``# UNIT`` and the ``# EOF`` it wants."""
    lines: list[str] = []
    for family in families(document):
        lines.append(f"# TYPE {family.name} {'counter' if family.is_counter else 'gauge'}")
        if family.unit:
            lines.append(f"# UNIT {family.name} {family.unit}")
        lines.append(f"# HELP {family.name} {_escape_quotes(family.help)}")
        lines += _samples(family)
    lines.append("# EOF")
    return "".join(line + "\n" for line in lines)


def _samples(family: Family) -> list[str]:
    name = family.name + ("_total" if family.is_counter else "")
    lines = []
    for labels, value in family.samples.items():
        shown = ",".join(f'{label}="{_escape_quotes(text)}"' for label, text in labels)
        lines.append(f"{name}{{{shown}}} {value!r}" if shown else f"{name} {value!r}")
    return lines


def _escape(text: str) -> str:
    # a lone surrogate has no UTF-8, and the format is UTF-8
    return text.encode("utf-8", "replace").decode("utf-8").replace("\\", "\\\\").replace("\n", "\\n")


def _escape_quotes(text: str) -> str:
    return _escape(text).replace('"', '\\"')
