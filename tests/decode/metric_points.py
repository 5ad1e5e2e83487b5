"""Metrics requests: short builders for examples, and any request at all for property tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from bmad_processor.decode.rules import RULES

from .strategies import attribute

DELTA, CUMULATIVE = 1, 2
TIME_NS = 1_800_000_000_000_000_000
SECOND = 1_000_000_000
DURATION = "gen_ai.invoke_agent.duration"
TOKENS = "gen_ai.client.token.usage"
CUSTOM = "bmad.agent.custom"
REPORTED = "bmad.agent.reported"


def request(metrics: Sequence[Metric], **resource: object) -> bytes:
    """One resource with ``metrics``; keywords are its attributes, with ``_`` for ``.``."""
    attributes = [attribute(key.replace("_", "."), content) for key, content in resource.items()]
    resource_metrics = ResourceMetrics(
        resource=Resource(attributes=attributes), scope_metrics=[ScopeMetrics(metrics=list(metrics))]
    )
    return ExportMetricsServiceRequest(resource_metrics=[resource_metrics]).SerializeToString()


def _point(kind: Any, attributes: dict[str, object], content: dict[str, Any]) -> Any:
    content = {"time_unix_nano": TIME_NS, "start_time_unix_nano": TIME_NS - 60 * SECOND} | content
    return kind(attributes=[attribute(key, text) for key, text in attributes.items()], **content)


def number(value: float | None, attributes: dict[str, object] | None = None, **content: Any) -> NumberDataPoint:
    if value is not None:
        content["as_int" if isinstance(value, int) else "as_double"] = value
    return _point(NumberDataPoint, attributes or {}, content)  # type: ignore[no-any-return]


def gauge(name: str, *points: NumberDataPoint) -> Metric:
    return Metric(name=name, gauge=Gauge(data_points=points))


def total(
    name: str, *points: NumberDataPoint, temporality: int = CUMULATIVE, is_monotonic: bool = True
) -> Metric:  # fmt: skip
    data = Sum(data_points=points, aggregation_temporality=temporality, is_monotonic=is_monotonic)  # type: ignore[arg-type]
    return Metric(name=name, sum=data)


def histogram(*points: HistogramDataPoint, temporality: int = CUMULATIVE, name: str = DURATION) -> Metric:
    data = Histogram(data_points=points, aggregation_temporality=temporality)  # type: ignore[arg-type]
    return Metric(name=name, histogram=data)


def explicit(attributes: dict[str, object] | None = None, **content: Any) -> HistogramDataPoint:
    return _point(HistogramDataPoint, attributes or {}, content)  # type: ignore[no-any-return]


def exponential(attributes: dict[str, object] | None = None, **content: Any) -> ExponentialHistogramDataPoint:
    return _point(ExponentialHistogramDataPoint, attributes or {}, content)  # type: ignore[no-any-return]


def exponential_histogram(
    *points: ExponentialHistogramDataPoint, temporality: int = CUMULATIVE, name: str = DURATION
) -> Metric:
    data = ExponentialHistogram(data_points=points, aggregation_temporality=temporality)  # type: ignore[arg-type]
    return Metric(name=name, exponential_histogram=data)


_floats = st.floats() | st.sampled_from([0.0, 1.5, -1.0, 1e300, float("nan"), float("inf")])
_counts = st.integers(0, 5) | st.just(2**64 - 1)
_attributes = st.dictionaries(
    st.sampled_from(
        [
            "gen_ai.agent.name",
            "gen_ai.operation.name",
            "error.type",
            "cpu.mode",
            "state",
            "x",
            "bmad.metric.name",
            "bmad.metric.unit",
            "gen_ai.token.type",
            "gen_ai.request.model",
        ]
    ),
    st.sampled_from(["Architect", "invoke_agent", "idle", "user", "chat", "input", "output", 3, None]),
    max_size=4,
)
_times = st.sampled_from([0, TIME_NS - SECOND, TIME_NS, 2**64 - 1])
_common = {"time_unix_nano": _times, "start_time_unix_nano": _times, "flags": st.sampled_from([0, 0, 1])}
_int32 = st.integers(-(2**31), 2**31 - 1) | st.integers(-12, 20)
_optional = {"sum": _floats, "min": _floats, "max": _floats}

_numbers = st.builds(number, _floats | st.integers(-9, 9) | st.none(), _attributes)
_explicit = st.builds(
    lambda attributes, content: explicit(attributes, **content),
    _attributes,
    st.fixed_dictionaries(
        {"count": _counts, "bucket_counts": st.lists(_counts, max_size=4), **_common},
        optional={"explicit_bounds": st.lists(_floats, max_size=4), **_optional},
    ),
)
_exponential = st.builds(
    lambda attributes, content: exponential(attributes, **content),
    _attributes,
    st.fixed_dictionaries(
        {
            "count": _counts, "scale": _int32, "zero_count": _counts,
            "positive": st.builds(
                ExponentialHistogramDataPoint.Buckets, offset=_int32, bucket_counts=st.lists(_counts, max_size=4)
            ),
            **_common,
        },
        optional=_optional,
    ),
)  # fmt: skip
_names = st.sampled_from(
    [
        DURATION,
        TOKENS,
        CUSTOM,
        REPORTED,
        "gen_ai.execute_tool.duration",
        "gen_ai.invoke_agent.tool_calls",
        *(rule.metric for rule in RULES),
        "something.else",
    ]
)
_temporality = st.sampled_from([0, DELTA, CUMULATIVE, 9])


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    name = draw(_names)
    match draw(st.sampled_from(["gauge", "sum", "histogram", "exponential", "summary", "none"])):
        case "gauge":
            return gauge(name, *draw(st.lists(_numbers, max_size=3)))
        case "sum":
            points = draw(st.lists(_numbers, max_size=3))
            return total(name, *points, temporality=draw(_temporality), is_monotonic=draw(st.booleans()))
        case "histogram":
            return histogram(*draw(st.lists(_explicit, max_size=3)), temporality=draw(_temporality), name=name)
        case "exponential":
            points_exp = draw(st.lists(_exponential, max_size=3))
            return exponential_histogram(*points_exp, temporality=draw(_temporality), name=name)
        case "summary":
            return Metric(name=name, summary=Summary(data_points=[SummaryDataPoint(count=1)]))
        case _:
            return Metric(name=name)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Any metrics request, with values no sender should send."""
    resource = draw(st.sampled_from([{}, {"service_name": "svc", "host_name": "h"}]))
    return request(draw(st.lists(metrics(), max_size=4)), **resource)
