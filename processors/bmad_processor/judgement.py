"""One partition at one time: the one place that knows the order of the stages.

`at_pane_end` measures, judges, alerts, learns and scales; `early`, between pane ends, only says what is bad news. Both
change the partition in place and put what is to be said or kept into ``outputs``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from . import alert, baseline, evaluate, scale, window
from .alert import Status
from .measure import WindowTasks, diluted, measure, panes_in_window, tasks_of, window_tasks
from .metric_types import CPU_USAGE, ERROR_RATE, MEMORY_USAGE, RESPONSE_TIME, SUCCESS_RATE, THROUGHPUT, is_reported
from .model import Exemplar, HistoryPoint, Level, Measured, Outputs, Verdict
from .settings import EngineSettings, Profile
from .state import Baseline, Condition, Latest, Pane, Partition

EARLY = "judged as it arrived, before the end of the pane"


def at_pane_end(partition: Partition, end_ns: int, settings: EngineSettings, outputs: Outputs) -> None:
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


def early(partition: Partition, at_ns: int, settings: EngineSettings, outputs: Outputs) -> None:
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
