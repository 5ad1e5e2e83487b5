"""The engine's laws: however a stream is split, restarted or partitioned, the outputs are the same."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_processor import engine, evaluate
from bmad_processor.measure import measure
from bmad_processor.metric_types import ACTIVE_TASKS, QUEUE_SIZE, THROUGHPUT
from bmad_processor.model import (
    Alert,
    AlertEvent,
    AlertEventKind,
    AlertStatus,
    Batch,
    HistoryPoint,
    PartitionKey,
    Sample,
    ScalingHint,
    Step,
)
from bmad_processor.settings import SECOND, EngineSettings
from bmad_processor.state import EngineState
from bmad_processor.state_json import dump_partition, load_partition

from .strategies import EARLY, KEYS, SETTINGS, streams

either = st.sampled_from([SETTINGS, EARLY])


@dataclass
class Ran:
    """Everything a run said, and where it ended."""

    events: list[AlertEvent] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    hints: list[ScalingHint] = field(default_factory=list)
    history: list[HistoryPoint] = field(default_factory=list)
    state: EngineState = field(default_factory=EngineState)
    settings: EngineSettings = SETTINGS
    stored: dict[str, str] | None = None
    """What a store would have, if there is one: a dump of every partition from when it was changed last."""

    def step(self, batch: Batch, limit: int | None = None) -> Step:
        step = engine.step(self.state, batch, self.settings, limit=limit)
        outputs = step.outputs
        if self.stored is not None:
            for name in step.removed:
                self.stored.pop(name, None)
            for name in step.changed:
                self.stored[name] = dump_partition(self.state.partitions[name])
        self.events += outputs.events
        self.alerts += outputs.alerts
        self.hints += outputs.hints
        self.history += outputs.history
        return step

    def restart(self) -> None:
        assert self.stored is not None
        self.state = engine.restore(
            [load_partition(text) for text in self.stored.values()],
            now_ns=self.state.now_ns,
            counters=self.state.counters,
            settings=self.settings,
        )

    def said(self) -> tuple[object, ...]:
        return self.events, self.alerts, self.hints, self.history

    def partitions(self) -> dict[str, object]:
        return {name: json.loads(dump_partition(p)) for name, p in self.state.partitions.items()}


def run(batches: list[Batch], settings: EngineSettings = SETTINGS) -> Ran:
    ran = Ran(settings=settings)
    for batch in batches:
        ran.step(batch)
    return ran


def with_ending(batches: list[Batch]) -> list[Batch]:
    """Ticks until everything that can happen has happened."""
    last = batches[-1].time_ns
    return batches + [Batch(last + n * SECOND) for n in range(1, 40)]


@given(streams(goes_back=True), either, st.data())
def test_splitting_batches_anywhere_changes_nothing(
    batches: list[Batch], settings: EngineSettings, data: st.DataObject
) -> None:
    split: list[Batch] = []
    for batch in batches:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(batch.samples)), max_size=3)))
        for begin, end in zip([0, *cuts], [*cuts, len(batch.samples)], strict=True):
            split.append(Batch(batch.time_ns, batch.samples[begin:end]))
    whole, parts = run(with_ending(batches), settings), run(with_ending(split), settings)
    assert parts.said() == whole.said()
    assert parts.partitions() == whole.partitions()


@given(streams(), either, st.data())
def test_restarting_anywhere_changes_nothing(
    batches: list[Batch], settings: EngineSettings, data: st.DataObject
) -> None:
    steady = with_ending(batches)
    stops = data.draw(st.sets(st.integers(0, len(steady) - 1), max_size=4))
    restarted = Ran(settings=settings, stored={})
    for at, batch in enumerate(steady):
        if at in stops:
            restarted.restart()
        restarted.step(batch)
    whole = run(steady, settings)
    assert restarted.said() == whole.said()
    assert restarted.partitions() == whole.partitions()
    assert restarted.state.counters == whole.state.counters


@given(streams(), either, st.lists(st.integers(0, 2), min_size=len(KEYS), max_size=len(KEYS)))
def test_partitioning_over_engines_changes_nothing(
    batches: list[Batch], settings: EngineSettings, owner_of: list[int]
) -> None:
    steady = with_ending(batches)
    whole = run(steady, settings)
    engines = []
    for owner in range(3):
        mine = {key for key, assigned in zip(KEYS, owner_of, strict=True) if assigned == owner}
        engines.append(
            run([Batch(b.time_ns, tuple(s for s in b.samples if s.key in mine)) for b in steady], settings)
        )  # every engine sees every arrival time, as a tick at least
    for of_whole, of_parts in zip(whole.said(), zip(*(e.said() for e in engines), strict=True), strict=True):
        assert sorted(map(repr, of_whole)) == sorted(repr(o) for part in of_parts for o in part)  # type: ignore[attr-defined]


@given(streams(goes_back=True), either)
def test_ticks_in_between_change_nothing(batches: list[Batch], settings: EngineSettings) -> None:
    ticked: list[Batch] = []
    latest = 0
    for batch in batches:
        ticked += [Batch(t) for t in range(latest + SECOND, batch.time_ns, SECOND)][:30] if latest else []
        ticked.append(batch)
        latest = max(latest, batch.time_ns)
    assert run(with_ending(ticked), settings).said() == run(with_ending(batches), settings).said()


@given(streams(goes_back=True), either, st.lists(st.integers(0, 2), min_size=1, max_size=5))
def test_judging_in_slices_changes_nothing_but_the_order_between_partitions(
    batches: list[Batch], settings: EngineSettings, limits: list[int]
) -> None:
    whole, sliced = run(with_ending(batches), settings), Ran(settings=settings)
    for at, batch in enumerate(with_ending(batches)):
        step = sliced.step(batch, limit=limits[at % len(limits)])
        # a host goes on while it is asked to, sooner or later
        while at % 3 and step.wake_at_ns is not None and step.wake_at_ns <= sliced.state.now_ns:
            step = sliced.step(Batch(sliced.state.now_ns), limit=1)
    while (step := sliced.step(Batch(sliced.state.now_ns), limit=1)).wake_at_ns == sliced.state.now_ns:
        pass
    for key in KEYS:
        assert said_of(sliced, key) == said_of(whole, key)
    assert sliced.partitions() == whole.partitions()


def said_of(ran: Ran, key: PartitionKey) -> tuple[list[object], ...]:
    return (
        [event for event in ran.events if event.alert.key == key],
        [alert for alert in ran.alerts if alert.key == key],
        [hint for hint in ran.hints if hint.key == key],
        [point for point in ran.history if point.key == key],
    )


@given(streams(goes_back=True), either)
def test_what_is_said_is_a_life(batches: list[Batch], settings: EngineSettings) -> None:
    """Per alert: fired once, escalated only upwards, resolved at most once and last; every event id is new."""
    ran = run(with_ending(batches), settings)
    ids = [event.event_id for event in ran.events]
    assert len(ids) == len(set(ids))
    lives: dict[str, list[AlertEvent]] = {}
    for event in ran.events:
        lives.setdefault(event.alert.alert_id, []).append(event)
    for life in lives.values():
        kinds = [event.kind for event in life]
        assert kinds[0] is AlertEventKind.FIRED
        assert kinds.count(AlertEventKind.FIRED) == 1
        assert AlertEventKind.RESOLVED not in kinds[:-1]
        levels = [event.alert.level for event in life if event.kind is not AlertEventKind.RESOLVED]
        assert levels == sorted(set(levels))
        times = [event.time_ns for event in life]
        assert times == sorted(times)
        assert life[-1].alert.started_ns <= life[-1].time_ns
        # the ticks at the end outlast no_data_after, so nothing stays open
        assert kinds[-1] is AlertEventKind.RESOLVED
        assert life[-1].alert.status is AlertStatus.RESOLVED


@given(streams(goes_back=True), either)
def test_a_silent_engine_wants_no_waking_before_it_has_work(batches: list[Batch], settings: EngineSettings) -> None:
    state = EngineState()
    for batch in batches:
        step = engine.step(state, batch, settings)
        if step.wake_at_ns is not None:
            before = (
                engine.step(state, Batch(step.wake_at_ns - 1), settings).outputs
                if step.wake_at_ns > state.now_ns
                else None
            )
            assert before is None or not (before.events or before.hints or before.history)


@given(streams())
def test_judging_early_learns_scales_and_keeps_nothing_else(batches: list[Batch]) -> None:
    """What is judged early is judged at the pane ends all the same: the history is the same. An early alert stops what
    is learned no sooner than the pane end, and is told of no later than it would have been."""
    early, late = run(with_ending(batches), EARLY), run(with_ending(batches))
    assert early.history == late.history
    assert early.hints == late.hints
    first_early, first_late = first_alerts(early), first_alerts(late)
    assert first_early.keys() >= first_late.keys()
    for series, time_ns in first_late.items():
        assert first_early[series] <= time_ns + SETTINGS.lateness_ns


def first_alerts(ran: Ran) -> dict[tuple[str, str], int]:
    first: dict[tuple[str, str], int] = {}
    for event in ran.events:
        first.setdefault((str(event.alert.key), event.alert.metric_type), event.time_ns)
    return first


@given(streams(goes_back=True))
def test_nothing_beyond_a_threshold_escapes_the_screen(batches: list[Batch]) -> None:
    """A partition that was never suspected has no value beyond a threshold, but sums (over instances, or of several
    streams of one) and throughput."""
    suspected: set[str] = set()
    really = evaluate.is_suspect

    def noted(sample: Sample, *args: Any, **named: Any) -> bool:
        found = really(sample, *args, **named)
        if found:
            suspected.add(str(sample.key))
        return found

    ran = Ran(settings=EARLY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "is_suspect", noted)
        for batch in batches:
            ran.step(batch)
            for name, partition in ran.state.partitions.items():
                if name in suspected:
                    continue
                profile = EARLY.profiles.of(partition.key)
                for value in measure(partition, partition.panes, EARLY, end_ns=ran.state.now_ns).values():
                    parts = {key for pane in partition.panes for key in pane.cells if key[0] == value.metric_type}
                    is_sum = len(parts) > len({instance for _, instance, _ in parts})
                    if not is_sum and value.metric_type not in (THROUGHPUT, QUEUE_SIZE, ACTIVE_TASKS):
                        assert not evaluate.is_beyond(value.value, profile.bounds.get(value.metric_type)), value


@given(streams(goes_back=True))
def test_what_an_agent_says_of_itself_is_kept_and_never_judged(batches: list[Batch]) -> None:
    ran = run(with_ending(batches))
    for partition in ran.state.partitions.values():
        assert not [name for name in partition.baselines | partition.conditions if name.startswith("reported:")]
    assert not [event for event in ran.events if event.alert.metric_type.startswith("reported:")]


@given(streams(goes_back=True))
def test_names_and_models_are_bounded(batches: list[Batch]) -> None:
    for partition in run(batches).state.partitions.values():
        # beside their own, one for what is folded: a kind of name, or a model with all its other workflows
        assert len(partition.names) <= SETTINGS.max_names + 2
        assert len(partition.tokens) <= 2 * SETTINGS.max_models + 1
        assert all(use.calls > 0 for use in partition.tokens.values())
        assert all(min(u.input_tokens, u.output_tokens) >= 0 for u in partition.tokens.values())


@given(streams(goes_back=True))
def test_state_is_bounded_by_the_window(batches: list[Batch]) -> None:
    ran = run(batches)
    panes_at_most = (SETTINGS.window_ns + SETTINGS.lateness_ns + SETTINGS.future_ns) // SETTINGS.interval_ns + 2
    for partition in ran.state.partitions.values():
        assert len(partition.panes) <= panes_at_most
        assert all(len(pane.exemplars) <= 2 for pane in partition.panes)
