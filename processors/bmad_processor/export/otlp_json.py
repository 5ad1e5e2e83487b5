"""OTLP/JSON: the history as one `ExportMetricsServiceRequest`, ready to be sent to any OTLP receiver.

Every metric type is a gauge in base units: ``bmad.agent.response_time`` in ``s`` with ``gen_ai.agent.name``,
``bmad.host.cpu_usage`` in ``1`` with ``host.name``. Values of a program's own keep the names the SDK gives them
(``bmad.agent.custom`` with ``bmad.metric.name``). A namespace is ``service.namespace`` of the resource. How many tasks
or readings a value rests on has no place in a gauge and is left out; the other formats have it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from bmad_otel import semconv
from bmad_processor.metric_types import CUSTOM_PREFIX, METRIC_TYPES

from .document import Document, Owner, Point, history_points
from .units import base_unit

SERVICE_NAME: Final = "bmad-otel-export"
"""`service.name` of the exported resource: these values are nobody's live telemetry."""

_US: Final = 1_000_000

_OWN: Final = {CUSTOM_PREFIX: semconv.CUSTOM, "reported:": semconv.REPORTED}
"""Prefix of a metric type whose values share one OTLP metric and are told apart by ``bmad.metric.name``."""


def render_otlp_json(document: Document) -> str:
    """The request as one line of JSON, newline at the end. Without points: a request without resources."""
    resources: dict[str, dict[tuple[str, str], list[Point]]] = {}
    for point in history_points(document):
        metrics = resources.setdefault(point.owner.namespace, {})
        metrics.setdefault((_name(point), point.unit), []).append(point)
    request = {"resourceMetrics": [_resource(namespace, metrics) for namespace, metrics in resources.items()]}
    return json.dumps(request, separators=(",", ":")) + "\n"


def _own_name(metric: str) -> tuple[semconv.Metric, str] | None:
    """The OTLP metric and the name of a value of a program's own; None for a metric type."""
    for prefix, own in _OWN.items():
        if metric.startswith(prefix):
            return own, metric.removeprefix(prefix)
    return None


def _name(point: Point) -> str:
    own = _own_name(point.metric)
    if own is not None:
        return own[0].name
    return f"bmad.host.{point.metric}" if point.owner.host else f"bmad.agent.{point.metric}"


def _resource(namespace: str, metrics: dict[tuple[str, str], list[Point]]) -> dict[str, Any]:
    attributes = {semconv.SERVICE_NAME: SERVICE_NAME}
    if namespace:
        attributes[semconv.SERVICE_NAMESPACE] = namespace
    shown = [_metric(name, unit, points) for (name, unit), points in metrics.items()]
    return {
        "resource": {"attributes": _attributes(attributes.items())},
        "scopeMetrics": [{"scope": {"name": semconv.PROCESSOR_SCOPE_NAME}, "metrics": shown}],
    }


def _metric(name: str, unit: str, points: list[Point]) -> dict[str, Any]:
    base = base_unit(unit)
    row, own = METRIC_TYPES.get(points[0].metric), _own_name(points[0].metric)
    description = own[0].description if own is not None else row.description if row else ""
    return {
        "name": name,
        "description": description,
        "unit": row.unit if row else base.ucum,
        "gauge": {
            "dataPoints": [
                {
                    "attributes": _attributes(_identity(point)),
                    # whole microseconds: seconds as a float are no more exact than that
                    "timeUnixNano": str(round(point.time_s * _US) * 1000),
                    "asDouble": base.of(point.value),
                }
                for point in points
            ]
        },
    }


def _identity(point: Point) -> list[tuple[str, str]]:
    owner: Owner = point.owner
    identity = [(semconv.HOST_NAME, owner.host)] if owner.host else [(semconv.GEN_AI_AGENT_NAME, owner.agent)]
    own = _own_name(point.metric)
    if own is not None:
        identity.append((semconv.METRIC_NAME, own[1]))
        if point.unit:
            identity.append((semconv.METRIC_UNIT, point.unit))
    return identity


def _attributes(pairs: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": _utf8(value)}} for key, value in pairs]


def _utf8(text: str) -> str:
    """Text that protobuf takes: a lone surrogate has no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
