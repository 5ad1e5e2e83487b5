"""Spans in any layout mean what a plain reading of the official protobuf classes says."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bmad_processor.decode import Decoded, Decoder
from bmad_processor.errors import Malformed
from bmad_processor.model import Signal, TaskSample, TokenSample

from . import reference, strategies
from .strategies import TIME_NS, attribute
from .wire_bytes import field, split, trace_request, varint, with_wide_lengths

SECOND = 1_000_000_000
TASK = [attribute("gen_ai.operation.name", "invoke_agent"), attribute("gen_ai.agent.name", "Architect")]


def decode(body: bytes, decoder: Decoder | None = None) -> Decoded:
    return (decoder or Decoder(interval_ns=reference.INTERVAL_NS)).decode(Signal.TRACES, body)


def make_span(number: int = 1, **changes: Any) -> Span:
    content: dict[str, Any] = {
        "trace_id": number.to_bytes(16, "big"),
        "span_id": number.to_bytes(8, "big"),
        "name": "invoke_agent Architect",
        "kind": 1,
        "start_time_unix_nano": TIME_NS,
        "end_time_unix_nano": TIME_NS + SECOND,
        "attributes": TASK,
    }
    return Span(**(content | changes))


def with_careful_path(body: bytes) -> bytes:
    """The same request with sixteen zero bytes in a field nobody knows, which sends every span the careful way."""
    return body + field(1000, bytes(16))


def only(result: Decoded) -> TaskSample:
    (sample,) = result.samples
    assert isinstance(sample, TaskSample)
    return sample


@settings(max_examples=300, deadline=None)
@given(strategies.requests())
def test_fast_path_careful_path_and_reference_agree(bodies: list[bytes]) -> None:
    fast, careful = (Decoder(interval_ns=reference.INTERVAL_NS) for _ in range(2))
    for body in bodies:
        expected = reference.expected(body)
        results = [decode(body, fast), decode(with_careful_path(body), careful), decode(body, fast)]
        for result in results:
            assert reference.decoded(result) == expected
            assert reference.decoded_tokens(result) == reference.expected_tokens(body)
            assert result.rejected == 0
        assert results[0].forward == results[2].forward == body
        used = sum(sample.count for sample in results[0].samples if isinstance(sample, TaskSample))
        # a span tells input tokens, output tokens or both
        at_least = sum(max(s.input_calls, s.output_calls) for s in results[0].samples if isinstance(s, TokenSample))
        at_most = sum(s.input_calls + s.output_calls for s in results[0].samples if isinstance(s, TokenSample))
        unused = results[0].dropped.get("spans_not_agent_tasks", 0)
        assert results[0].items - used - at_most <= unused <= results[0].items - used - at_least


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "n" * 127},
        {"name": "n" * 128},
        {"name": "n" * 70_000},
        {"kind": 0},
        {"parent_span_id": b"p" * 8},
        {"trace_state": "a=b"},
        {"flags": 0x101},
        {"events": [Span.Event(name="e", attributes=[attribute("gen_ai.agent.name", "Other")])]},
        {"links": [Span.Link(trace_id=b"l" * 16, attributes=[attribute("gen_ai.agent.name", "Other")])]},
        {"dropped_attributes_count": 1, "dropped_events_count": 2, "dropped_links_count": 3},
        {"attributes": [attribute("prompt", "x" * 100_000), *TASK]},
        {"attributes": [attribute("k" * 500, 1), *TASK]},
        {"attributes": list(reversed(TASK))},
    ],
    ids=",".join,
)
def test_every_shape_of_a_span_is_read(changes: dict[str, Any]) -> None:
    body = trace_request([make_span(**changes).SerializeToString()])
    for sample in (only(decode(body)), only(decode(with_careful_path(body)))):
        assert (sample.key.name, sample.count, sample.sum_ns, sample.errors) == ("Architect", 1, SECOND, 0)


def test_layouts_of_one_span_say_the_same() -> None:
    data = make_span(parent_span_id=b"p" * 8, flags=1).SerializeToString()
    layouts = {data, with_wide_lengths(data), b"".join(reversed(split(data)))}
    shuffle = random.Random(4)
    for _ in range(20):
        parts = split(data)
        shuffle.shuffle(parts)
        layouts.add(b"".join(parts))
    assert len({repr(decode(trace_request([layout])).samples) for layout in layouts}) == 1


def test_status_before_and_after_the_attributes() -> None:
    parts = split(make_span().SerializeToString())
    status = field(15, b"\x18\x02")
    for layout in ([*parts, status], [status, *parts], [*parts[:-1], status, parts[-1]]):
        assert only(decode(trace_request([b"".join(layout)]))).errors == 1


def test_lengths_written_with_room_to_spare() -> None:
    """Some encoders write every length in four bytes, the lengths of keys and values too."""
    pairs = [
        with_wide_lengths(field(1, pair.key.encode(), width=4) + field(2, pair.value.SerializeToString(), width=4))
        for pair in TASK
    ]
    for width in (0, 4):
        head = make_span(attributes=[]).SerializeToString()
        data = head + b"".join(field(9, pair, width=width) for pair in pairs)
        body = trace_request([data])
        assert only(decode(body)).key.name == "Architect"
        assert reference.decoded(decode(body)) == reference.expected(body)


def test_repeated_tails_are_told_apart_by_what_varies() -> None:
    """Same length, one attribute that says nothing and one that says everything."""
    decoder = Decoder(interval_ns=reference.INTERVAL_NS)
    spans = []
    for number in range(1, 200):
        pairs = [
            attribute("gen_ai.operation.name", "invoke_agent"),
            attribute("bmad.task.id", f"{number:04d}"),
            attribute("gen_ai.agent.name", f"agent-{number % 3}"),
            attribute("thread.id", f"{number % 7}"),
        ]
        spans.append(make_span(number, attributes=pairs).SerializeToString())
    body = trace_request(spans)
    for _ in range(3):
        result = decode(body, decoder)
        assert reference.decoded(result) == reference.expected(body)
        assert {s.key.name: s.count for s in result.samples if isinstance(s, TaskSample)} == {
            "agent-0": 66, "agent-1": 67, "agent-2": 66,
        }  # fmt: skip


def test_end_before_start_is_a_duration_of_zero() -> None:
    body = trace_request([make_span(end_time_unix_nano=TIME_NS - SECOND).SerializeToString()])
    for sample in (only(decode(body)), only(decode(with_careful_path(body)))):
        assert (sample.count, sample.sum_ns, sample.min_ns, sample.max_ns) == (1, 0, 0, 0)


def test_spans_are_put_into_panes_by_their_end() -> None:
    pane = TIME_NS - TIME_NS % reference.INTERVAL_NS
    ends = [pane - 1, pane, pane + reference.INTERVAL_NS - 1, pane + reference.INTERVAL_NS]
    body = trace_request(
        make_span(n, end_time_unix_nano=end).SerializeToString() for n, end in enumerate(ends, start=1)
    )
    counts = {s.time_ns - pane: s.count for s in decode(body).samples if isinstance(s, TaskSample)}
    assert counts == {-reference.INTERVAL_NS: 1, 0: 2, reference.INTERVAL_NS: 1}


def test_exemplars_are_the_slowest_failed_and_the_slowest_successful_task() -> None:
    failed = [*TASK, attribute("error.type", "E"), attribute("bmad.task.name", "bad")]
    plan = [(3, TASK, 1), (9, TASK, 5), (2, TASK, 5), (7, failed, 2), (8, failed, 1)]
    spans = [
        make_span(n, attributes=pairs, end_time_unix_nano=TIME_NS + seconds * 10_000_000).SerializeToString()
        for n, pairs, seconds in plan
    ]
    exemplars = only(decode(trace_request(spans))).exemplars
    told = {(int(e.trace_id, 16), e.task, e.error) for e in exemplars}
    assert told == {(2, "", ""), (7, "bad", "E")}, "of equally slow ones the smaller trace id"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        field(1, b""),
        field(1, field(2, b"")),
        field(1, field(1, b"") + field(2, field(1, b""))),
    ],
    ids=["nothing", "resource", "scope", "scope with a name"],
)
def test_empty_requests_and_envelopes(body: bytes) -> None:
    result = decode(body)
    assert (result.items, result.samples, result.rejected, result.forward) == (0, (), 0, body)
    assert result.dropped == {}


@pytest.mark.parametrize("keep", [1, 7, 20, 33, -1])
def test_a_span_that_is_cut_off_is_malformed(keep: int) -> None:
    data = make_span(name="task").SerializeToString()
    with pytest.raises(Malformed):
        decode(trace_request([data[:keep]]))


def test_attributes_that_index_into_a_dictionary_are_absent() -> None:
    """`KeyValue.key_strindex` and `AnyValue.string_value_strindex` belong to profiles and are not fatal here."""
    by_key = varint(3 << 3) + varint(5) + field(2, field(1, b"x"))
    by_value = field(1, b"gen_ai.agent.name") + field(2, varint(8 << 3) + varint(5))
    data = make_span(attributes=TASK[:1]).SerializeToString() + field(9, by_key) + field(9, by_value)
    result = decode(trace_request([data], resource=field(1, attribute("service.name", "svc").SerializeToString())))
    assert only(result).key.name == "svc"


def test_of_a_key_sent_twice_the_first_counts() -> None:
    pairs = [*TASK, attribute("gen_ai.agent.name", "Second")]
    body = trace_request([make_span(attributes=pairs).SerializeToString()])
    assert only(decode(body)).key.name == only(decode(with_careful_path(body))).key.name == "Architect"


@given(st.text(max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_key_written_twice_in_one_attribute(second: str) -> None:
    odd = field(1, b"gen_ai.agent.name") + field(2, field(1, b"A")) + field(1, second.encode())
    data = make_span(attributes=TASK[:1]).SerializeToString() + field(9, odd)
    body = trace_request([data])
    assert decode(body).samples == decode(with_careful_path(body)).samples
