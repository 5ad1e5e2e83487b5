"""Puts samples into panes by event time; turns running totals into differences.

Everything that is not used is counted in the engine state under one of these names:

``late``            the pane it belongs to is closed
``future``          the event time was too far ahead of the arrival and was replaced by it (the sample is used)
``without_time``    no event time; the arrival time was taken (the sample is used)
``repeated``        a cumulative point that is not newer than the last one of its stream
``streams_dropped`` the partition has `max_streams` streams already, all of them in use
``streams_expired`` streams, silent for long, that made room for new ones
``instances_folded`` the partition has `max_instances` instances; the sample counts for a common one
``names_folded``    the partition has `max_names` custom and reported values; the reading counts for a common one
``models_folded``   the partition has `max_models` models and workflows; the tokens count for a common one
``tools_folded``    the agent has used `max_tools` tools; further ones count for a common one
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from bmad_processor import sketch
from bmad_processor.metric_types import is_custom, is_reported
from bmad_processor.model import (
    Exemplar,
    Increase,
    Reading,
    Sample,
    Source,
    TaskSample,
    TaskTotals,
    TokenSample,
    TokenTotals,
    ToolSample,
    ToolTotals,
    Total,
)
from bmad_processor.settings import EngineSettings
from bmad_processor.state import Cell, EngineState, Instance, Pane, Partition, Tasks

from .names import admit
from .streams import OVERFLOW, is_beginning_known, stream_of
from .tokens import add_token_totals, add_tokens
from .tools import add_tools


def closed_until(state: EngineState, settings: EngineSettings) -> int:
    """End of the last closed pane: the watermark, on the pane grid."""
    watermark = state.now_ns - settings.lateness_ns
    return watermark - watermark % settings.interval_ns


def add(state: EngineState, partition: Partition, sample: Sample, settings: EngineSettings) -> int | None:
    """Adds one sample. Returns the end of the pane it went to, None when it was not used."""
    time_ns = _event_time(state, sample.time_ns, settings)
    if isinstance(sample, TokenSample | TokenTotals | ToolSample | ToolTotals):
        return _add_to_sums(state, partition, sample, time_ns, settings)
    if time_ns < closed_until(state, settings):
        # a late running total loses nothing: the next point of its stream covers it
        state.count("late")
        return None
    instance = _instance(state, partition, sample.instance, settings)
    _note_metrics(partition.instances[instance], sample, time_ns)
    pane = _pane(partition, time_ns - time_ns % settings.interval_ns)
    pane.text = ""
    match sample:
        case TaskSample():
            _add_tasks(partition, pane, instance, sample, time_ns)
        case TaskTotals():
            _add_task_totals(state, partition, pane, instance, sample, time_ns, settings)
        case Reading():
            name = sample.metric_type
            if is_custom(name) or is_reported(name):
                name = admit(state, partition, sample, time_ns, settings)
            cell = _cell(pane, name, instance, sample.stream)
            cell.total += sample.value
            cell.weight += 1.0
            cell.n += 1
        case Increase():
            cell = _cell(pane, sample.metric_type, instance, sample.stream)
            cell.total += sample.value
            cell.weight += sample.covered_ns / 1e9
            cell.n += 1
        case Total():
            _add_total(state, partition, pane, instance, sample, time_ns, settings)
        case _:
            assert_never(sample)
    partition.last_seen_ns = max(partition.last_seen_ns, time_ns)
    return pane.start_ns + settings.interval_ns


def _add_to_sums(
    state: EngineState,
    partition: Partition,
    sample: TokenSample | TokenTotals | ToolSample | ToolTotals,
    time_ns: int,
    settings: EngineSettings,
) -> int:
    """Tokens and tool calls are totals of no pane, so none comes too late: a bill has no window."""
    name = _instance(state, partition, sample.instance, settings)
    instance = partition.instances[name]
    if isinstance(sample, TokenSample):
        add_tokens(state, partition, instance, sample, time_ns, settings)
    elif isinstance(sample, ToolSample | ToolTotals):
        add_tools(state, partition, name, sample, time_ns, settings)
    else:
        add_token_totals(state, partition, name, sample, time_ns, settings)
    _note_metrics(instance, sample, time_ns)
    partition.last_seen_ns = max(partition.last_seen_ns, time_ns)
    return closed_until(state, settings) + settings.interval_ns


def _note_metrics(instance: Instance, sample: Sample, time_ns: int) -> None:
    is_span = isinstance(sample, TaskSample | TokenSample) and sample.source is Source.SPAN
    if not is_span and not instance.metrics_since_ns:
        instance.metrics_since_ns = time_ns


def drop_before(partition: Partition, begin_ns: int) -> None:
    """Forgets panes that start before ``begin_ns``."""
    panes = partition.panes
    n = 0
    while n < len(panes) and panes[n].start_ns < begin_ns:
        n += 1
    if n:
        del panes[:n]


def forget_gone(partition: Partition, gone_before_ns: int) -> None:
    """Forgets instances, and their streams, that were last heard of before ``gone_before_ns``."""
    gone = [name for name, instance in partition.instances.items() if instance.last_seen_ns < gone_before_ns]
    if gone:
        partition.sums = None
        for name in gone:
            del partition.instances[name]
        partition.streams = {key: stream for key, stream in partition.streams.items() if key[1] not in gone}


def _event_time(state: EngineState, time_ns: int, settings: EngineSettings) -> int:
    if time_ns <= 0:
        state.count("without_time")
        return state.now_ns
    if time_ns > state.now_ns + settings.future_ns:
        state.count("future")
        return state.now_ns
    return time_ns


def _instance(state: EngineState, partition: Partition, name: str, settings: EngineSettings) -> str:
    known = partition.instances.get(name)
    if known is None:
        if len(partition.instances) >= settings.max_instances:
            state.count("instances_folded")
            name = OVERFLOW
            known = partition.instances.get(name)
        if known is None:
            known = partition.instances[name] = Instance(state.now_ns, state.now_ns)
    known.last_seen_ns = state.now_ns
    return name


def _pane(partition: Partition, start_ns: int) -> Pane:
    panes = partition.panes
    if panes and panes[-1].start_ns == start_ns:
        return panes[-1]
    for at, pane in enumerate(panes):
        if pane.start_ns == start_ns:
            return pane
        if pane.start_ns > start_ns:
            panes.insert(at, Pane(start_ns))
            return panes[at]
    panes.append(Pane(start_ns))
    return panes[-1]


def _cell(pane: Pane, metric_type: str, instance: str, stream: str) -> Cell:
    key = (metric_type, instance, stream)
    cell = pane.cells.get(key)
    if cell is None:
        cell = pane.cells[key] = Cell()
    return cell


def _tasks(pane: Pane, instance: str, source: Source) -> Tasks:
    key = (instance, str(source))
    tasks = pane.tasks.get(key)
    if tasks is None:
        tasks = pane.tasks[key] = Tasks()
    return tasks


def _count_tasks(
    tasks: Tasks, *, count: int, errors: int, sum_ns: int, min_ns: int, max_ns: int, buckets: Mapping[int, int]
) -> None:
    if count <= 0:
        return
    tasks.min_ns = min(tasks.min_ns, min_ns) if tasks.count else min_ns
    tasks.max_ns = max(tasks.max_ns, max_ns)
    tasks.count += count
    tasks.errors += errors
    tasks.sum_ns += sum_ns
    sketch.merge_into(tasks.buckets, buckets)


def _add_tasks(partition: Partition, pane: Pane, instance: str, sample: TaskSample, time_ns: int) -> None:
    known = partition.instances[instance]
    tasks = _tasks(pane, instance, sample.source)
    if sample.source is Source.METRIC:
        known.has_metrics = True
        _take_back_spans(partition, known)
        tasks.covered_ns += _cover(known, time_ns - sample.covered_ns, time_ns)
    elif not known.has_metrics:
        known.span_tasks += sample.count
        known.span_errors += sample.errors
    if sample.source is Source.METRIC or not known.has_metrics:
        partition.tasks_total += sample.count
        partition.errors_total += sample.errors
    _count_tasks(
        tasks, count=sample.count, errors=sample.errors, sum_ns=sample.sum_ns, min_ns=sample.min_ns,
        max_ns=sample.max_ns, buckets=sample.buckets,
    )  # fmt: skip
    for exemplar in sample.exemplars:
        _keep_exemplar(pane, exemplar)


def _take_back_spans(partition: Partition, instance: Instance) -> None:
    """Its metrics count what its spans have counted in the totals so far."""
    partition.tasks_total -= instance.span_tasks
    partition.errors_total -= instance.span_errors
    instance.span_tasks = instance.span_errors = 0


def _keep_exemplar(pane: Pane, new: Exemplar) -> None:
    """Keeps the slowest failed and the slowest successful task; ties: smaller trace id, so any order agrees."""
    for at, old in enumerate(pane.exemplars):
        if bool(old.error) == bool(new.error):
            if (-new.duration_ns, new.trace_id) < (-old.duration_ns, old.trace_id):
                pane.exemplars[at] = new
            return
    pane.exemplars.append(new)
    pane.exemplars.sort(key=lambda e: not e.error)


def _cover(instance: Instance, start_ns: int, time_ns: int) -> int:
    """How much further the instance's task metrics reach than before; its streams all end at the same time."""
    begin = instance.counted_until_ns or start_ns
    instance.counted_until_ns = max(time_ns, instance.counted_until_ns)
    return max(0, time_ns - begin)


def _add_total(
    state: EngineState, partition: Partition, pane: Pane, instance: str, sample: Total, time_ns: int,
    settings: EngineSettings,
) -> None:  # fmt: skip
    stream = stream_of(state, partition, sample.metric_type, instance, sample, settings)
    if stream is None:
        return
    if stream.time_ns and time_ns <= stream.time_ns:
        state.count("repeated")
        return
    is_new = not stream.time_ns
    is_reset = not is_new and (sample.start_ns != stream.start_ns or sample.value < stream.value)
    difference = sample.value if is_reset else sample.value - stream.value
    elapsed_ns = time_ns - stream.time_ns
    stream.start_ns, stream.time_ns, stream.value = sample.start_ns, time_ns, sample.value
    # a first point is only a reference: the start that SDKs report for observed counters is their first observation,
    # and a total divided by a few milliseconds would be a rate of thousands
    if not is_new:
        cell = _cell(pane, sample.metric_type, instance, sample.stream)
        cell.total += difference
        cell.weight += elapsed_ns / 1e9
        cell.n += 1


def _add_task_totals(
    state: EngineState, partition: Partition, pane: Pane, instance: str, sample: TaskTotals, time_ns: int,
    settings: EngineSettings,
) -> None:  # fmt: skip
    kind = "errors" if sample.is_error else "tasks"
    stream = stream_of(state, partition, kind, instance, sample, settings)
    if stream is None:
        return
    if stream.time_ns and time_ns <= stream.time_ns:
        state.count("repeated")
        return
    known = partition.instances[instance]
    known.has_metrics = True
    is_new = not stream.time_ns
    is_reset = not is_new and (sample.start_ns != stream.start_ns or sample.count < stream.count)
    is_usable = True
    if is_new or is_reset:
        is_usable = is_reset or is_beginning_known(
            state, known, known.counted_until_ns, start_ns=sample.start_ns, time_ns=time_ns, settings=settings
        )
        count, sum_ns, buckets = sample.count, sample.sum_ns, dict(sample.buckets)
    else:
        count, sum_ns = sample.count - stream.count, max(0, sample.sum_ns - stream.sum_ns)
        buckets = sketch.difference(sample.buckets, stream.buckets)
        if not buckets and count > 0:  # the sender's buckets contradict its count: all at the mean
            buckets = {sketch.index_of(sum_ns // count): count}
    stream.start_ns, stream.time_ns, stream.count, stream.sum_ns = sample.start_ns, time_ns, sample.count, sample.sum_ns
    stream.buckets = dict(sample.buckets)
    tasks = _tasks(pane, instance, Source.METRIC)
    # a stream begins with its first finished task, so its first point covers too little: one pane at least
    tasks.covered_ns += _cover(
        known, min(sample.start_ns, time_ns - settings.interval_ns) if is_usable else time_ns, time_ns
    )
    if not is_usable:
        known.span_tasks = known.span_errors = 0  # what the spans counted lies before this point and stays counted
        return
    if count <= 0:
        return
    _take_back_spans(partition, known)
    low, high = _extremes(sample, count, sum_ns, buckets)
    partition.tasks_total += count
    partition.errors_total += count if sample.is_error else 0
    _count_tasks(
        tasks, count=count, errors=count if sample.is_error else 0, sum_ns=sum_ns, min_ns=low, max_ns=high,
        buckets=buckets,
    )  # fmt: skip


def _extremes(sample: TaskTotals, count: int, sum_ns: int, buckets: dict[int, int]) -> tuple[int, int]:
    """Smallest and largest of the new tasks.

    Exact for a single one, else the middle of the outermost new buckets, never outside what the stream saw in its life.
    """
    if count == 1:
        return sum_ns, sum_ns
    if not buckets:
        return sample.min_ns, sample.max_ns
    low = round(sketch.value_at(min(buckets)))
    high = round(sketch.value_at(max(buckets)))
    return min(max(low, sample.min_ns), sample.max_ns), max(min(high, sample.max_ns), sample.min_ns)
