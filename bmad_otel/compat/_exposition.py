"""Prometheus' text format 0.0.4.

Source: prometheus.io/docs/instrumenting/exposition_formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from bmad_otel.compat._collected import Collected, Kind, Labels

_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_:]")
_NOT_IN_LABEL = re.compile(r"[^a-zA-Z0-9_]")


def exposition(collected: Iterable[Collected]) -> str:
    """All metrics, each with HELP and TYPE; empty without any, else with a newline at the end.

    Names that differ only in characters Prometheus does not have become one: the first of them is shown.
    """
    lines: list[str] = []
    shown: set[str] = set()
    for each in collected:
        name = _name(each.name)
        if name in shown:
            continue
        shown.add(name)
        kind = "summary" if each.kind is Kind.HISTOGRAM else each.kind.exposed
        lines.append(f"# HELP {name} {_help(each)}")
        lines.append(f"# TYPE {name} {kind}")
        lines.extend(_summary(name, each) if each.kind is Kind.HISTOGRAM else _values(name, each))
    return "\n".join([*lines, ""]) if lines else ""


def _values(name: str, each: Collected) -> Iterator[str]:
    for labels, value in each.latest():
        yield f"{name}{_labels(labels)} {_number(value)}"


def _summary(name: str, each: Collected) -> Iterator[str]:
    for labels, percentiles, total, count in each.summaries():
        for quantile, value in zip(("0.5", "0.95", "0.99"), percentiles, strict=True):
            yield f"{name}{_labels((*labels, ('quantile', quantile)))} {_number(value)}"
        yield f"{name}_sum{_labels(labels)} {_number(total)}"
        yield f"{name}_count{_labels(labels)} {count}"


def _help(each: Collected) -> str:
    text = f"{each.name}, a {each.kind.exposed} recorded by the program."
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    found: dict[str, str] = {}
    for key, value in labels:
        found.setdefault(_label_name(key), value)
    escaped = (
        f'{key}="{value}"'
        for key, value in (
            (key, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for key, value in found.items()
        )
    )
    return "{" + ",".join(escaped) + "}"


def _name(given: str) -> str:
    name = _NOT_IN_NAME.sub("_", given)
    return f"_{name}" if name[:1].isdigit() or not name else name


def _label_name(given: str) -> str:
    name = _NOT_IN_LABEL.sub("_", given)
    return f"_{name}" if name[:1].isdigit() or not name else name


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
