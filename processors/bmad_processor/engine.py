"""The engine: the one place that knows the order of the stages.

``step(state, batch, settings)`` is read top to bottom: judge what is due, then add what came. No I/O, no clock, no
randomness: time comes with the batch, and "wake me at" is an output. Everything decided at a pane end carries that end
as its time, what is decided early the point of the early grid, which is why splitting, restarting or partitioning a
stream changes nothing (``tests/laws``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from math import inf

from . import agenda, alert, baseline, evaluate, scale, window
from .alert import Status
from .measure import WindowTasks, diluted, measure, panes_in_window, tasks_of, window_tasks
from .metric_types import CPU_USAGE, ERROR_RATE, MEMORY_USAGE, RESPONSE_TIME, SUCCESS_RATE, THROUGHPUT, is_reported
from .model import Batch, Exemplar, HistoryPoint, Level, Measured, Outputs, PartitionKey, Sample, Step, Verdict
from .settings import Bounds, EngineSettings, Profile
from .state import Baseline, Condition, EngineState, Latest, Pane, Partition
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
        _judge_early(partition, at_ns, settings, work.outputs)
        return
    end_ns = partition.due_ns
    if end_ns - partition.last_seen_ns > settings.forget_after_ns:
        agenda.leave(state, name, partition)
        del state.partitions[name]
        work.removed.add(name)
        work.changed.discard(name)
        return
    _judge(partition, end_ns, settings, work.outputs)
    agenda.put(state, name, partition, _next_end(partition, end_ns, settings), settings)


def _judge(partition: Partition, end_ns: int, settings: EngineSettings, outputs: Outputs) -> None:
    """One partition at one pane end: measure, judge, alert, learn, scale."""
    profile = settings.profiles.of(partition.key)
    begin_ns = end_ns - settings.window_ns
    panes = [pane for pane in partition.panes if begin_ns <= pane.start_ns < end_ns]
    tasks = window_tasks(partition, panes, begin_ns, end_ns)
    window.drop_before(partition, begin_ns)
    if panes and panes[-1].start_ns != end_ns - settings.interval_ns:
        panes.append(Pane(end_ns - settings.interval_ns))  # nothing came in the last pane: nothing is fresh
        tasks.is_fresh = tasks.is_reported_fresh = False
    measured = measure(partition, panes, settings, end_ns=end_ns, tasks=tasks)
    judged: set[str] = set()
    for name, value in measured.items():
        if is_reported(name):
            _keep_reported(partition, value, end_ns, outputs)
            continue
        condition = partition.conditions.get(name)
        score = _score(partition, value, settings)
        level: Level | None = None
        if condition is not None or evaluate.is_beyond(value.value, profile.bounds.get(name)):
            verdict = _verdict(partition, value, profile, settings)
            level = verdict.level
            if evaluate.is_judgeable(value, settings):
                judged.add(name)
                _advance(partition, name, verdict, value, panes, end_ns, profile, settings, outputs)
        if value.is_fresh:
            outputs.history.append(HistoryPoint(partition.key, name, end_ns, value.value, value.n))
            _keep_latest(partition, value, end_ns, level, score)
            if _is_normal(level, partition.conditions.get(name)):
                # learned after it was judged, and never from what is out of bounds
                learned = partition.baselines.get(name)
                if learned is None:
                    learned = partition.baselines[name] = Baseline()
                baseline.learn(learned, value.value, smoothing=settings.smoothing)
    for name in partition.conditions:
        if name not in judged:
            _advance(partition, name, None, None, panes, end_ns, profile, settings, outputs)
    if profile.auto_scaling_enabled and partition.key.kind == "agent":
        _scale(partition, panes, measured, end_ns, profile, settings, outputs)
    window.forget_gone(partition, end_ns - settings.gone_after_ns)


def _judge_early(partition: Partition, at_ns: int, settings: EngineSettings, outputs: Outputs) -> None:
    """One partition at a point of the early grid, after bad news: only what is to be announced happens."""
    profile = settings.profiles.of(partition.key)
    panes = panes_in_window(partition.panes, settings, at_ns)
    if not panes or not profile.monitoring_enabled:
        return
    tasks = tasks_of(partition, panes)
    measured = measure(partition, panes, settings, end_ns=at_ns, tasks=tasks)
    cautious = _cautiously(tasks, panes)
    for name, value in measured.items():
        if name == THROUGHPUT or name not in profile.bounds or not evaluate.is_judgeable(value, settings):
            continue
        verdict = _verdict(partition, value, profile, settings, judged=cautious.get(name))
        condition = partition.conditions.get(name)
        above = alert.unsaid_above(condition, at_ns)
        if verdict.level is None or (above is not None and verdict.level <= above):
            continue
        _advance(partition, name, verdict, value, panes, at_ns, profile, settings, outputs, note=EARLY)
        newest_end = panes[-1].start_ns + settings.interval_ns
        next_end = (at_ns // settings.interval_ns + 1) * settings.interval_ns
        partition.conditions[name].held_until_ns = max(newest_end, next_end)


EARLY = "judged as it arrived, before the end of the pane"


def _cautiously(tasks: WindowTasks, panes: list[Pane]) -> dict[str, float]:
    """Values of task metrics if the newest pane brings as many tasks as the fullest before it, and all of them good: an
    early alert shall not be over at the pane end only because it was early."""
    if not tasks.count:
        return {}
    sizes = [sum([of_one.count for of_one in pane.tasks.values()]) for pane in panes]
    error_rate, p95_s = diluted(tasks, max(0, max(sizes) - sizes[-1]))
    values = {ERROR_RATE: error_rate, SUCCESS_RATE: 1 - error_rate}
    return values if p95_s is None else values | {RESPONSE_TIME: p95_s}


def _score(partition: Partition, value: Measured, settings: EngineSettings) -> float | None:
    known = partition.baselines.get(value.metric_type)
    if known is None or known.n < settings.warmup:
        return None
    return baseline.score(known, value.value)


def _keep_latest(partition: Partition, value: Measured, end_ns: int, level: Level | None, score: float | None) -> None:
    latest = partition.latest.get(value.metric_type)
    if latest is None:
        partition.latest[value.metric_type] = Latest(value.value, value.n, end_ns, level, score)
    else:
        latest.value, latest.n, latest.time_ns, latest.level, latest.score = value.value, value.n, end_ns, level, score


def _keep_reported(partition: Partition, value: Measured, end_ns: int, outputs: Outputs) -> None:
    """What an agent says of itself is shown and kept; it neither alerts nor teaches what is normal."""
    if value.is_fresh:
        outputs.history.append(HistoryPoint(partition.key, value.metric_type, end_ns, value.value, value.n))
        partition.latest[value.metric_type] = Latest(value.value, value.n, end_ns)


def _is_normal(level: Level | None, condition: Condition | None) -> bool:
    """Whether a value may be learned: within bounds, and no alert is held open by the clear margin."""
    if level is not None and level >= Level.WARNING:
        return False
    return condition is None or condition.level is None or condition.level < Level.WARNING


def _verdict(
    partition: Partition, value: Measured, profile: Profile, settings: EngineSettings, *, judged: float | None = None
) -> Verdict:
    """``judged`` stands in for the value where it is not the value itself that is compared."""
    known = partition.baselines.get(value.metric_type)
    mean = score = None
    if known is not None and baseline.is_warm(known, warmup=settings.warmup):
        mean, score = known.mean, baseline.score(known, value.value)
    thresholds = profile.thresholds.get(value.metric_type, {})
    verdict = evaluate.judge(
        value if judged is None else value._replace(value=judged), thresholds,
        clear_margin_ratio=settings.clear_margin_ratio, direction=profile.direction_of(value.metric_type),
        baseline=mean, score=score,
    )  # fmt: skip
    return verdict if judged is None else replace(verdict, value=value.value)


def _advance(
    partition: Partition,
    name: str,
    verdict: Verdict | None,
    value: Measured | None,
    panes: list[Pane],
    at_ns: int,
    profile: Profile,
    settings: EngineSettings,
    outputs: Outputs,
    *,
    note: str = "",
) -> None:
    """Moves the alert of one series on and puts what changed into ``outputs``."""
    condition = partition.conditions.get(name)
    if condition is None:
        if verdict is None or verdict.level is None or not profile.monitoring_enabled:
            return
        condition = partition.conditions[name] = Condition()
    if at_ns < condition.held_until_ns and not note:
        return  # the window of this pane end is older than what was said
    if not profile.monitoring_enabled:
        verdict = None  # switched off: what is open ends as without data
    if value is not None and value.is_fresh:
        condition.last_data_ns = at_ns
    level_before = condition.level
    direction, unit = profile.direction_of(name), partition.unit_of(name)
    said = alert.advance(condition, verdict, at_ns, settings)
    if verdict is not None:
        thresholds = profile.thresholds.get(name, {})
        # of an open alert the threshold of its level, of a resolved one the lowest: that is what it is back within
        level = condition.level if condition.level is not None else min(thresholds, default=None)
        condition.threshold = condition.threshold if level is None else thresholds.get(level, condition.threshold)
        condition.value = verdict.value
        condition.reason = alert.reason_for(
            verdict, condition.threshold, _exemplars(panes), settings, direction=direction, unit=unit, note=note
        )
    elif said is not None and condition.reason is not None:
        silent_s = (at_ns - condition.last_data_ns) / 1e9
        verdict = Verdict(name, condition.value, condition.reason.n, None, None, None, None, None)
        condition.reason = alert.reason_for(
            verdict, condition.threshold, [], settings, direction=direction, unit=unit,
            note=f"no data for {silent_s:g} s",
        )  # fmt: skip
    is_recorded = condition.status == Status.FIRING and condition.level != level_before
    if said is not None or is_recorded:
        shown = condition.level if condition.level is not None else level_before
        if shown is not None:
            record = alert.alert_of(partition.key, name, condition, shown, at_ns, unit=unit)
            outputs.alerts.append(record)
            if said is not None:
                outputs.events.append(alert.event_of(record, said, at_ns))


def _exemplars(panes: list[Pane]) -> list[Exemplar]:
    return [exemplar for pane in panes for exemplar in pane.exemplars]


def _scale(
    partition: Partition,
    panes: list[Pane],
    measured: dict[str, Measured],
    end_ns: int,
    profile: Profile,
    settings: EngineSettings,
    outputs: Outputs,
) -> None:
    usage: dict[str, float] = {
        name: measured[name].value for name in (CPU_USAGE, MEMORY_USAGE) if name in measured and measured[name].is_fresh
    }
    if not usage:
        return  # missing data holds the last advice
    alive_ns = end_ns - settings.instance_timeout_ns
    current = sum([instance.last_seen_ns > alive_ns for instance in partition.instances.values()])
    hint = scale.advise(
        partition.key, partition.scaling, usage, current=current, rules=profile.scaling, at_ns=end_ns,
        settings=settings, reporting=_reporting(panes, usage) if len(partition.instances) > 1 else None,
    )  # fmt: skip
    if hint is not None:
        outputs.hints.append(hint)


def _reporting(panes: list[Pane], names: Iterable[str]) -> dict[str, int]:
    """How many instances each of these metric types rests on."""
    seen: dict[str, set[str]] = {name: set() for name in names}
    for pane in panes:
        for name, instance, _ in pane.cells:
            if name in seen:
                seen[name].add(instance)
    return {name: len(instances) for name, instances in seen.items()}


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
