"""Points for Prometheus, in the naming that is configured."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from bmad_processor.export.families import Buckets, Family
from bmad_processor.export.prometheus import openmetrics_text, prometheus_text
from bmad_processor.export.render import CONTENT_TYPES

from .points import Point
from .table import Kind, Metric


class Naming(StrEnum):
    """How the Collector's own metrics are named for Prometheus; ours always have their suffixes."""

    BARE = "bare"
    """`otelcol_receiver_accepted_spans`, as the Collector does when nothing is configured."""
    SUFFIXED = "suffixed"
    """`otelcol_receiver_accepted_spans_total`, as it does when a reader is."""


_SUFFIXES: Final = {"s": "seconds", "By": "bytes"}


def families_of(points: Iterable[Point], naming: Naming = Naming.BARE) -> list[Family]:
    """One family for each metric that has points, in the order of first use."""
    found: dict[str, Family] = {}
    for point in points:
        family = found.get(point.metric.name)
        if family is None:
            family = found[point.metric.name] = _family(point.metric, naming)
        if isinstance(point.value, Buckets):
            family.histograms[point.labels] = point.value
        else:
            family.samples[point.labels] = family.samples.get(point.labels, 0.0) + point.value
    return list(found.values())


def _family(metric: Metric, naming: Naming) -> Family:
    is_counter = metric.kind is Kind.COUNTER
    if naming is Naming.BARE and metric.name.startswith("otelcol_"):
        return Family(metric.name, metric.description, "", is_counter, is_bare=is_counter)
    suffix = _SUFFIXES.get(metric.unit, "")
    if not suffix or metric.name.endswith(f"_{suffix}"):
        return Family(metric.name, metric.description, suffix, is_counter)
    return Family(f"{metric.name}_{suffix}", metric.description, suffix, is_counter)


def names_of(metric: Metric, naming: Naming) -> list[str]:
    """Every series name of a metric, as a query has it."""
    family = _family(metric, naming)
    if metric.kind is Kind.HISTOGRAM:
        return [f"{family.name}_{part}" for part in ("bucket", "sum", "count")]
    return [family.name + ("_total" if family.is_counter and not family.is_bare else "")]


def scraped(families: Iterable[Family], accept: str) -> tuple[bytes, str]:
    """The body and its content type, in the format the scraper asks for: OpenMetrics, else text."""
    if "application/openmetrics-text" in accept:
        return openmetrics_text(families).encode(), CONTENT_TYPES["openmetrics"]
    return prometheus_text(families).encode(), CONTENT_TYPES["prometheus"]
