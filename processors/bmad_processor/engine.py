"""The engine: what happens when. What happens to one partition at one time is in `judgement`.

``step(state, batch, settings)`` is read top to bottom: judge what is due, then add what came. No I/O, no clock, no
randomness: time comes with the batch, and "wake me at" is an output. Everything decided at a pane end carries that end
as its time, what is decided early the point of the early grid, which is why splitting, restarting or partitioning a
stream changes nothing (``tests/laws``).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from math import inf

from . import agenda, alert, evaluate, judgement, window
from .alert import Status
from .model import Batch, Outputs, PartitionKey, Sample, Step
from .settings import Bounds, EngineSettings
from .state import EngineState, Pane, Partition
from .window import OVERFLOW


def step(state: EngineState, batch: Batch, settings: EngineSettings, *, limit: int | None = None) -> Step:
    """Moves ``state`` on, in place, by one batch; an empty batch is a tick.

    ``limit`` bounds how much of what is due is judged; ``wake_at_ns`` is then now while anything is left. A partition
    that gets samples is judged up to now in any case, so that only the order between partitions differs.

    ``state.counters`` counts what was not used (see `window`), ``clock_went_back`` for batches older than the last, and
    ``clock_set_back`` for steps so large that everything remembered moved with the clock.
    """
    work = _Work(state, settings)
    if window.is_set_back(state, batch.time_ns, settings):
        state.count("clock_set_back")
        window.set_back(state, batch.time_ns, settings)
        work.changed |= state.partitions.keys()
    elif batch.time_ns < state.now_ns:
        state.count("clock_went_back")
    state.now_ns = max(state.now_ns, batch.time_ns)
    if state.next_ns <= state.now_ns:
        _judge_due(work, limit)
    for sample in batch.samples:
        _take(work, sample)
    wake_at_ns = max(state.next_ns, state.now_ns) if state.due or state.early else None
    return Step(work.outputs, frozenset(work.changed), frozenset(work.removed), wake_at_ns)


class _Work:
    """What one step works on and what it has produced so far."""

    __slots__ = ("changed", "outputs", "removed", "settings", "state")

    def __init__(self, state: EngineState, settings: EngineSettings) -> None:
        self.state = state
        self.settings = settings
        self.outputs = Outputs()
        self.changed: set[str] = set()
        self.removed: set[str] = set()


def restore(
    partitions: Iterable[Partition], *, now_ns: int, counters: dict[str, int], settings: EngineSettings
) -> EngineState:
    """The state of an engine that was stopped at ``now_ns``; continues as if it had not been.

    Partitions may have been kept at different times: each goes on from the pane end it waits for.
    """
    state = EngineState(now_ns=now_ns, counters=dict(counters))
    state.partitions = {str(partition.key): partition for partition in partitions}
    agenda.rebuild(state, settings)
    return state


def _take(work: _Work, sample: Sample) -> None:
    """Puts one sample where it belongs; marks the partition when it may be bad news."""
    state, settings = work.state, work.settings
    name, partition = _partition(work, sample.key)
    end_ns = window.add(state, partition, sample, settings)
    work.changed.add(name)
    if end_ns is None:
        return
    if end_ns < partition.due_ns:
        agenda.put(state, name, partition, end_ns, settings)
    if (
        settings.early_interval_ns
        and not partition.early_ns
        and _is_bad_news(state, partition, sample, end_ns, settings)
    ):
        agenda.mark(state, name, partition, settings)


def _is_bad_news(
    state: EngineState, partition: Partition, sample: Sample, end_ns: int, settings: EngineSettings
) -> bool:
    profile = settings.profiles.of(partition.key)
    pane = _pane_that_ends(partition, end_ns, settings)
    if pane is None or not profile.monitoring_enabled:
        return False

    def limit(name: str, bounds: Bounds) -> float:
        above = alert.unsaid_above(partition.conditions.get(name), state.now_ns)
        if above is None:
            return bounds.first
        return min([signed for level, _, signed in bounds.levels if level > above], default=inf)

    instance = sample.instance if sample.instance in partition.instances else OVERFLOW
    return evaluate.is_suspect(
        sample, pane, profile, limit, instance=instance, name=getattr(sample, "metric_type", ""),
        n_instances=len(partition.instances),
    )  # fmt: skip


def _pane_that_ends(partition: Partition, end_ns: int, settings: EngineSettings) -> Pane | None:
    start_ns = end_ns - settings.interval_ns
    return next((pane for pane in reversed(partition.panes) if pane.start_ns == start_ns), None)


def _partition(work: _Work, key: PartitionKey) -> tuple[str, Partition]:
    """The partition of ``key``, judged up to now; a new one when there is none."""
    state, settings = work.state, work.settings
    name = str(key)
    found = state.partitions.get(name)
    if found is None and len(state.partitions) >= settings.max_agents:
        state.count("agents_folded")
        key = PartitionKey(key.kind, "", settings.overflow_agent)
        name = str(key)
        found = state.partitions.get(name)
    while found is not None and agenda.next_of(found, settings) <= state.now_ns:
        _judge_next(work, name, found)
        found = state.partitions.get(name)  # it may have been forgotten
    if found is None:
        found = state.partitions[name] = Partition(key, state.now_ns, state.now_ns)
        # also when nothing of it can be used: it must be forgotten some day
        agenda.put(state, name, found, window.closed_until(state, settings) + settings.interval_ns, settings)
    return name, found


def _judge_due(work: _Work, limit: int | None) -> None:
    """Judges what is due, in order of time and then of names; at most ``limit`` judgements, in any order of names."""
    state, settings = work.state, work.settings
    while True:
        due_ns, early_ns = agenda.next_times(state, settings)
        state.next_ns = min(due_ns, early_ns)
        if state.next_ns > state.now_ns or (limit is not None and limit <= 0):
            return
        names = state.due[due_ns - settings.lateness_ns] if due_ns <= early_ns else state.early[early_ns]
        chosen = sorted(names) if limit is None else list(islice(names, limit))
        for name in chosen:
            _judge_next(work, name, state.partitions[name])
        if limit is not None:
            limit -= len(chosen)


def _judge_next(work: _Work, name: str, partition: Partition) -> None:
    """The next thing on the agenda of one partition, which is due."""
    state, settings = work.state, work.settings
    work.changed.add(name)
    if agenda.is_early_first(partition, settings):
        at_ns = partition.early_ns
        agenda.unmark(state, name, partition)
        judgement.early(partition, at_ns, settings, work.outputs)
        return
    end_ns = partition.due_ns
    if end_ns - partition.last_seen_ns > settings.forget_after_ns:
        agenda.leave(state, name, partition)
        del state.partitions[name]
        work.removed.add(name)
        work.changed.discard(name)
        return
    judgement.at_pane_end(partition, end_ns, settings, work.outputs)
    agenda.put(state, name, partition, _next_end(partition, end_ns, settings), settings)


def _next_end(partition: Partition, end_ns: int, settings: EngineSettings) -> int:
    """When to judge the partition again: at the next pane end while anything can change, else much later."""
    interval_ns = settings.interval_ns
    if partition.panes or _is_any_open(partition):
        return end_ns + interval_ns
    # silent: all that is left is to forget, first its instances, then itself
    seen_ns = [instance.last_seen_ns + settings.gone_after_ns for instance in partition.instances.values()]
    forget_ns = min(seen_ns, default=partition.last_seen_ns + settings.forget_after_ns)
    # rounded up to the grid, and one pane further so that "longer than" holds
    return max(end_ns + interval_ns, forget_ns - forget_ns % interval_ns + 2 * interval_ns)


def _is_any_open(partition: Partition) -> bool:
    return any(condition.status != Status.INACTIVE for condition in partition.conditions.values())
