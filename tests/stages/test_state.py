"""A partition survives being written down; what is not a partition is refused."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_processor import engine
from bmad_processor.model import Batch, Exemplar, Level, ModelKey, PartitionKey, Reason
from bmad_processor.settings import SECOND, EngineSettings
from bmad_processor.state import (
    Baseline,
    Cell,
    Condition,
    EngineState,
    Instance,
    Latest,
    Named,
    Pane,
    Partition,
    Scaling,
    Stream,
    Tasks,
    TokenUse,
)
from bmad_processor.state_json import STATE_VERSION, dump_partition, load_partition
from tests.laws.strategies import SETTINGS, streams

T0 = 1_800_000_000 * SECOND

texts = st.text(st.characters(codec="utf-8"), max_size=8)
ns = st.integers(0, 2**52)
spans_ns = st.integers(0, 2**50)
"""Durations are written in seconds: exact up to 13 days, beyond any task and window."""
counts = st.integers(0, 2**63)
numbers = st.floats(allow_nan=False, allow_infinity=False)
levels = st.none() | st.sampled_from(Level)
buckets = st.dictionaries(st.integers(-500, 600), st.integers(1, 2**40), max_size=3)
exemplars = st.builds(Exemplar, texts, spans_ns, texts, texts)
reasons = st.builds(
    Reason,
    rule=texts, value=numbers, threshold=st.none() | numbers, n=counts, window_ns=spans_ns,
    baseline=st.none() | numbers,
    score=st.none() | numbers, exemplars=st.lists(exemplars, max_size=2).map(tuple), note=texts,
)  # fmt: skip
tokens = st.dictionaries(
    st.builds(ModelKey, texts, texts, texts), st.builds(TokenUse, counts, counts, counts, counts), max_size=2
)
panes = st.builds(
    Pane,
    ns,
    st.dictionaries(st.tuples(texts, texts), st.builds(Tasks, counts, counts, counts, ns, ns, ns, buckets), max_size=2),
    st.dictionaries(st.tuples(texts, texts, texts), st.builds(Cell, numbers, numbers, counts), max_size=2),
    st.lists(exemplars, max_size=2),
)
partitions = st.builds(
    Partition,
    key=st.builds(PartitionKey, st.sampled_from(["agent", "host"]), texts, texts),
    first_seen_ns=ns,
    last_seen_ns=ns,
    panes=st.lists(panes, max_size=2),
    instances=st.dictionaries(
        texts, st.builds(Instance, ns, ns, st.booleans(), ns, counts, counts, ns, st.booleans(), tokens), max_size=2
    ),
    streams=st.dictionaries(
        st.tuples(texts, texts, texts), st.builds(Stream, ns, ns, numbers, counts, counts, buckets), max_size=2
    ),
    baselines=st.dictionaries(texts, st.builds(Baseline, counts, numbers, numbers), max_size=2),
    conditions=st.dictionaries(
        texts,
        st.builds(Condition, texts, levels, ns, levels, ns, ns, numbers, numbers, st.none() | reasons, ns),
        max_size=2,
    ),
    latest=st.dictionaries(texts, st.builds(Latest, numbers, counts, ns, levels, st.none() | numbers), max_size=2),
    scaling=st.builds(
        Scaling, st.lists(st.tuples(ns, st.integers(1, 99)), max_size=3), counts, counts, texts, texts, ns
    ),
    tasks_total=counts,
    errors_total=counts,
    names=st.dictionaries(texts, st.builds(Named, texts, ns), max_size=2),
    tokens=tokens,
    tokens_since_ns=ns,
    due_ns=ns,
    early_ns=ns,
    swept_ns=ns,
)


@given(partitions)
@settings(max_examples=150, deadline=None)
def test_round_trip(partition: Partition) -> None:
    assert load_partition(dump_partition(partition)) == partition


@given(streams(goes_back=True))
@settings(max_examples=40, deadline=None)
def test_round_trip_of_what_the_engine_makes(batches: list[Batch]) -> None:
    state = EngineState()
    for batch in batches:
        engine.step(state, batch, SETTINGS)
    for partition in state.partitions.values():
        assert load_partition(dump_partition(partition)) == partition


def dumped() -> str:
    return dump_partition(Partition(PartitionKey("agent", "", "A"), 1, 2))


def test_what_the_release_before_wrote_is_read() -> None:
    data = json.loads(dumped()) | {"instances": [["i", 1, 2, 1, 3, 4, 5]]}
    del data["names"], data["tokens"]
    partition = load_partition(json.dumps(data))
    assert partition.instances == {"i": Instance(1, 2, True, 3, 4, 5)}
    assert (partition.names, partition.tokens, partition.tokens_since_ns) == ({}, {}, 0)


VERSION_1 = """{"v":1,"key":["agent","","A"],"seen":[1800000000000000000,1800000009000000000],"totals":[7,7],
"panes":[[1800000005000000000,[["a","span",7,7,7000000000,1000000000,1000000000,0,[[-1,7]]]],[],
[["0123456789abcdef0123456789abcdef",1000000000,"task","E"]]]],
"instances":[["a",1800000000000000000,1800000009000000000,0,0,7,7,0,0,[]]],"streams":[],
"baselines":[["throughput",1,0.7,0.0]],
"conditions":[["error_rate","firing",4,1800000010000000000,4,0,1800000010000000000,1.0,0.2,
{"rule":"error_rate over 60 s > 20.0%","value":1.0,"threshold":0.2,"n":7,"window_s":60.0,"baseline":null,"score":null,
"note":"","exemplars":[]}]],
"latest":[["error_rate",1.0,7,1800000010000000000,4,null]],"scaling":[[],0,0,"","",0],"names":[],"tokens":[0,[]],
"tools":[]}"""
"""As releases up to 0.1 wrote it."""


def test_a_state_of_version_1_goes_on_at_the_next_pane_end() -> None:
    partition = load_partition(VERSION_1)
    assert partition.conditions["error_rate"].level is Level.EMERGENCY
    now_ns = 1_800_000_021_500_000_000
    state = engine.restore([partition], now_ns=now_ns, counters={}, settings=EngineSettings())
    assert (partition.due_ns, state.due) == (T0 + 20 * SECOND, {T0 + 20 * SECOND: {"agent//A": None}})
    said = [
        event
        for n in range(90)
        for event in engine.step(state, Batch(now_ns + n * SECOND), EngineSettings()).outputs.events
    ]
    assert said == [], "nothing new of an alert that is open"
    assert partition.conditions["error_rate"].status == "firing"
    assert json.loads(dump_partition(partition))["v"] == STATE_VERSION


@pytest.mark.parametrize("version", [0, STATE_VERSION + 1, None, "1"])
def test_another_version_is_refused(version: object) -> None:
    data = json.loads(dumped()) | {"v": version}
    with pytest.raises(ValueError, match=f"this program reads {STATE_VERSION}"):
        load_partition(json.dumps(data))


@pytest.mark.parametrize("text", ["", "null", "[]", "7", "{}", '{"v":1}', dumped()[:-5], "[" * 100_000, "\ud800"])
def test_damaged_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"damaged|state version|surrogates"):
        load_partition(text)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(partitions, st.data())
@settings(max_examples=200, deadline=None)
def test_damage_raises_nothing_but_valueerror(partition: Partition, data: st.DataObject) -> None:
    document = json.loads(dump_partition(partition))
    where = document
    key: object = data.draw(st.sampled_from(sorted(document)))
    while isinstance(where[key], dict | list) and where[key] and data.draw(st.booleans()):
        where = where[key]
        key = data.draw(st.sampled_from(sorted(where) if isinstance(where, dict) else range(len(where))))
    where[key] = data.draw(_json)
    with suppress(ValueError):
        load_partition(json.dumps(document))
