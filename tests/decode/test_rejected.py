"""Spans with an invalid id are taken out one by one; everything else is passed on as it came."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bmad_processor.decode import Decoded, Decoder
from bmad_processor.model import Signal, TaskSample

from .wire_bytes import field, split

GOOD_TRACE, GOOD_SPAN = b"t" * 16, b"s" * 8
INVALID = {
    "no trace id": (b"", GOOD_SPAN),
    "no span id": (GOOD_TRACE, b""),
    "no id at all": (b"", b""),
    "short trace id": (b"t" * 8, GOOD_SPAN),
    "long trace id": (b"t" * 17, GOOD_SPAN),
    "short span id": (GOOD_TRACE, b"s" * 7),
    "long span id": (GOOD_TRACE, b"s" * 16),
    "zero trace id": (bytes(16), GOOD_SPAN),
    "zero span id": (GOOD_TRACE, bytes(8)),
}
TIME_NS = 1_800_000_000_000_000_000
UNKNOWN = field(1500, b"from a later version")


def decode(body: bytes) -> Decoded:
    return Decoder(interval_ns=5_000_000_000).decode(Signal.TRACES, body)


def span(trace_id: bytes, span_id: bytes, *, unknown: bytes = b"") -> bytes:
    message = Span(
        trace_id=trace_id,
        span_id=span_id,
        name="n",
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=TIME_NS,
        end_time_unix_nano=TIME_NS,
    )
    pair = field(1, b"gen_ai.operation.name") + field(2, field(1, b"invoke_agent"))
    return message.SerializeToString() + field(9, pair) + unknown


def payloads(message: bytes, number: int) -> list[bytes]:
    """Contents of the fields ``number``, whose tag and length take two or three bytes each here."""
    tag = number << 3 | 2
    found = []
    for part in split(message):
        if part[0] == tag:
            found.append(part[2:] if part[1] < 0x80 else part[3:])
    return found


@pytest.mark.parametrize("ids", INVALID.values(), ids=INVALID)
def test_an_invalid_id_costs_that_span_only(ids: tuple[bytes, bytes]) -> None:
    spans = [span(GOOD_TRACE, GOOD_SPAN, unknown=UNKNOWN), span(*ids), span(GOOD_TRACE, b"z" * 8)]
    scope = field(1, field(1, b"scope")) + b"".join(field(2, s) for s in spans) + field(3, b"schema") + UNKNOWN
    resource = field(1, field(9, b"?")) + field(2, scope) + UNKNOWN
    result = decode(field(1, resource) + UNKNOWN)
    assert (result.items, result.rejected) == (2, 1)
    assert "1 spans have an invalid trace or span id" in result.message
    assert [sample.count for sample in result.samples if isinstance(sample, TaskSample)] == [2]
    (resource_spans,) = payloads(result.forward, 1)
    (scope_spans,) = payloads(resource_spans, 2)
    assert payloads(scope_spans, 2) == [spans[0], spans[2]], "neighbours survive byte for byte"
    for message, original in ((result.forward, field(1, resource) + UNKNOWN), (resource_spans, resource)):
        kept = sorted(part for part in split(original) if part[0] not in (0x0A, 0x12))
        assert sorted(part for part in split(message) if part[0] not in (0x0A, 0x12)) == kept
    assert sorted(split(scope_spans)) == sorted(part for part in split(scope) if part != field(2, spans[1]))


@given(st.lists(st.lists(st.sampled_from([None, *INVALID]), max_size=4), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_any_mixture_of_good_and_bad(scopes: list[list[str | None]]) -> None:
    def body(names: list[list[str | None]]) -> bytes:
        ids = [[(GOOD_TRACE, GOOD_SPAN) if name is None else INVALID[name] for name in scope] for scope in names]
        return b"".join(field(1, field(2, b"".join(field(2, span(*pair)) for pair in scope))) for scope in ids)

    bad = sum(name is not None for scope in scopes for name in scope)
    result = decode(body(scopes))
    assert result.rejected == bad
    assert result.items == sum(map(len, scopes)) - bad
    left = [[name for name in scope if name is None] for scope in scopes]
    # no envelope is left empty by what was taken out of it
    assert result.forward == (body([scope for scope in left if scope]) if bad else body(scopes))
    assert bool(result.message) == bool(bad)


@pytest.mark.parametrize("parent", [b"odd", b"p" * 16])
def test_a_parent_of_wrong_length_costs_that_span_only(parent: bytes) -> None:
    ids = {"trace_id": GOOD_TRACE, "span_id": GOOD_SPAN}
    good = [Span(**ids).SerializeToString(), Span(**ids, parent_span_id=b"p" * 8).SerializeToString()]
    bad = Span(**ids, parent_span_id=parent).SerializeToString()
    result = decode(field(1, field(2, field(2, good[0]) + field(2, bad) + field(2, good[1]))))
    assert (result.items, result.rejected) == (2, 1)
    assert result.forward == field(1, field(2, field(2, good[0]) + field(2, good[1])))


def test_zeros_elsewhere_reject_nothing() -> None:
    body = field(1, field(2, field(2, span(GOOD_TRACE, GOOD_SPAN, unknown=field(1500, bytes(64))))))
    assert (decode(body).rejected, decode(body).forward) == (0, body)


@pytest.mark.parametrize("again", [field(1, b"t" * 15), field(2, b""), field(2, b"s" * 40), field(4, b"p")])
def test_of_an_id_written_twice_the_last_counts(again: bytes) -> None:
    good = span(GOOD_TRACE, GOOD_SPAN)
    body = field(1, field(2, field(2, good) + field(2, good + again) + field(2, good)))
    for _ in range(2):  # what was learned from the first time changes nothing
        result = decode(body)
        assert (result.items, result.rejected) == (2, 1)
