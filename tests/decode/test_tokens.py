"""Tokens of model calls, from the metric and from spans, and never from both."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from bmad_processor.decode import Decoded, Decoder
from bmad_processor.decode.attributes import CACHE_SIZE
from bmad_processor.decode.model_calls import TokenSenders
from bmad_processor.decode.resource import Sender
from bmad_processor.model import ModelKey, PartitionKey, Sample, Signal, Source, TokenSample, TokenTotals

from .metric_points import (
    CUMULATIVE,
    DELTA,
    SECOND,
    TIME_NS,
    TOKENS,
    explicit,
    exponential,
    exponential_histogram,
    histogram,
    request,
)
from .strategies import attribute
from .test_spans import make_span, with_careful_path
from .wire_bytes import field, trace_request

MODEL = ModelKey("openai", "gpt-4o", "")
ATTRIBUTES = {
    "gen_ai.operation.name": "chat", "gen_ai.agent.name": "Architect", "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
}  # fmt: skip
KEY = PartitionKey("agent", "", "Architect")


def decoder() -> Decoder:
    return Decoder(interval_ns=5 * SECOND)


def of_kind(kind: str | None, **more: object) -> dict[str, object]:
    pairs: dict[str, object] = {**ATTRIBUTES, **{key.replace("__", "."): content for key, content in more.items()}}
    return pairs if kind is None else pairs | {"gen_ai.token.type": kind}


def metric(*metrics: Metric, by: Decoder | None = None, instance: str = "i") -> Decoded:
    body = request(metrics, service_name="svc", service_instance_id=instance)
    return (by or decoder()).decode(Signal.METRICS, body)


# The metric -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["explicit", "exponential"])
def test_a_cumulative_histogram_is_a_total(kind: str) -> None:
    if kind == "explicit":
        made = histogram(explicit(of_kind("output"), count=3, sum=120.0, bucket_counts=[3]), name=TOKENS)
    else:
        made = exponential_histogram(exponential(of_kind("output"), count=3, sum=120.0), name=TOKENS)
    (sample,) = metric(made).samples
    assert isinstance(sample, TokenTotals)
    assert (sample.key, sample.instance, sample.model, sample.is_output) == (KEY, "i", MODEL, True)
    assert (sample.count, sample.tokens) == (3, 120)
    assert (sample.start_ns, sample.time_ns) == (TIME_NS - 60 * SECOND, TIME_NS)


@pytest.mark.parametrize(
    ("kind", "counts"), [("input", (120, 0, 3, 0)), ("output", (0, 120, 0, 3)), ("completion", (0, 120, 0, 3))]
)
def test_a_delta_histogram_is_a_sample(kind: str, counts: tuple[int, ...]) -> None:
    point = explicit(of_kind(kind), count=3, sum=120.0, bucket_counts=[3])
    (sample,) = metric(histogram(point, name=TOKENS, temporality=DELTA)).samples
    assert sample == TokenSample(KEY, "i", Source.METRIC, TIME_NS, MODEL, *counts)


@pytest.mark.parametrize(
    ("more", "model"),
    [
        ({"gen_ai__response__model": "gpt-4o-2024-08-06"}, ModelKey("openai", "gpt-4o-2024-08-06", "")),
        ({"gen_ai__workflow__name": "release"}, ModelKey("openai", "gpt-4o", "release")),
        ({"gen_ai__provider__name": "", "gen_ai__system": "azure"}, ModelKey("azure", "gpt-4o", "")),
        ({"gen_ai__request__model": "a\nb"}, ModelKey("openai", "a\ufffdb", "")),
    ],
)
def test_whose_tokens_they_are(more: dict[str, object], model: ModelKey) -> None:
    (sample,) = metric(histogram(explicit(of_kind("input", **more), count=1, sum=1.0), name=TOKENS)).samples
    assert isinstance(sample, TokenTotals)
    assert sample.model == model


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        (None, {"count": 1, "sum": 1.0}, "token_types_unknown"),
        ("cached", {"count": 1, "sum": 1.0}, "token_types_unknown"),
        ("input", {"count": 1}, "token_sums_unusable"),
        ("input", {"count": 1, "sum": float("nan")}, "token_sums_unusable"),
        ("input", {"count": 1, "sum": -1.0}, "token_sums_unusable"),
        ("input", {"count": 1, "sum": 1e300}, "token_sums_unusable"),
    ],
)
def test_what_cannot_be_used_is_counted(kind: str | None, content: dict[str, Any], reason: str) -> None:
    result = metric(histogram(explicit(of_kind(kind), **content), name=TOKENS))
    assert (result.items, result.samples, result.dropped) == (1, (), {reason: 1})


def test_a_point_without_calls_or_value_says_nothing() -> None:
    points = (explicit(of_kind("input"), count=0, sum=0.0), explicit(of_kind("input"), count=1, sum=1.0, flags=1))
    assert metric(histogram(*points, name=TOKENS)).samples == ()


# Spans ----------------------------------------------------------------------------------------------------------------


def call(
    number: int = 1, input_tokens: object = 100, output_tokens: object = 7, *, agent: str | None = "Architect",
    operation: str = "chat", **more: object,
) -> bytes:  # fmt: skip
    content: dict[str, object] = {
        "gen_ai.operation.name": operation, "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.id": f"r-{number:04d}", "gen_ai.usage.input_tokens": input_tokens,
        "gen_ai.usage.output_tokens": output_tokens, **{key.replace("__", "."): value for key, value in more.items()},
    }  # fmt: skip
    if agent is not None:
        content["gen_ai.agent.name"] = agent
    pairs: list[KeyValue] = [attribute(key, value) for key, value in content.items() if value is not None]
    return make_span(number, name="chat gpt-4o", attributes=pairs).SerializeToString()


def resource(instance: str = "i") -> bytes:
    pairs = (attribute("service.name", "svc"), attribute("service.instance.id", instance))
    return b"".join(field(1, pair.SerializeToString()) for pair in pairs)


def spans(*data: bytes, by: Decoder | None = None, instance: str = "i") -> Decoded:
    return (by or decoder()).decode(Signal.TRACES, trace_request(data, resource=resource(instance)))


def only(result: Decoded) -> TokenSample:
    (sample,) = result.samples
    assert isinstance(sample, TokenSample)
    return sample


@pytest.mark.parametrize("operation", ["chat", "text_completion", "generate_content", "embeddings"])
def test_model_calls_are_added_up(operation: str) -> None:
    result = spans(call(1, 100, 7, operation=operation), call(2, 20, None, operation=operation))
    sample = only(result)
    assert sample == TokenSample(KEY, "i", Source.SPAN, TIME_NS + SECOND, MODEL, 120, 7, 2, 1)
    assert result.dropped == {}


def test_every_call_counts_however_much_is_remembered_of_its_shape() -> None:
    by = decoder()
    for _ in range(3):
        data = [call(n, n, 2 * n) for n in range(1, 300)]
        for result in (spans(*data, by=by), decoder().decode(Signal.TRACES, with_careful_path(trace_request(data)))):
            sample = only(result)
            assert (sample.input_tokens, sample.output_tokens) == (299 * 150, 299 * 300)
            assert (sample.input_calls, sample.output_calls) == (299, 299)


def test_without_an_agent_they_are_of_the_service() -> None:
    assert only(spans(call(agent=None))).key == PartitionKey("agent", "", "svc")


def test_old_names() -> None:
    data = call(1, None, None, gen_ai__usage__prompt_tokens=5, gen_ai__usage__completion_tokens=6)
    assert (only(spans(data)).input_tokens, only(spans(data)).output_tokens) == (5, 6)


@pytest.mark.parametrize("tokens", [None, "100", -1, 2**60, float("nan"), True])
def test_what_is_no_number_of_tokens_is_not_used(tokens: object) -> None:
    result = spans(call(1, tokens, tokens))
    assert (result.samples, result.dropped) == ((), {"spans_not_agent_tasks": 1})


def test_a_task_that_sums_up_its_calls_is_no_call() -> None:
    result = spans(call(1, operation="invoke_agent"), call(2, operation="execute_tool"))
    assert not [s for s in result.samples if isinstance(s, TokenSample)]


# Both -----------------------------------------------------------------------------------------------------------------


def token_metric() -> Metric:
    return histogram(explicit(of_kind("input"), count=1, sum=100.0), name=TOKENS, temporality=CUMULATIVE)


def keys(result: Decoded) -> list[tuple[str, str, int]]:
    def told(sample: Sample) -> tuple[str, str, int]:
        assert isinstance(sample, TokenSample | TokenTotals)
        if isinstance(sample, TokenTotals):
            return sample.key.name, "totals", sample.tokens
        return sample.key.name, str(sample.source), sample.input_tokens

    return [told(sample) for sample in result.samples]


def test_a_sender_with_the_metric_is_believed_by_it_alone() -> None:
    """Its spans may name another agent, or none: the engine is told whose tokens it has counted already."""
    by = decoder()
    assert keys(spans(call(agent=None), by=by)) == [("svc", "span", 100)]
    assert keys(metric(token_metric(), by=by)) == [("svc", "metric", 0), ("Architect", "totals", 100)]
    assert keys(metric(token_metric(), by=by)) == [("Architect", "totals", 100)]
    assert spans(call(agent=None), by=by).samples == ()
    assert keys(spans(call(agent=None), by=by, instance="other")) == [("svc", "span", 100)]


def test_what_is_remembered_of_senders_is_bounded() -> None:
    senders = TokenSenders()
    for n in range(3 * CACHE_SIZE):
        sender = Sender("", f"agent-{n}", f"i-{n}", "h")
        key = PartitionKey("agent", "", f"agent-{n}")
        made = TokenSample(key, sender.instance, Source.SPAN, TIME_NS, MODEL, 1, 1, 1, 1)
        assert senders.from_spans(sender, [made]) == [made]
        if n % 2:
            assert [s.key for s in senders.from_metric(sender, TIME_NS)] == [key]
    assert senders.n_remembered <= 2 * CACHE_SIZE
