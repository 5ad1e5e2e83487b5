"""What the panes of a window say: one value per metric type, however many instances reported it.

The engine judges these values and the summaries show them, so both call the one function `measure`. Pure; cost per call
is one pass over the cells and task counts of the panes plus one sort of the merged duration buckets. At pane ends the
merging itself is saved: `window_tasks` keeps the sums and moves them on with the window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Final

from .metric_types import ERROR_RATE, METRIC_TYPES, RESPONSE_TIME, SUCCESS_RATE, THROUGHPUT, Combine
from .model import Measured, Source
from .settings import EngineSettings
from .sketch import LOWEST_INDEX, merge_into, quantile, subtract_from, value_at
from .state import Instance, Pane, Partition, Tasks, WindowSums

SECOND: Final = 1_000_000_000

MEAN_STREAM_PREFIX: Final = "mean:"
"""Streams under this prefix are views of one quantity (CPUs, disks in percent): averaged. Others are parts: added."""

RESPONSE_QUANTILE: Final = 0.95
"""``response_time`` is the 95th percentile: the mean hides the slow tail, the maximum is one task."""


@dataclass(slots=True)
class WindowTasks:
    """All tasks that count in a window, every instance from its one true source."""

    count: int = 0
    errors: int = 0
    sum_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0
    buckets: dict[int, int] = field(default_factory=dict)
    by_instance: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Instance to (tasks, nanoseconds its metric points covered); 0 covered for spans."""
    first_pane_ns: int | None = None
    """Start of the first pane with tasks; None when no instance reported any, not even zero."""
    is_reported_fresh: bool = False
    """The last pane has a report, possibly of zero tasks."""
    is_fresh: bool = False
    """The last pane has finished tasks."""

    def quantile_s(self, q: float) -> float:
        """The ``q`` quantile of durations in seconds. Raises ValueError when there are none."""
        return quantile(self.buckets, q, min_ns=self.min_ns, max_ns=self.max_ns) / SECOND


def panes_in_window(panes: Iterable[Pane], settings: EngineSettings, end_ns: int) -> list[Pane]:
    """The panes of the window whose last pane holds the instant before ``end_ns``; later panes are included.

    At a pane end this is the window that ends there; in between it includes the pane that is still open.
    """
    last_start = (end_ns - 1) // settings.interval_ns * settings.interval_ns
    begin_ns = last_start + settings.interval_ns - settings.window_ns
    return [pane for pane in panes if pane.start_ns >= begin_ns]


def tasks_of(partition: Partition, panes: Sequence[Pane]) -> WindowTasks:
    """Merges the tasks of ``panes``. An instance with task metrics counts by them alone: its spans are exemplars."""
    merged = WindowTasks()
    true_source: dict[str, str] = {}
    instances = partition.instances
    last = panes[-1] if panes else None
    for pane in panes:
        for (instance, source), tasks in pane.tasks.items():
            wanted = true_source.get(instance)
            if wanted is None:
                wanted = true_source[instance] = _true_source(instances, panes, instance)
            if source != wanted:
                continue
            if merged.first_pane_ns is None:
                merged.first_pane_ns = pane.start_ns
            counted, covered_ns = merged.by_instance.get(instance, (0, 0))
            merged.by_instance[instance] = (counted + tasks.count, covered_ns + tasks.covered_ns)
            if pane is last:
                merged.is_reported_fresh = True
                merged.is_fresh = merged.is_fresh or tasks.count > 0
            if tasks.count <= 0:
                continue
            min_ns, max_ns = tasks.min_ns, _longest(tasks)
            merged.min_ns = min(merged.min_ns, min_ns) if merged.count else min_ns
            merged.max_ns = max(merged.max_ns, max_ns)
            merged.count += tasks.count
            merged.errors += tasks.errors
            merged.sum_ns += tasks.sum_ns
            merge_into(merged.buckets, tasks.buckets)
    return merged


def _longest(tasks: Tasks) -> int:
    # a sender may leave the extremes out; then the outermost bucket is the best that is known
    return tasks.max_ns or (round(value_at(max(tasks.buckets))) if tasks.buckets else 0)


def window_tasks(partition: Partition, panes: Sequence[Pane], begin_ns: int, end_ns: int) -> WindowTasks:
    """What `tasks_of` says of ``panes``, which are all from ``begin_ns`` to ``end_ns``, at the cost of what came and
    went since the last call: called before panes older than ``begin_ns`` are dropped from ``partition``."""
    sums = _moved(partition, panes, begin_ns, end_ns)
    merged = WindowTasks(
        sums.count, sums.errors, sums.sum_ns, buckets=sums.buckets,
        by_instance={name: (n, covered_ns) for name, (n, covered_ns, _) in sums.by_instance.items()},
    )  # fmt: skip
    sources, is_any = sums.sources, False
    for pane in panes:
        for (instance, source), tasks in pane.tasks.items():
            if source != sources.get(instance):
                continue
            if merged.first_pane_ns is None:
                merged.first_pane_ns = pane.start_ns
            if tasks.count > 0:
                max_ns = tasks.max_ns or _longest(tasks)
                if not is_any or tasks.min_ns < merged.min_ns:
                    merged.min_ns = tasks.min_ns
                if max_ns > merged.max_ns:
                    merged.max_ns = max_ns
                is_any = True
    if panes:
        of_last = [tasks for (instance, source), tasks in panes[-1].tasks.items() if source == sources.get(instance)]
        merged.is_reported_fresh = bool(of_last)
        merged.is_fresh = any(tasks.count > 0 for tasks in of_last)
    return merged


def _moved(partition: Partition, window: Sequence[Pane], begin_ns: int, end_ns: int) -> WindowSums:
    """The sums of the partition, moved to the window; made anew when they cannot be."""
    sums, instances = partition.sums, partition.instances
    if sums is None or sums.end_ns > end_ns or sums.begin_ns > begin_ns or not _is_source_kept(sums, instances):
        sums = partition.sums = WindowSums(begin_ns, begin_ns)
    for pane in partition.panes:
        start_ns = pane.start_ns
        if start_ns >= end_ns:
            break
        if start_ns < sums.end_ns:
            if sums.begin_ns <= start_ns < begin_ns:
                _add(sums, pane, -1)
        elif start_ns >= begin_ns:
            for instance, _ in pane.tasks:
                if instance not in sums.sources:
                    sums.sources[instance] = str(_true_source(instances, window, instance))
            _add(sums, pane, 1)
    sums.begin_ns, sums.end_ns = begin_ns, end_ns
    return sums


def _is_source_kept(sums: WindowSums, instances: Mapping[str, Instance]) -> bool:
    for name, source in sums.sources.items():
        known = instances.get(name)
        if known is None or (source == Source.METRIC) is not known.has_metrics:
            return False
    return True


def _add(sums: WindowSums, pane: Pane, sign: int) -> None:
    for (instance, source), tasks in pane.tasks.items():
        if source != sums.sources.get(instance):
            continue
        n, covered_ns, n_panes = sums.by_instance.get(instance, (0, 0, 0))
        if n_panes + sign:
            now = (n + sign * tasks.count, covered_ns + sign * tasks.covered_ns, n_panes + sign)
            sums.by_instance[instance] = now
        else:
            del sums.by_instance[instance]
            del sums.sources[instance]
        if tasks.count > 0:
            sums.count += sign * tasks.count
            sums.errors += sign * tasks.errors
            sums.sum_ns += sign * tasks.sum_ns
            (merge_into if sign > 0 else subtract_from)(sums.buckets, tasks.buckets)


def diluted(tasks: WindowTasks, extra: int) -> tuple[float, float | None]:
    """Error rate and response time of ``tasks`` and ``extra`` more that succeed at once. Needs ``tasks.count``."""
    error_rate = min(tasks.errors, tasks.count) / (tasks.count + extra)
    if not tasks.buckets:
        return error_rate, None
    buckets = dict(tasks.buckets)
    buckets[LOWEST_INDEX] = buckets.get(LOWEST_INDEX, 0) + extra
    min_ns = 0 if extra else tasks.min_ns
    return error_rate, quantile(buckets, RESPONSE_QUANTILE, min_ns=min_ns, max_ns=tasks.max_ns) / SECOND


def _true_source(instances: Mapping[str, Instance], panes: Sequence[Pane], instance: str) -> str:
    known = instances.get(instance)
    if known is not None:
        return Source.METRIC if known.has_metrics else Source.SPAN
    # the instance is gone (timed out) while its panes are still in the window
    metric = (instance, str(Source.METRIC))
    return Source.METRIC if any(metric in pane.tasks for pane in panes) else Source.SPAN


def measure(
    partition: Partition,
    panes: Sequence[Pane],
    settings: EngineSettings,
    *,
    end_ns: int | None = None,
    tasks: WindowTasks | None = None,
) -> dict[str, Measured]:
    """Values of every series that has data in ``panes`` (oldest first), in base units, by metric type.

    ``panes`` are those of one evaluation window; empty ones may be left out, except that the last one given decides
    ``is_fresh``. ``end_ns`` is where the window ends, by default the end of the last pane; a summary that includes the
    open pane passes its now. A series without data is absent; throughput is 0 when an instance reported no tasks.
    ``tasks`` are those of ``panes``, where they are known already.
    """
    measured: dict[str, Measured] = {}
    if not panes:
        return measured
    if tasks is None:
        tasks = tasks_of(partition, panes)
    if tasks.first_pane_ns is not None:
        if end_ns is None:
            end_ns = panes[-1].start_ns + settings.interval_ns
        rate = _throughput(tasks, tasks.first_pane_ns, partition.first_seen_ns, settings, end_ns)
        measured[THROUGHPUT] = Measured(THROUGHPUT, rate, tasks.count, tasks.is_reported_fresh)
        if tasks.count:
            n, is_fresh = tasks.count, tasks.is_fresh
            # more errors than tasks can only come from a sender's mistake; a rate above 1 would mislead every reader
            error_rate = min(tasks.errors / n, 1.0)
            measured[ERROR_RATE] = Measured(ERROR_RATE, error_rate, n, is_fresh)
            measured[SUCCESS_RATE] = Measured(SUCCESS_RATE, 1 - error_rate, n, is_fresh)
            if tasks.buckets:
                p95 = tasks.quantile_s(RESPONSE_QUANTILE)
                measured[RESPONSE_TIME] = Measured(RESPONSE_TIME, p95, n, is_fresh)
    _measure_cells(panes, measured)
    return measured


def _throughput(
    tasks: WindowTasks, first_pane_ns: int, first_seen_ns: int, settings: EngineSettings, end_ns: int
) -> float:
    # Spans do not say how long nothing happened, so their time is the window, for a young agent the time since it was
    # first seen (or since its first tasks, when these arrived late); one pane at least, so that one task is no burst.
    begin_ns = max(end_ns - settings.window_ns, min(first_seen_ns, first_pane_ns + settings.interval_ns))
    window_ns = max(settings.interval_ns, end_ns - begin_ns)
    # exactly rounded: the same in whatever order instances came
    return fsum(count * SECOND / (covered_ns or window_ns) for count, covered_ns in tasks.by_instance.values())


def _measure_cells(panes: Sequence[Pane], measured: dict[str, Measured]) -> None:
    """Gauges and rates: streams become instances, instances become the value of the partition."""
    streams: dict[tuple[str, str, str], list[float]] = {}
    readings: dict[str, int] = {}
    for pane in panes:
        if not pane.cells:
            continue
        for key, cell in pane.cells.items():
            readings[key[0]] = readings.get(key[0], 0) + cell.n
            sums = streams.get(key)
            if sums is None:
                streams[key] = [cell.total, cell.weight]
            else:
                sums[0] += cell.total
                sums[1] += cell.weight
    if not streams:
        return
    added: dict[tuple[str, str], float] = {}
    averaged: dict[tuple[str, str], tuple[float, int]] = {}
    for (name, instance, stream), (total, weight) in streams.items():
        if weight <= 0:
            continue
        owner = (name, instance)
        if stream.startswith(MEAN_STREAM_PREFIX):
            mean_sum, parts = averaged.get(owner, (0.0, 0))
            averaged[owner] = (mean_sum + total / weight, parts + 1)
            added.setdefault(owner, 0.0)
        else:
            added[owner] = added.get(owner, 0.0) + total / weight
    for owner, (mean_sum, parts) in averaged.items():
        added[owner] += mean_sum / parts
    by_type: dict[str, list[float]] = {}
    for (name, _), value in added.items():
        by_type.setdefault(name, []).append(value)
    fresh = {name for name, _, _ in panes[-1].cells}
    for name, values in by_type.items():
        row = METRIC_TYPES.get(name)
        is_sum = row is not None and row.combine is Combine.SUM
        value = sum(values) if is_sum else sum(values) / len(values)
        measured[name] = Measured(name, value, readings[name], name in fresh)


def response_quantiles(partition: Partition, panes: Sequence[Pane]) -> dict[str, float] | None:
    """``p50_s``, ``p95_s``, ``p99_s`` and ``max_s`` of the tasks in ``panes``; None when there are none."""
    tasks = tasks_of(partition, panes)
    if not tasks.buckets:
        return None
    return {
        "p50_s": tasks.quantile_s(0.50),
        "p95_s": tasks.quantile_s(RESPONSE_QUANTILE),
        "p99_s": tasks.quantile_s(0.99),
        "max_s": tasks.max_ns / SECOND,
    }
