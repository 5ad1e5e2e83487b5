"""Spans of many requests say together what each says alone, however they are split and whenever they are taken."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_processor.decode import Decoded, Decoder, collect
from bmad_processor.errors import Malformed
from bmad_processor.model import Sample, Signal, TaskSample

from . import reference, strategies
from .metric_points import gauge, number, request
from .strategies import TIME_NS, attribute
from .test_spans import make_span
from .wire_bytes import trace_request

FATES = st.sampled_from(["keep", "keep", "undo", "aside", "aside, refused"])


def decoder() -> Decoder:
    return Decoder(interval_ns=reference.INTERVAL_NS)


def meaning(samples: list[Sample]) -> tuple[object, object]:
    result = Decoded(0, tuple(samples))
    return reference.decoded(result), reference.decoded_tokens(result)


def summed(bodies: list[bytes]) -> tuple[object, object]:
    """What the requests say one by one."""
    samples: list[Sample] = []
    for body in bodies:
        samples += decoder().decode(Signal.TRACES, body).samples
    return meaning(samples)


@settings(max_examples=150, deadline=None)
@given(strategies.requests(), st.data())
def test_any_fate_and_any_time_of_taking(bodies: list[bytes], data: st.DataObject) -> None:
    """Kept, refused, or set aside while others go on: what is taken is what was kept, whenever it is taken."""
    by = decoder()
    taken: list[Sample] = []
    kept: list[bytes] = []
    waiting: list[tuple[bytes, Decoded]] = []
    for body in bodies * 2:
        fate = data.draw(FATES)
        decoded = by.collect(Signal.TRACES, body, aside=fate.startswith("aside"))
        if fate == "keep":
            by.keep(decoded)
            kept.append(body)
        elif fate == "undo":
            by.undo()
        elif fate == "aside":
            waiting.append((body, decoded))
        if waiting and data.draw(st.booleans()):
            other, of_other = waiting.pop(data.draw(st.integers(0, len(waiting) - 1)))
            by.keep(of_other)
            kept.append(other)
        if data.draw(st.booleans()):
            taken += by.take()
            assert by.n_waiting == 0
    for other, of_other in waiting:
        by.keep(of_other)
        kept.append(other)
    taken += by.take()
    assert meaning(taken) == summed(kept)
    assert by.take() == ()


@settings(max_examples=100, deadline=None)
@given(strategies.requests(), st.data())
def test_many_requests_are_few_samples(bodies: list[bytes], data: st.DataObject) -> None:
    """One per agent, instance and pane, in whatever order the requests come."""
    by = decoder()
    for body in data.draw(st.permutations(bodies)):
        by.keep(by.collect(Signal.TRACES, body))
    samples = by.take()
    tasks = [(s.key, s.instance, s.time_ns) for s in samples if isinstance(s, TaskSample)]
    by_sender = {(s.key, s.instance, s.time_ns) for s in samples if isinstance(s, TaskSample)}
    # two resources that name the same instance are two senders
    assert len(by_sender) <= len(tasks) <= len(by_sender) * len(bodies)
    assert meaning(list(samples)) == summed(bodies)


def test_a_request_with_one_malformed_span_leaves_nothing() -> None:
    by = decoder()
    good = [make_span(number).SerializeToString() for number in (1, 2)]
    by.keep(by.collect(Signal.TRACES, trace_request(good)))
    slower = make_span(3, end_time_unix_nano=TIME_NS + 3_000_000_000).SerializeToString()
    for aside in (False, True):
        with pytest.raises(Malformed):
            by.collect(Signal.TRACES, trace_request([slower, good[0][:-3]]), aside=aside)
    (sample,) = by.take()
    assert isinstance(sample, TaskSample)
    assert (sample.count, sample.max_ns) == (2, 1_000_000_000)
    assert sample.exemplars[0].trace_id == f"{1:032x}"


def test_metrics_come_behind_the_spans_before_them_and_in_front_of_those_after() -> None:
    by = decoder()
    spans = trace_request([make_span().SerializeToString()])
    metrics = request([gauge("bmad.agent.queue.size", number(1.0, {"gen_ai.agent.name": "Architect"}))])
    for signal, body in ((Signal.TRACES, spans), (Signal.METRICS, metrics), (Signal.TRACES, spans)):
        by.keep(by.collect(signal, body))
    assert [type(sample).__name__ for sample in by.take()] == ["TaskSample", "Reading", "TaskSample"]


def test_spans_of_ever_new_panes_are_all_counted() -> None:
    """More panes than are remembered for one kind of span, there and back."""
    by = decoder()
    n_panes = 3 * collect._MAX_PANES
    ends = [TIME_NS + pane * reference.INTERVAL_NS for pane in [*range(n_panes), *reversed(range(n_panes))]]
    body = trace_request(
        make_span(at + 1, start_time_unix_nano=end, end_time_unix_nano=end + 1).SerializeToString()
        for at, end in enumerate(ends)
    )
    by.keep(by.collect(Signal.TRACES, body))
    counts: dict[int, int] = {}
    for sample in by.take():
        assert isinstance(sample, TaskSample)
        counts[sample.time_ns] = counts.get(sample.time_ns, 0) + sample.count
    assert counts == dict.fromkeys(set(ends), 2)


def test_what_is_remembered_survives_being_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two generations: an agent that comes again is one whether it is still known or not."""
    monkeypatch.setattr("bmad_processor.decode.decoder.MIN_BUDGET_BYTES", 5_000)
    monkeypatch.setattr("bmad_processor.decode.decoder.AGENT_BYTES", 0)
    by = decoder()
    names = [f"agent-{n}" for n in range(50)]
    for _ in range(3):
        for name in names:
            found = [attribute("gen_ai.operation.name", "invoke_agent"), attribute("gen_ai.agent.name", name)]
            span = make_span(attributes=found).SerializeToString()
            by.keep(by.collect(Signal.TRACES, trace_request([span])))
    samples = [sample for sample in by.take() if isinstance(sample, TaskSample)]
    assert sorted((s.key.name, s.count) for s in samples) == sorted((name, 3) for name in names)


def test_decode_is_collect_keep_and_take() -> None:
    body = trace_request([make_span().SerializeToString()])
    by, together = decoder(), decoder()
    decoded = by.collect(Signal.TRACES, body)
    by.keep(decoded)
    assert replace(decoded, samples=by.take()) == together.decode(Signal.TRACES, body)
