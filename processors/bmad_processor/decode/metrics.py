"""From the bytes of an `ExportMetricsServiceRequest` to readings, totals and task samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from math import isfinite
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from bmad_otel import semconv
from bmad_processor import metric_types, sketch
from bmad_processor.agent_names import canonical, clean
from bmad_processor.errors import Malformed
from bmad_processor.measure import MEAN_STREAM_PREFIX
from bmad_processor.model import (
    Increase,
    PartitionKey,
    Reading,
    Sample,
    Source,
    TaskSample,
    TaskTotals,
    TokenSample,
    TokenTotals,
    Total,
)

from . import tools, wire
from .attributes import CACHE_SIZE, Attributes
from .histograms import explicit_buckets, exponential_buckets, sum_of, to_ns
from .model_calls import MAX_TOKENS, TokenSenders, agent_key, is_output_of, model_of
from .points import is_invalid
from .rejected import prune
from .resource import Sender, Senders
from .result import Decoded
from .rules import BY_METRIC, PREFIX_BY_METRIC, WANTED, Rule, Scope, takes
from .span_meaning import error_of, is_task_operation

_DURATION: Final = semconv.INVOKE_AGENT_DURATION.name.encode()
_TOKENS: Final = semconv.TOKEN_USAGE.name.encode()
_HISTOGRAMS: Final = frozenset({"histogram", "exponential_histogram"})
_NUMBERS: Final = frozenset({"gauge", "sum"})
_MAX_LENGTH: Final = 2048
"""Attribute sets longer than this are not remembered."""
_MAX_UNIT_LENGTH: Final = 32
"""Units are short words; what is longer is cut."""


@dataclass(frozen=True, slots=True)
class _Point:
    """Meaning of one attribute set."""

    found: dict[str, str]
    agent: str
    stream: str
    """Identity of the attribute set, in any order."""
    is_error: bool


@dataclass(slots=True)
class _Resource:
    """What one resource reports, until all of its metrics are read."""

    sender: Sender
    agents: dict[PartitionKey, None] = field(default_factory=dict)
    """In order of appearance."""
    has_agent_cpu: bool = False
    process: list[tuple[Rule, Any, _Point, bool, bool]] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)


class MetricDecoder:
    """Decodes metrics requests. Not thread-safe."""

    def __init__(self, *, senders: Senders, token_senders: TokenSenders) -> None:
        self._senders = senders
        self._token_senders = token_senders
        self._attributes = Attributes(WANTED)
        self.tell_index = self._attributes.tell_index
        self._points: dict[tuple[bytes, ...], _Point] = {}
        self._dropped: dict[str, int] = {}

    def decode(self, body: bytes) -> Decoded:
        """Raises Malformed when the bytes are not a metrics request."""
        try:
            ExportMetricsServiceRequest.FromString(body)  # what is not OTLP anywhere inside, no backend would take
            request = wire.MetricsRequest.FromString(body)
        except DecodeError as error:
            raise Malformed("body is not a valid ExportMetricsServiceRequest") from error
        self._dropped = {}
        samples: list[Sample] = []
        items = bad = 0
        for resource_metrics in request.resource_metrics:
            resource = _Resource(self._senders.of(resource_metrics.resource))
            for scope in resource_metrics.scope_metrics:
                emptied = []
                for index, metric in enumerate(scope.metrics):
                    n_bad = self._reject(metric)
                    n = self._metric(metric, resource)
                    if n_bad and not n:
                        emptied.append(index)
                    items += n
                    bad += n_bad
                for index in reversed(emptied):
                    del scope.metrics[index]
            self._give_process_values(resource)
            samples += resource.samples
        if not bad:
            return Decoded(items, tuple(samples), forward=body, dropped=self._dropped)
        prune(request.resource_metrics, "scope_metrics", "metrics")
        said = f"{bad} data points have buckets that do not fit their bounds, or exemplars with an id of wrong length"
        forward = request.SerializeToString()
        return Decoded(items, tuple(samples), bad, message=said, forward=forward, dropped=self._dropped)

    @staticmethod
    def _reject(metric: Any) -> int:
        """Takes invalid points out of ``metric``; how many."""
        kind = metric.WhichOneof("value")
        if kind is None or kind == "summary":
            return 0
        points = getattr(metric, kind).data_points
        wrong = [index for index, point in enumerate(points) if is_invalid(point, is_histogram=kind == "histogram")]
        for index in reversed(wrong):
            del points[index]
        return len(wrong)

    def _metric(self, metric: Any, resource: _Resource) -> int:
        kind = metric.WhichOneof("value")
        if kind is None:
            return 0
        data = getattr(metric, kind)
        points = data.data_points
        if metric.name == _DURATION and kind in _HISTOGRAMS:
            for point in points:
                self._tasks(point, data.aggregation_temporality, kind, resource)
        elif metric.name == _TOKENS and kind in _HISTOGRAMS:
            for point in points:
                self._tokens(point, data.aggregation_temporality, resource)
        elif (prefix := PREFIX_BY_METRIC.get(metric.name)) is not None and kind == "gauge":
            for point in points:
                self._named(prefix, point, resource)
        elif metric.name in (tools.DURATION, tools.CALLS) and kind in _HISTOGRAMS:
            for point in points:
                self._tool(metric.name, point, data.aggregation_temporality, resource)
        elif (rule := BY_METRIC.get(metric.name)) is not None and kind in _NUMBERS:
            # a monotonic sum is a running total; any other number is a reading
            is_total = kind == "sum" and data.is_monotonic
            is_delta = kind == "sum" and data.aggregation_temporality == wire.DELTA
            if is_delta and not is_total:
                # the changes of an up-down counter are no values, and where they began is not known
                self._drop("delta_up_down_counters_unsupported", len(points))
            elif is_total and not is_delta and data.aggregation_temporality != wire.CUMULATIVE:
                self._drop("counters_without_temporality", len(points))
            else:
                for point in points:
                    self._number(rule, point, resource, is_total=is_total, is_delta=is_delta)
        return len(points)

    def _drop(self, reason: str, n: int = 1) -> None:
        self._dropped[reason] = self._dropped.get(reason, 0) + n

    def _meaning(self, attributes: Iterable[bytes]) -> _Point:
        identity = tuple(attributes)
        point = self._points.get(identity)
        if point is None:
            found = self._attributes.read(identity)
            stream = blake2b(b"\0".join(sorted(identity)), digest_size=8).hexdigest() if identity else ""
            is_error = bool(error_of(found, has_error_status=False))
            point = _Point(found, canonical(found.get(semconv.GEN_AI_AGENT_NAME, "")), stream, is_error)
            if len(self._points) >= CACHE_SIZE:
                self._points.clear()
            if sum(map(len, identity)) <= _MAX_LENGTH:
                self._points[identity] = point
        return point

    def _agent_key(self, point: _Point, resource: _Resource) -> PartitionKey:
        sender = resource.sender
        key = PartitionKey("agent", sender.namespace, point.agent or sender.service or "unknown")
        resource.agents[key] = None
        return key

    def _tasks(self, data: Any, temporality: int, kind: str, resource: _Resource) -> None:
        point = self._meaning(data.attributes)
        operation = point.found.get(semconv.GEN_AI_OPERATION_NAME)
        if operation is not None and not is_task_operation(operation):
            return
        if data.flags & wire.NO_RECORDED_VALUE or not data.count:
            return
        if not isfinite(data.sum):
            self._drop("values_not_finite")
            return
        buckets = exponential_buckets(data) if kind == "exponential_histogram" else explicit_buckets(data)
        if not buckets:
            self._drop("histograms_without_buckets")
            return
        low = to_ns(data.min) if data.HasField("min") else round(sketch.value_at(min(buckets)))
        high = to_ns(data.max) if data.HasField("max") else round(sketch.value_at(max(buckets)))
        sum_ns = to_ns(data.sum) if data.HasField("sum") else sum_of(buckets)
        key = self._agent_key(point, resource)
        start, time, sender = data.start_time_unix_nano, data.time_unix_nano, resource.sender
        if temporality == wire.CUMULATIVE:
            resource.samples.append(
                TaskTotals(
                    key, sender.instance, point.stream, start, time, point.is_error, data.count, sum_ns, low,
                    high, buckets,
                )
            )  # fmt: skip
        else:
            covered = max(0, time - start) if start else 0
            resource.samples.append(
                TaskSample(
                    key, sender.instance, Source.METRIC, time, covered, data.count,
                    data.count if point.is_error else 0, sum_ns, low, high, buckets,
                )
            )  # fmt: skip

    def _tokens(self, data: Any, temporality: int, resource: _Resource) -> None:
        """One point of the token histogram; of its buckets nothing is needed."""
        point, sender = self._meaning(data.attributes), resource.sender
        if data.flags & wire.NO_RECORDED_VALUE or not data.count:
            return
        is_output = is_output_of(point.found)
        if is_output is None:
            self._drop("token_types_unknown")
            return
        if not data.HasField("sum") or not isfinite(data.sum) or not 0 <= data.sum <= MAX_TOKENS:
            self._drop("token_sums_unusable")
            return
        # not `_agent_key`: an instrumentation's point without an agent must not make the service an agent that gets
        # the values of the process
        key, model, tokens = agent_key(sender, point.agent), model_of(point.found), round(data.sum)
        time_ns, n = data.time_unix_nano, data.count
        resource.samples += self._token_senders.from_metric(sender, time_ns)
        if temporality == wire.CUMULATIVE:
            resource.samples.append(
                TokenTotals(
                    key, sender.instance, point.stream, data.start_time_unix_nano, time_ns, model, is_output, n, tokens
                )
            )
        else:
            counts = (0, tokens, 0, n) if is_output else (tokens, 0, n, 0)
            resource.samples.append(TokenSample(key, sender.instance, Source.METRIC, time_ns, model, *counts))

    def _named(self, prefix: str, data: Any, resource: _Resource) -> None:
        """A value whose metric type is the name it came with."""
        point = self._meaning(data.attributes)
        if data.flags & wire.NO_RECORDED_VALUE:
            return
        name = clean(point.found.get(semconv.METRIC_NAME, "").strip())
        if not name:
            self._drop("values_without_name")
            return
        unit = clean(point.found.get(semconv.METRIC_UNIT, "").strip())[:_MAX_UNIT_LENGTH]
        value = self._value_of(data)
        if value is None:
            return
        resource.samples.append(
            Reading(
                self._agent_key(point, resource), resource.sender.instance, prefix + name,
                # whatever other attributes a point has: values of one name and instance are views of one quantity
                MEAN_STREAM_PREFIX, data.time_unix_nano, value, "" if unit == "1" else unit,
            )
        )  # fmt: skip

    def _tool(self, name: bytes, data: Any, temporality: int, resource: _Resource) -> None:
        if data.flags & wire.NO_RECORDED_VALUE or not data.count:
            return
        point = self._meaning(data.attributes)
        found, sender, stream = point.found, resource.sender, point.stream
        if name == tools.CALLS:
            sample = tools.calls_sample(data, temporality, found, sender, stream=f"calls/{stream}")
        else:
            sample = tools.tool_sample(data, temporality, found, sender, stream=stream, is_error=point.is_error)
        if isinstance(sample, str):
            self._drop(sample)
        else:
            resource.samples.append(sample)

    def _number(self, rule: Rule, data: Any, resource: _Resource, *, is_total: bool, is_delta: bool) -> None:
        point = self._meaning(data.attributes)
        if not takes(rule, point.found) or data.flags & wire.NO_RECORDED_VALUE:
            return
        if rule.scope is Scope.PROCESS:
            resource.process.append((rule, data, point, is_total, is_delta))
            return
        if rule.scope is Scope.HOST:
            key = PartitionKey("host", "", resource.sender.host or "unknown")
        else:
            key = self._agent_key(point, resource)
            resource.has_agent_cpu |= rule.metric_type == metric_types.CPU_USAGE
        self._sample(rule, data, point, key, resource, is_total=is_total, is_delta=is_delta)

    def _give_process_values(self, resource: _Resource) -> None:
        """Values of the process count for every agent it reports; CPU only when agents do not report their own."""
        for rule, data, point, is_total, is_delta in resource.process:
            if resource.has_agent_cpu and rule.metric_type == metric_types.CPU_USAGE:
                continue
            for key in resource.agents:
                self._sample(rule, data, point, key, resource, is_total=is_total, is_delta=is_delta)

    def _value_of(self, data: Any) -> float | None:
        which = data.WhichOneof("value")
        value = float(getattr(data, which)) if which else 0.0
        if which is None or not isfinite(value):
            self._drop("values_not_finite")
            return None
        return value

    def _sample(
        self,
        rule: Rule,
        data: Any,
        point: _Point,
        key: PartitionKey,
        resource: _Resource,
        *,
        is_total: bool,
        is_delta: bool,
    ) -> None:
        value = self._value_of(data)
        if value is None:
            return
        stream = MEAN_STREAM_PREFIX + point.stream if rule.is_averaged else point.stream
        instance, time = resource.sender.instance, data.time_unix_nano
        if is_delta:
            covered_ns = time - data.start_time_unix_nano
            if not data.start_time_unix_nano or covered_ns <= 0:
                self._drop("delta_counters_without_start")
                return
            resource.samples.append(Increase(key, instance, rule.metric_type, stream, time, covered_ns, value))
        elif is_total:
            resource.samples.append(
                Total(key, instance, rule.metric_type, stream, data.start_time_unix_nano, time, value)
            )
        else:
            value = 1.0 - value if rule.is_complement else value
            resource.samples.append(Reading(key, instance, rule.metric_type, stream, time, value))
