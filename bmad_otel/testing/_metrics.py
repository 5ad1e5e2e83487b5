"""Metric points of one test, added up from what a reader with delta temporality has given so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bmad_otel.testing._records import frozen

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric, MetricsData

Kind = Literal["sum", "gauge", "histogram"]
Read = Callable[[], "MetricsData | None"]


@dataclass(frozen=True, slots=True)
class HistogramValue:
    """What a histogram has recorded; ``min`` and ``max`` are None when nothing or when the provider leaves them out."""

    count: int
    sum: float
    min: float | None
    max: float | None

    def plus(self, other: HistogramValue) -> HistogramValue:
        """Both together."""
        return HistogramValue(
            self.count + other.count,
            self.sum + other.sum,
            min((v for v in (self.min, other.min) if v is not None), default=None),
            max((v for v in (self.max, other.max) if v is not None), default=None),
        )


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One series of a metric: its attributes and where it stands. ``value`` is a number, or a `HistogramValue`."""

    name: str
    unit: str
    kind: Kind
    attributes: Mapping[str, Any]
    value: int | float | HistogramValue


class Points:
    """The series of one test.

    ``read`` gives what was recorded since it was last called; it is None before and after the test, and while the
    provider cannot be read, for which ``unreadable`` then says why.
    """

    def __init__(self) -> None:
        self.read: Read | None = None
        self.unreadable = ""
        self._points: dict[tuple[str, str, frozenset[tuple[str, str]]], MetricPoint] = {}

    def by_name(self) -> dict[str, list[MetricPoint]]:
        """The points of each metric as they stand now. Raises RuntimeError when they cannot be read."""
        if self.unreadable:
            raise RuntimeError(self.unreadable)
        self.fold()
        found: dict[str, list[MetricPoint]] = {}
        for point in self._points.values():
            found.setdefault(point.name, []).append(point)
        return found

    def fold(self) -> None:
        """Read and add up; a gauge, or what is observed as a total, takes the place of its earlier value."""
        data = None if self.read is None else self.read()
        for resource in () if data is None else data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self._fold(scope.scope.name, metric)

    def skip(self) -> None:
        """Let what was recorded since the last time be somebody else's."""
        if self.read is not None:
            self.read()

    def clear(self) -> None:
        """Forget all up to now."""
        self.skip()
        self._points.clear()

    def _fold(self, scope: str, metric: Metric) -> None:
        from opentelemetry.sdk.metrics.export import AggregationTemporality, Gauge, Sum

        data = metric.data
        kind: Kind = "gauge" if isinstance(data, Gauge) else "sum" if isinstance(data, Sum) else "histogram"
        adds_up = not isinstance(data, Gauge) and data.aggregation_temporality is AggregationTemporality.DELTA
        for point in data.data_points:
            value = _value(point)
            attributes = frozen(point.attributes)
            key = (scope, metric.name, frozenset((name, repr(value)) for name, value in attributes.items()))
            earlier = self._points.get(key)
            if earlier is not None and adds_up:
                value = together(earlier.value, value)
            self._points[key] = MetricPoint(metric.name, metric.unit or "", kind, attributes, value)


def together(one: int | float | HistogramValue, other: int | float | HistogramValue) -> int | float | HistogramValue:
    """The sum of two values of one metric."""
    if isinstance(one, HistogramValue) and isinstance(other, HistogramValue):
        return one.plus(other)
    if isinstance(one, HistogramValue) or isinstance(other, HistogramValue):
        raise TypeError("a number and a histogram cannot be added")
    return one + other


def _value(point: Any) -> int | float | HistogramValue:
    if hasattr(point, "value"):
        number: int | float = point.value
        return number
    if not point.count:
        return HistogramValue(0, 0.0, None, None)
    # a histogram set up without minimum and maximum gives infinities in their place
    return HistogramValue(point.count, point.sum, _finite(point.min), _finite(point.max))


def _finite(value: float | None) -> float | None:
    return None if value is None or value in (float("inf"), float("-inf")) else value
