"""Points as one OTLP request: cumulative sums, gauges and histograms under the collector's own resource."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from bmad_otel import semconv
from bmad_processor.emit.encode import SERVICE_NAME
from bmad_processor.export.families import Buckets

from .points import Labels, Point
from .table import Kind

SCOPE: Final = "bmad_processor.self_telemetry"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is speaking: `service.name`, `service.version` and `service.instance.id`, another one for each process."""

    name: str = SERVICE_NAME
    version: str = field(default_factory=lambda: version("bmad-otel"))
    instance_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def attributes(self) -> dict[str, str]:
        """As resource attributes."""
        return {
            semconv.SERVICE_NAME: self.name,
            "service.version": self.version,
            "service.instance.id": self.instance_id,
        }


def encode(points: Iterable[Point], identity: Identity, *, start_ns: int, now_ns: int) -> tuple[bytes, int]:
    """An ExportMetricsServiceRequest and the number of points in it. Counters count since ``start_ns``."""
    metrics: dict[str, Metric] = {}
    n_points = 0
    for point in points:
        metric = metrics.get(point.metric.name)
        if metric is None:
            row = point.metric
            metric = metrics[row.name] = Metric(name=row.name, description=row.description, unit=row.unit)
        _add(metric, point, start_ns, now_ns)
        n_points += 1
    scope = ScopeMetrics(scope=InstrumentationScope(name=SCOPE), metrics=metrics.values())
    resource = Resource(attributes=_attributes(tuple(identity.attributes().items())))
    request = ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[scope])])
    return request.SerializeToString(), n_points


def _add(metric: Metric, point: Point, start_ns: int, now_ns: int) -> None:
    attributes = _attributes(point.labels)
    if isinstance(point.value, Buckets):
        histogram: Histogram = metric.histogram
        histogram.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        histogram.data_points.append(
            HistogramDataPoint(
                attributes=attributes, start_time_unix_nano=start_ns, time_unix_nano=now_ns,
                count=sum(point.value.counts), sum=point.value.sum, bucket_counts=point.value.counts,
                explicit_bounds=point.value.bounds,
            )
        )  # fmt: skip
        return
    number = NumberDataPoint(attributes=attributes, time_unix_nano=now_ns)
    if point.value.is_integer():
        number.as_int = int(point.value)
    else:
        number.as_double = point.value
    if point.metric.kind is Kind.COUNTER:
        number.start_time_unix_nano = start_ns
        total: Sum = metric.sum
        total.is_monotonic = True
        total.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        total.data_points.append(number)
    else:
        gauge: Gauge = metric.gauge
        gauge.data_points.append(number)


def _attributes(labels: Labels) -> list[KeyValue]:
    return [KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in labels]
