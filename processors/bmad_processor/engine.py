"""The engine: the one place that knows the order of the stages.

``step(state, batch, settings)`` is read top to bottom: close what is due, then add what came. No I/O, no clock, no
randomness: time comes with the batch, and "wake me at" is an output. Everything decided at a pane end carries that end
as its time, which is why splitting, restarting or partitioning a stream changes nothing (``tests/laws``).
"""

from __future__ import annotations

from collections.abc import Iterable

from . import alert, baseline, evaluate, scale, window
from .alert import Status
from .measure import measure
from .metric_types import CPU_USAGE, MEMORY_USAGE, is_reported
from .model import Batch, Exemplar, HistoryPoint, Level, Measured, Outputs, PartitionKey, Step, Verdict
from .settings import EngineSettings, Profile
from .state import Baseline, Condition, EngineState, Latest, Pane, Partition


def step(state: EngineState, batch: Batch, settings: EngineSettings) -> Step:
    """Moves ``state`` on, in place, by one batch; an empty batch is a tick.

    ``state.counters`` counts what was not used (see `window`), ``clock_went_back`` for batches older than the last, and
    ``clock_set_back`` for steps so large that everything remembered moved with the clock.
    """
    outputs = Outputs()
    changed: set[str] = set()
    if window.is_set_back(state, batch.time_ns, settings):
        state.count("clock_set_back")
        window.set_back(state, batch.time_ns, settings)
        changed |= state.partitions.keys()
    elif batch.time_ns < state.now_ns:
        state.count("clock_went_back")
    state.now_ns = max(state.now_ns, batch.time_ns)
    removed: set[str] = set()
    _close_due(state, settings, outputs, changed, removed)
    for sample in batch.samples:
        name, partition = _partition(state, sample.key, settings)
        end_ns = window.add(state, partition, sample, settings)
        if end_ns is not None:
            state.due.setdefault(end_ns, set()).add(name)
        changed.add(name)
    wake_at_ns = min(state.due) + settings.lateness_ns if state.due else None
    return Step(outputs, frozenset(changed), frozenset(removed), wake_at_ns)


def restore(
    partitions: Iterable[Partition], *, now_ns: int, counters: dict[str, int], settings: EngineSettings
) -> EngineState:
    """The state of an engine that was stopped at ``now_ns``; continues as if it had not been."""
    state = EngineState(now_ns=now_ns, counters=dict(counters))
    next_end = window.closed_until(state, settings) + settings.interval_ns
    for partition in partitions:
        name = str(partition.key)
        state.partitions[name] = partition
        state.due.setdefault(next_end, set()).add(name)
    return state


def _partition(state: EngineState, key: PartitionKey, settings: EngineSettings) -> tuple[str, Partition]:
    name = str(key)
    found = state.partitions.get(name)
    if found is None:
        if len(state.partitions) >= settings.max_agents:
            state.count("agents_folded")
            key = PartitionKey(key.kind, "", settings.overflow_agent)
            name = str(key)
            found = state.partitions.get(name)
        if found is None:
            found = state.partitions[name] = Partition(key, state.now_ns, state.now_ns)
            # also when nothing of it can be used: it must be forgotten some day
            next_end = window.closed_until(state, settings) + settings.interval_ns
            state.due.setdefault(next_end, set()).add(name)
    return name, found


def _close_due(
    state: EngineState, settings: EngineSettings, outputs: Outputs, changed: set[str], removed: set[str]
) -> None:
    """Judges every partition at every pane end that has passed, in order."""
    closed_ns = window.closed_until(state, settings)
    while state.due and (end_ns := min(state.due)) <= closed_ns:
        for name in sorted(state.due.pop(end_ns)):
            partition = state.partitions.get(name)
            if partition is None:
                continue
            changed.add(name)
            if end_ns - partition.last_seen_ns > settings.forget_after_ns:
                del state.partitions[name]
                removed.add(name)
                changed.discard(name)
                continue
            _judge(partition, end_ns, settings, outputs)
            state.due.setdefault(_next_end(partition, end_ns, settings), set()).add(name)


def _judge(partition: Partition, end_ns: int, settings: EngineSettings, outputs: Outputs) -> None:
    """One partition at one pane end: measure, judge, alert, learn, scale."""
    profile = settings.profiles.of(partition.key)
    window.drop_before(partition, end_ns - settings.window_ns)
    panes = [pane for pane in partition.panes if pane.start_ns < end_ns]
    if panes and panes[-1].start_ns != end_ns - settings.interval_ns:
        panes.append(Pane(end_ns - settings.interval_ns))  # nothing came in the last pane: nothing is fresh
    measured = measure(partition, panes, settings, end_ns=end_ns)
    exemplars = [exemplar for pane in panes for exemplar in pane.exemplars]
    judged: set[str] = set()
    for name, value in measured.items():
        if is_reported(name):
            _keep_reported(partition, value, end_ns, outputs)
            continue
        verdict = _verdict(partition, value, profile, settings)
        if value.is_fresh:
            outputs.history.append(HistoryPoint(partition.key, name, end_ns, value.value, value.n))
            partition.latest[name] = Latest(value.value, value.n, end_ns, verdict.level, verdict.score)
        if evaluate.is_judgeable(value, settings):
            judged.add(name)
            _advance(partition, name, verdict, value, exemplars, end_ns, profile, settings, outputs)
        if value.is_fresh and _is_normal(verdict, partition.conditions.get(name)):
            # learned after it was judged, and never from what is out of bounds
            learned = partition.baselines.setdefault(name, Baseline())
            baseline.learn(learned, value.value, smoothing=settings.smoothing)
    for name in partition.conditions:
        if name not in judged:
            _advance(partition, name, None, None, exemplars, end_ns, profile, settings, outputs)
    if profile.auto_scaling_enabled and partition.key.kind == "agent":
        _scale(partition, panes, measured, end_ns, profile, settings, outputs)
    # an instance is remembered a good while longer than it counts, so that its running totals stay differences
    window.forget_gone(partition, end_ns - max(settings.no_data_after_ns, 2 * settings.instance_timeout_ns))


def _keep_reported(partition: Partition, value: Measured, end_ns: int, outputs: Outputs) -> None:
    """What an agent says of itself is shown and kept; it neither alerts nor teaches what is normal."""
    if value.is_fresh:
        outputs.history.append(HistoryPoint(partition.key, value.metric_type, end_ns, value.value, value.n))
        partition.latest[value.metric_type] = Latest(value.value, value.n, end_ns)


def _is_normal(verdict: Verdict, condition: Condition | None) -> bool:
    """Whether a value may be learned: within bounds, and no alert is held open by the clear margin."""
    levels = (verdict.level, None if condition is None else condition.level)
    return all(level is None or level < Level.WARNING for level in levels)


def _verdict(partition: Partition, value: Measured, profile: Profile, settings: EngineSettings) -> Verdict:
    known = partition.baselines.get(value.metric_type)
    mean = score = None
    if known is not None and baseline.is_warm(known, warmup=settings.warmup):
        mean, score = known.mean, baseline.score(known, value.value)
    thresholds = profile.thresholds.get(value.metric_type, {})
    return evaluate.judge(
        value, thresholds, clear_margin_ratio=settings.clear_margin_ratio,
        direction=profile.direction_of(value.metric_type), baseline=mean, score=score,
    )  # fmt: skip


def _advance(
    partition: Partition,
    name: str,
    verdict: Verdict | None,
    value: Measured | None,
    exemplars: list[Exemplar],
    end_ns: int,
    profile: Profile,
    settings: EngineSettings,
    outputs: Outputs,
) -> None:
    """Moves the alert of one series on and puts what changed into ``outputs``."""
    condition = partition.conditions.get(name)
    if condition is None:
        if verdict is None or verdict.level is None or not profile.monitoring_enabled:
            return
        condition = partition.conditions[name] = Condition()
    if not profile.monitoring_enabled:
        verdict = None  # switched off: what is open ends as without data
    if value is not None and value.is_fresh:
        condition.last_data_ns = end_ns
    level_before = condition.level
    direction, unit = profile.direction_of(name), partition.unit_of(name)
    said = alert.advance(condition, verdict, end_ns, settings)
    if verdict is not None:
        thresholds = profile.thresholds.get(name, {})
        # of an open alert the threshold of its level, of a resolved one the lowest: that is what it is back within
        level = condition.level if condition.level is not None else min(thresholds, default=None)
        condition.threshold = condition.threshold if level is None else thresholds.get(level, condition.threshold)
        condition.value = verdict.value
        condition.reason = alert.reason_for(
            verdict, condition.threshold, exemplars, settings, direction=direction, unit=unit
        )
    elif said is not None and condition.reason is not None:
        silent_s = (end_ns - condition.last_data_ns) / 1e9
        verdict = Verdict(name, condition.value, condition.reason.n, None, None, None, None, None)
        note = f"no data for {silent_s:g} s"
        condition.reason = alert.reason_for(
            verdict, condition.threshold, [], settings, direction=direction, unit=unit, note=note
        )
    is_recorded = condition.status == Status.FIRING and condition.level != level_before
    if said is not None or is_recorded:
        shown = condition.level if condition.level is not None else level_before
        if shown is not None:
            record = alert.alert_of(partition.key, name, condition, shown, end_ns, unit=unit)
            outputs.alerts.append(record)
            if said is not None:
                outputs.events.append(alert.event_of(record, said, end_ns))


def _scale(
    partition: Partition,
    panes: list[Pane],
    measured: dict[str, Measured],
    end_ns: int,
    profile: Profile,
    settings: EngineSettings,
    outputs: Outputs,
) -> None:
    alive_ns = end_ns - settings.instance_timeout_ns
    current = sum(instance.last_seen_ns > alive_ns for instance in partition.instances.values())
    usage: dict[str, float] = {
        name: measured[name].value for name in (CPU_USAGE, MEMORY_USAGE) if name in measured and measured[name].is_fresh
    }
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
    is_open = any(condition.status != Status.INACTIVE for condition in partition.conditions.values())
    if partition.panes or partition.instances or is_open:
        return end_ns + settings.interval_ns
    forget_ns = partition.last_seen_ns + settings.forget_after_ns
    # rounded up to the grid, and one pane further so that "longer than" holds
    return max(end_ns + settings.interval_ns, forget_ns - forget_ns % settings.interval_ns + 2 * settings.interval_ns)
