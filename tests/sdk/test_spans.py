"""Spans of our own making against those of the SDK: whatever is done to both, processors get the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import get_current
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_ON,
    Decision,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from bmad_otel._spans import SpanSource, TaskSpan, span_source
from bmad_otel._version import __version__

NAME = "invoke_agent Research"
ATTRIBUTES = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "Research", "bmad.task.name": "read"}
REMOTE = SpanContext(0xABC, 0xDEF, True, TraceFlags(TraceFlags.SAMPLED))
UNSAMPLED = SpanContext(0xABD, 0xDEF, True, TraceFlags(0))


class Counting(IdGenerator):
    """The same ids on both sides."""

    def __init__(self) -> None:
        self.last = 0

    def generate_trace_id(self) -> int:
        self.last += 1
        return self.last << 64 | self.last

    def generate_span_id(self) -> int:
        self.last += 1
        return self.last


class Seen(SpanProcessor):
    """What a processor is given, and what it does to spans as vendors' processors do."""

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: SdkSpan, parent_context: Any = None) -> None:
        assert isinstance(span, SdkSpan)
        self.started.append((span.name, dict(span.attributes or {}), span.parent, span.kind, span.end_time))
        span.set_attribute("vendor.seen", True)

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)


def rig(sampler: Sampler = ALWAYS_ON) -> tuple[TracerProvider, Seen]:
    provider = TracerProvider(
        sampler=sampler, resource=Resource({"service.name": "rig"}), id_generator=Counting(), shutdown_on_exit=False
    )
    seen = Seen()
    provider.add_span_processor(seen)
    return provider, seen


Start = Callable[[int], Span]


def both(sampler: Sampler = ALWAYS_ON) -> list[tuple[Start, Seen]]:
    theirs, their_seen = rig(sampler)
    ours, our_seen = rig(sampler)
    tracer = theirs.get_tracer("bmad_otel", __version__)
    source = source_of(ours)
    return [
        (lambda at: tracer.start_span(NAME, None, SpanKind.INTERNAL, ATTRIBUTES, None, at), their_seen),
        (lambda at: source.start(NAME, ATTRIBUTES, at, get_current()), our_seen),
    ]


def source_of(provider: TracerProvider) -> SpanSource:
    source = span_source(provider)
    assert source is not None
    return source


def exported(seen: Seen) -> tuple[list[Any], str, list[str]]:
    return seen.started, str(encode_spans(seen.ended)), [span.to_json() for span in seen.ended]


VALUES = st.one_of(st.text(max_size=5), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False))
KEYS = st.sampled_from(["a", "b", "gen_ai.agent.name", ""])
MAPS = st.dictionaries(KEYS, VALUES, max_size=4)
ACTIONS = st.one_of(
    st.tuples(st.just("set_attribute"), KEYS, VALUES),
    st.tuples(st.just("set_attributes"), MAPS),
    st.tuples(st.just("add_event"), st.text(max_size=3), MAPS, st.integers(1, 9)),
    st.tuples(st.just("add_link"), st.sampled_from([REMOTE, trace.INVALID_SPAN_CONTEXT]), MAPS),
    st.tuples(st.just("update_name"), st.text(min_size=1, max_size=3)),
    st.tuples(st.just("set_status"), st.sampled_from(list(StatusCode)), st.none() | st.text(max_size=3)),
    st.tuples(st.just("set_status"), st.sampled_from([Status(StatusCode.OK), Status(StatusCode.ERROR, "bad")])),
    st.tuples(st.just("record_exception"), st.just(ValueError("no")), MAPS, st.just(5)),
    st.tuples(st.just("end"), st.integers(100, 200)),
)


@pytest.mark.filterwarnings("ignore")
@given(actions=st.lists(ACTIONS, max_size=12))
def test_law_whatever_is_done_processors_get_the_same(actions: list[tuple[Any, ...]]) -> None:
    results = []
    for start, seen in both():
        span = start(7)
        for method, *arguments in actions:
            getattr(span, method)(*arguments)
        assert span.is_recording() == ("end" not in [action[0] for action in actions])
        if span.is_recording():
            span.end(300)
        results.append(exported(seen))
    assert results[0] == results[1]


@pytest.mark.parametrize(
    "sampler",
    [ALWAYS_ON, ALWAYS_OFF, DEFAULT_ON, TraceIdRatioBased(0.5), ParentBasedTraceIdRatio(0.5)],
    ids=lambda sampler: sampler.get_description(),
)
@pytest.mark.parametrize("parent", [None, REMOTE, UNSAMPLED], ids=["root", "sampled parent", "unsampled parent"])
def test_sampling_and_parents_are_the_same(sampler: Sampler, parent: SpanContext | None) -> None:
    results = []
    for start, seen in both(sampler):
        contexts = []
        with trace.use_span(NonRecordingSpan(parent) if parent is not None else trace.INVALID_SPAN):
            for at in range(20):
                span = start(at)
                with trace.use_span(span):
                    child = start(at)
                    child.end(at + 1)
                contexts.append((span.get_span_context(), child.get_span_context(), type(span) is NonRecordingSpan))
                span.end(at + 2)
        results.append((contexts, exported(seen)))
    assert results[0] == results[1]


class Deciding(Sampler):
    """Adds attributes and a trace state, and records without sampling."""

    def should_sample(self, *arguments: Any, **keywords: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_ONLY, {"sampler": "mine"}, trace.TraceState([("k", "v")]))

    def get_description(self) -> str:
        return "Deciding"


def test_what_a_sampler_adds_is_kept() -> None:
    results = []
    for start, seen in both(Deciding()):
        span = start(1)
        span.end(2)
        results.append((span.get_span_context(), exported(seen)))
    assert results[0] == results[1]


def test_an_exception_through_the_span_is_recorded_as_the_sdk_does() -> None:
    seen_of = []
    for start, seen in both():
        with pytest.raises(KeyError), start(1):
            raise KeyError("k")
        (span,) = seen.ended
        (event,) = span.events
        assert event.attributes is not None
        seen_of.append((span.status.status_code, span.status.description, event.name, sorted(event.attributes)))
    assert seen_of[0] == seen_of[1]


def test_limits_of_the_variables_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPAN_ATTRIBUTE", "SPAN_EVENT", "SPAN_LINK", "EVENT_ATTRIBUTE", "LINK_ATTRIBUTE"):
        monkeypatch.setenv(f"OTEL_{name}_COUNT_LIMIT", "40" if name == "SPAN_ATTRIBUTE" else "3")
    results = []
    for start, seen in both():
        span = start(1)
        many = {f"k{i}": i for i in range(60)}
        span.set_attributes(many)
        for i in range(9):
            span.add_event(f"e{i}", many, timestamp=i)
            span.add_link(REMOTE, many)
        span.end(2)
        results.append((exported(seen), seen.ended[0].dropped_attributes, seen.ended[0].dropped_events))
    assert results[0] == results[1]
    assert results[0][1] > 0


def test_what_was_handed_on_does_not_change_any_more(caplog: pytest.LogCaptureFixture) -> None:
    (_, (start, seen)) = both()
    span = start(1)
    span.end(2)
    before = exported(seen)
    span.set_attribute("late", 1)
    span.add_event("late")
    span.set_status(StatusCode.ERROR)
    span.end(9)
    assert exported(seen) == before
    assert "ended span" in caplog.text


@pytest.mark.parametrize(
    "variable",
    [
        {"OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "true"},
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "4"},
        {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "10"},
    ],
    ids=lambda variable: next(iter(variable)),
)
def test_where_the_sdk_does_more_it_makes_the_spans(variable: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    assert span_source(rig()[0]) is None


def test_a_link_and_its_attributes_are_the_same_objects_kind() -> None:
    (_, (start, seen)) = both()
    span = start(1)
    assert isinstance(span, TaskSpan)
    span.add_link(REMOTE, {"a": 1})
    span.end(2)
    (link,) = seen.ended[0].links
    assert isinstance(link, Link)
    assert dict(link.attributes or {}) == {"a": 1}
