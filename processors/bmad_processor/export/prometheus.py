"""Prometheus text exposition 0.0.4 and OpenMetrics 1.0 of the document's present state.

Sources: prometheus.io, "Exposition formats"; the OpenMetrics specification, sections 5 (escaping) and 10 (types).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from .document import Document
from .families import Family, Labels, families


def render_prometheus(document: Document) -> str:
    """Text exposition 0.0.4: ``# HELP``, ``# TYPE`` and one line per sample. No time stamps: it is what is true now."""
    return prometheus_text(families(document))


def render_openmetrics(document: Document) -> str:
    """The same as OpenMetrics, with ``# UNIT`` and the ``# EOF`` it wants."""
    return openmetrics_text(families(document))


def prometheus_text(shown: Iterable[Family]) -> str:
    """Families as text exposition 0.0.4."""
    lines: list[str] = []
    for family in shown:
        name = _sample_name(family)
        lines.append(f"# HELP {name} {_escape(family.help)}")
        lines.append(f"# TYPE {name} {_kind(family)}")
        lines += _samples(family)
    return "".join(line + "\n" for line in lines)


def openmetrics_text(shown: Iterable[Family]) -> str:
    """Families as OpenMetrics 1.0."""
    lines: list[str] = []
    for family in shown:
        is_untold = family.is_counter and family.is_bare
        lines.append(f"# TYPE {family.name} {'unknown' if is_untold else _kind(family)}")
        if family.unit:
            lines.append(f"# UNIT {family.name} {family.unit}")
        lines.append(f"# HELP {family.name} {_escape_quotes(family.help)}")
        lines += _samples(family)
    lines.append("# EOF")
    return "".join(line + "\n" for line in lines)


def _kind(family: Family) -> str:
    if family.histograms:
        return "histogram"
    return "counter" if family.is_counter else "gauge"


def _sample_name(family: Family) -> str:
    return family.name + ("_total" if family.is_counter and not family.is_bare else "")


def _samples(family: Family) -> list[str]:
    name = _sample_name(family)
    lines = [_line(name, labels, repr(value)) for labels, value in family.samples.items()]
    for labels, buckets in family.histograms.items():
        below = 0
        for bound, n in zip((*buckets.bounds, math.inf), buckets.counts, strict=True):
            below += n
            limit = "+Inf" if bound == math.inf else repr(float(bound))
            lines.append(_line(f"{name}_bucket", (*labels, ("le", limit)), str(below)))
        lines.append(_line(f"{name}_sum", labels, repr(buckets.sum)))
        lines.append(_line(f"{name}_count", labels, str(below)))
    return lines


def _line(name: str, labels: Labels, value: str) -> str:
    shown = ",".join(f'{label}="{_escape_quotes(text)}"' for label, text in labels)
    return f"{name}{{{shown}}} {value}" if shown else f"{name} {value}"


def _escape(text: str) -> str:
    # a lone surrogate has no UTF-8, and the format is UTF-8
    return text.encode("utf-8", "replace").decode("utf-8").replace("\\", "\\\\").replace("\n", "\\n")


def _escape_quotes(text: str) -> str:
    return _escape(text).replace('"', '\\"')
