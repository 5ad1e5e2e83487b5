"""What a trace request means, said slowly and plainly over the official protobuf classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from bmad_processor import sketch
from bmad_processor.agent_names import canonical, clean
from bmad_processor.decode import Decoded
from bmad_processor.model import Exemplar, ModelKey, TaskSample, TokenSample

INTERVAL_NS = 5_000_000_000


@dataclass
class Counted:
    """Tasks of one agent, instance and pane."""

    durations: list[int] = field(default_factory=list)
    errors: int = 0
    slowest: dict[bool, Exemplar] = field(default_factory=dict)
    """By whether it failed."""

    def keep(self, new: Exemplar) -> None:
        old = self.slowest.get(bool(new.error))
        if old is None or (-new.duration_ns, new.trace_id) < (-old.duration_ns, old.trace_id):
            self.slowest[bool(new.error)] = new


Where = tuple[str, str, str, int]
"""Namespace, agent, instance, start of the pane."""


def texts(attributes: list[KeyValue]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in attributes:
        kind = pair.value.WhichOneof("value")
        if kind in ("string_value", "bool_value", "int_value", "double_value"):
            found.setdefault(pair.key, str(getattr(pair.value, kind)))
    return found


def agent_and_error(span: Span) -> tuple[str, str] | None:
    found = texts(list(span.attributes))
    if found.get("gen_ai.operation.name") in ("invoke_agent", "plan"):
        agent = found.get("gen_ai.agent.name", "")
    elif found.get("openinference.span.kind", "").upper() == "AGENT":
        agent = found.get("agent.name") or found.get("gen_ai.agent.name", "")
    elif found.get("traceloop.span.kind") == "agent":
        agent = found.get("traceloop.entity.name") or found.get("gen_ai.agent.name", "")
    else:
        return None
    outcome = found.get("bmad.task.outcome")
    error = found.get("error.type", "")
    if span.status.code == Status.STATUS_CODE_ERROR or outcome in ("error", "timeout"):
        error = error or "_OTHER"
    elif outcome is not None:
        error = ""
    return canonical(agent), clean(error)


def sent(body: bytes) -> Iterator[tuple[str, str, str, Span]]:
    """Namespace, service, instance and span of every span with valid ids."""
    for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
        sender = texts(list(resource_spans.resource.attributes))
        service = clean(sender.get("service.name", ""))
        host = clean(sender.get("host.name", ""))
        instance = sender.get("service.instance.id") or host or service or "unknown"
        namespace = clean(sender.get("service.namespace", "")).replace("/", "_")
        for scope in resource_spans.scope_spans:
            for span in scope.spans:
                if len(span.trace_id) != 16 or not any(span.trace_id):
                    continue
                if len(span.span_id) != 8 or not any(span.span_id):
                    continue
                yield namespace, service, clean(instance), span


def expected(body: bytes) -> dict[Where, tuple[object, ...]]:
    """Per agent, instance and pane: count, errors, sum, smallest, largest, buckets, exemplars."""
    counted: dict[Where, Counted] = {}
    for namespace, service, instance, span in sent(body):
        meaning = agent_and_error(span)
        if meaning is None:
            continue
        agent, error = meaning
        start_ns, end_ns = span.start_time_unix_nano, span.end_time_unix_nano
        where = (namespace, agent or service or "unknown", instance, end_ns - end_ns % INTERVAL_NS)
        tasks = counted.setdefault(where, Counted())
        duration_ns = max(0, end_ns - start_ns)
        tasks.durations.append(duration_ns)
        tasks.errors += bool(error)
        task = clean(texts(list(span.attributes)).get("bmad.task.name", ""))
        tasks.keep(Exemplar(span.trace_id.hex(), duration_ns, task, error))
    return {where: _told(tasks) for where, tasks in counted.items()}


Bill = tuple[str, str, str, ModelKey]
"""Namespace, agent, instance, model."""


def expected_tokens(body: bytes) -> dict[Bill, list[int]]:
    """Input tokens, output tokens, spans that told the first and the second."""
    bills: dict[Bill, list[int]] = {}
    for namespace, service, instance, span in sent(body):
        found = texts(list(span.attributes))
        is_call = found.get("gen_ai.operation.name") in ("chat", "text_completion", "generate_content", "embeddings")
        if agent_and_error(span) is not None or not is_call:
            continue
        numbers = {pair.key: pair.value.int_value for pair in reversed(span.attributes)}
        told = [numbers.get("gen_ai.usage.input_tokens"), numbers.get("gen_ai.usage.output_tokens")]
        if told == [None, None]:
            continue
        model = found.get("gen_ai.response.model") or found.get("gen_ai.request.model", "")
        agent = canonical(found.get("gen_ai.agent.name", "")) or service or "unknown"
        key = ModelKey(clean(found.get("gen_ai.provider.name", "")), clean(model), "")
        bill = bills.setdefault((namespace, agent, instance, key), [0, 0, 0, 0])
        for at, tokens in enumerate(told):
            if tokens is not None:
                bill[at] += tokens
                bill[at + 2] += 1
    return bills


def decoded_tokens(result: Decoded) -> dict[Bill, list[int]]:
    """The token samples in the same form."""
    bills: dict[Bill, list[int]] = {}
    for s in result.samples:
        if isinstance(s, TokenSample):
            bill = bills.setdefault((s.key.namespace, s.key.name, s.instance, s.model), [0, 0, 0, 0])
            for at, n in enumerate((s.input_tokens, s.output_tokens, s.input_calls, s.output_calls)):
                bill[at] += n
    return bills


def _told(tasks: Counted) -> tuple[object, ...]:
    buckets: dict[int, int] = {}
    for duration_ns in tasks.durations:
        index = sketch.index_of(duration_ns)
        buckets[index] = buckets.get(index, 0) + 1
    durations = tasks.durations
    return (
        len(durations), tasks.errors, sum(durations), min(durations), max(durations), buckets, tasks.slowest,
    )  # fmt: skip


def decoded(result: Decoded) -> dict[Where, tuple[object, ...]]:
    """The samples in the same form, those of one place put together."""
    parts: dict[Where, list[TaskSample]] = {}
    for sample in result.samples:
        if not isinstance(sample, TaskSample):
            continue
        where = (sample.key.namespace, sample.key.name, sample.instance, sample.time_ns)
        parts.setdefault(where, []).append(sample)
    told: dict[Where, tuple[object, ...]] = {}
    for where, samples in parts.items():
        kept = Counted()
        buckets: dict[int, int] = {}
        for sample in samples:
            sketch.merge_into(buckets, sample.buckets)
            for exemplar in sample.exemplars:
                kept.keep(exemplar)
        told[where] = (
            sum(s.count for s in samples), sum(s.errors for s in samples), sum(s.sum_ns for s in samples),
            min(s.min_ns for s in samples), max(s.max_ns for s in samples), buckets, kept.slowest,
        )  # fmt: skip
    return told
