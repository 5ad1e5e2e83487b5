"""Trace requests for property tests: few values, so that spans repeat, share tails and differ in one attribute."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from .reference import INTERVAL_NS
from .wire_bytes import split, trace_request, with_wide_lengths

TIME_NS = 1_800_000_000_000_000_000


def value(content: object) -> AnyValue:
    match content:
        case bool():
            return AnyValue(bool_value=content)
        case int():
            return AnyValue(int_value=content)
        case float():
            return AnyValue(double_value=content)
        case str():
            return AnyValue(string_value=content)
        case bytes():
            return AnyValue(bytes_value=content)
        case list():
            return AnyValue(array_value=ArrayValue(values=[value(item) for item in content]))
        case _:
            return AnyValue()


def attribute(key: str, content: object) -> KeyValue:
    return KeyValue(key=key, value=value(content))


_TELLING: dict[str, list[object]] = {
    "gen_ai.operation.name": ["invoke_agent", "invoke_agent", "plan", "execute_tool", "chat", ["invoke_agent"]],
    "gen_ai.agent.name": ["Architect", "product-owner", "A" * 300, "b\x00c", 7, True, ""],
    "openinference.span.kind": ["AGENT", "agent", "LLM"],
    "agent.name": ["Planner", ""],
    "traceloop.span.kind": ["agent", "tool"],
    "traceloop.entity.name": ["crew", ""],
    "bmad.task.name": ["build", "test", "n" * 200],
    "bmad.task.outcome": ["ok", "error", "cancelled", "closed_early", "timeout", "odd"],
    "error.type": ["ValueError", "", "_OTHER"],
    "gen_ai.request.model": ["gpt-4o"],
    "gen_ai.response.model": ["gpt-4o-2024-08-06", "m" * 200],
    "gen_ai.provider.name": ["openai"],
}
_other_keys = st.sampled_from(
    [
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "bmad.task.id",
        "k" * 127,
        "k" * 128,
        "k" * 300,
        "",
        "é",
    ]
)
_other_values = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.text(max_size=5), st.booleans(), st.floats(), st.binary(max_size=3), st.none(),
    st.just(["a", 1]), st.just("x" * 140), st.just("y" * 17_000), st.uuids().map(str),
)  # fmt: skip


@st.composite
def attributes(draw: st.DrawFn) -> list[KeyValue]:
    keys = draw(st.lists(st.sampled_from(sorted(_TELLING)), unique=True, max_size=5))
    pairs = [attribute(key, draw(st.sampled_from(_TELLING[key]))) for key in keys]
    others = draw(st.lists(_other_keys, unique=True, max_size=3))
    pairs += [attribute(key, draw(st.integers(0, 900) if "tokens" in key else _other_values)) for key in others]
    return draw(st.permutations(pairs)) if draw(st.booleans()) else pairs


_times = st.one_of(st.integers(TIME_NS, TIME_NS + 2 * INTERVAL_NS), st.sampled_from([0, 1, 2**64 - 1]))


@st.composite
def span_bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Everything of a span but its ids."""
    body: dict[str, Any] = {
        "name": draw(st.sampled_from(["", "task", "n" * 127, "n" * 128, "é" * 300])),
        "kind": draw(st.sampled_from([0, 1, 3])),
        "start_time_unix_nano": draw(_times),
        "end_time_unix_nano": draw(_times),
        "attributes": draw(attributes()),
    }
    if draw(st.booleans()):
        body["parent_span_id"] = b"parent__"
    if draw(st.integers(0, 4)) == 0:
        body["trace_state"] = "vendor=1"
    if draw(st.booleans()):
        body["flags"] = 0x301
    if draw(st.booleans()):
        body["status"] = Status(code=draw(st.sampled_from(Status.StatusCode.values())), message="why")
    if draw(st.integers(0, 3)) == 0:
        body["events"] = [Span.Event(name="exception", attributes=[attribute("error.type", "Elsewhere")])]
    if draw(st.integers(0, 3)) == 0:
        body["links"] = [Span.Link(trace_id=b"l" * 16, span_id=b"l" * 8)]
    if draw(st.integers(0, 3)) == 0:
        body["dropped_attributes_count"] = 3
    return body


@st.composite
def requests(draw: st.DrawFn) -> list[bytes]:
    """One to three request bodies. Their spans have one shape from a small pool, ids of their own and any layout."""
    pool = draw(st.lists(span_bodies(), min_size=1, max_size=4))
    ids = iter(range(1, 1000))
    bodies = []
    for _ in range(draw(st.integers(1, 3))):
        spans = []
        for body in draw(st.lists(st.sampled_from(pool), max_size=6)):
            number = next(ids)
            span = Span(trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"), **body)
            if draw(st.booleans()):
                span.attributes.append(attribute("thread.id", draw(st.integers(100, 999))))
            data = span.SerializeToString()
            match draw(st.sampled_from(["as it is", "as it is", "any order", "wide lengths"])):
                case "any order":
                    data = b"".join(draw(st.permutations(split(data))))
                case "wide lengths":
                    data = with_wide_lengths(data)
            spans.append(data)
        resource = Resource(attributes=draw(st.sampled_from(_RESOURCES)))
        bodies.append(trace_request(spans, resource=resource.SerializeToString()))
    return bodies


_RESOURCES = [
    [],
    [attribute("service.name", "shop-service"), attribute("service.instance.id", "i-1")],
    [attribute("service.name", "Architect"), attribute("service.namespace", "a/b"), attribute("host.name", "h1")],
]
