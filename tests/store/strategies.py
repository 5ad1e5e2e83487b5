"""Hypothesis strategies for states and for everything a step says."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from bmad_processor import state as s
from bmad_processor.model import (
    Alert,
    AlertEvent,
    AlertEventKind,
    AlertStatus,
    Exemplar,
    Level,
    ModelKey,
    PartitionKey,
    Reason,
    ScalingAction,
    ScalingHint,
)

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
times = st.integers(0, 2**62)
counts = st.integers(0, 2**40)
floats = st.floats(allow_nan=False, allow_infinity=False)
levels = st.sampled_from(Level)
metric_types = st.sampled_from(
    ["cpu_usage", "response_time", "error_rate", "queue_size", "custom:points", "reported:x", "of_tomorrow"]
)
keys = st.builds(
    PartitionKey, st.sampled_from(["agent", "host"]), texts.map(lambda t: t.replace("/", "")), texts.filter(bool)
)
buckets = st.dictionaries(st.integers(-500, 500), st.integers(1, 1000), max_size=3)
exemplars = st.builds(Exemplar, texts, times, texts, texts)
reasons = st.builds(
    Reason,
    rule=texts, value=floats, threshold=st.none() | floats, n=counts,
    # whole microseconds, like every window a configuration can say
    window_ns=st.integers(0, 10**9).map(lambda us: us * 1000),
    baseline=st.none() | floats, score=st.none() | floats,
    exemplars=st.lists(st.builds(Exemplar, texts, st.integers(0, 10**15), texts, texts), max_size=2).map(tuple),
    note=texts,
)  # fmt: skip
alerts = st.builds(
    Alert,
    alert_id=texts, fingerprint=texts, key=keys, metric_type=metric_types, level=levels,
    status=st.sampled_from(AlertStatus), started_ns=times, updated_ns=times, resolved_ns=st.none() | times,
    value=floats, threshold=floats, message=texts, unit=st.just(""),
    reason=reasons | st.builds(
        Reason, rule=texts, value=floats, threshold=floats, n=counts, window_ns=times,
        exemplars=st.lists(exemplars, max_size=2).map(tuple),
    ),
)  # fmt: skip
alerts |= st.builds(replace, alerts, metric_type=st.just("custom:points"), unit=texts)
events = st.builds(AlertEvent, texts, st.sampled_from(AlertEventKind), times, alerts)
hints = st.builds(
    ScalingHint,
    key=keys, time_ns=times, current=counts, desired=counts, min_instances=counts, max_instances=counts,
    action=st.sampled_from(ScalingAction), reason=texts, evidence=st.dictionaries(metric_types, floats, max_size=2),
)  # fmt: skip

triples = st.tuples(metric_types, texts, texts)
panes = st.builds(
    s.Pane,
    times,
    st.dictionaries(
        st.tuples(texts, st.sampled_from(["span", "metric"])),
        st.builds(s.Tasks, counts, counts, counts, counts, counts, counts, buckets),
        max_size=2,
    ),
    st.dictionaries(triples, st.builds(s.Cell, floats, floats, counts), max_size=2),
    st.lists(exemplars, max_size=2),
)
tokens = st.dictionaries(
    st.builds(ModelKey, texts, texts, texts), st.builds(s.TokenUse, counts, counts, counts, counts), max_size=2
)
partitions = st.builds(
    s.Partition,
    key=keys,
    first_seen_ns=times,
    last_seen_ns=times,
    panes=st.lists(panes, max_size=2),
    instances=st.dictionaries(
        texts,
        st.builds(s.Instance, times, times, st.booleans(), has_token_metrics=st.booleans(), span_tokens=tokens),
        max_size=2,
    ),
    streams=st.dictionaries(triples, st.builds(s.Stream, times, times, floats, counts, counts, buckets), max_size=2),
    baselines=st.dictionaries(metric_types, st.builds(s.Baseline, counts, floats, floats), max_size=2),
    conditions=st.dictionaries(
        metric_types,
        st.builds(
            s.Condition,
            status=texts, level=st.none() | levels, started_ns=times, said_level=st.none() | levels,
            silent_until_ns=times, last_data_ns=times, value=floats, threshold=floats, reason=st.none() | reasons,
        ),
        max_size=2,
    ),
    latest=st.dictionaries(
        metric_types, st.builds(s.Latest, floats, counts, times, st.none() | levels, st.none() | floats), max_size=2
    ),
    scaling=st.builds(
        s.Scaling, st.lists(st.tuples(times, counts), max_size=2), counts, counts, texts, texts, times
    ),
    tasks_total=counts,
    errors_total=counts,
    names=st.dictionaries(metric_types, st.builds(s.Named, texts, times), max_size=2),
    tokens=tokens,
    tokens_since_ns=times,
)  # fmt: skip
