"""A clock that was set back: what is remembered moves with it.

Small steps back are waited for (the watermark holds). After a large one, an hour of clock correction say, waiting
would mean that everything that comes is late for an hour; so every remembered time is moved back by the same amount, as
if the clock had been right all along. Two things stay: the start that a sender claims for a stream, which must stay
equal to what it sends, and the start of an alert, which is part of its id.
"""

from __future__ import annotations

from bmad_processor.settings import EngineSettings
from bmad_processor.state import EngineState, Partition


def is_set_back(state: EngineState, time_ns: int, settings: EngineSettings) -> bool:
    """Whether ``time_ns`` is so far behind that the clock must have been set back."""
    return time_ns < state.now_ns - settings.clock_step_ns


def set_back(state: EngineState, time_ns: int, settings: EngineSettings) -> None:
    """Moves the state to a clock that says ``time_ns``, by whole panes."""
    by_ns = state.now_ns - time_ns
    by_ns -= by_ns % settings.interval_ns
    state.now_ns -= by_ns
    state.due = {end_ns - by_ns: names for end_ns, names in state.due.items()}
    state.early = {at_ns - by_ns: names for at_ns, names in state.early.items()}
    state.next_ns -= by_ns
    for partition in state.partitions.values():
        _move(partition, by_ns)


def _move(partition: Partition, by_ns: int) -> None:
    partition.first_seen_ns -= by_ns
    partition.last_seen_ns -= by_ns
    if partition.due_ns:
        partition.due_ns -= by_ns
    if partition.early_ns:
        partition.early_ns -= by_ns
    if partition.swept_ns:
        partition.swept_ns -= by_ns
    partition.sums = None
    for pane in partition.panes:
        pane.start_ns -= by_ns
        pane.text = ""
    for instance in partition.instances.values():
        instance.first_seen_ns -= by_ns
        instance.last_seen_ns -= by_ns
        if instance.counted_until_ns:
            instance.counted_until_ns -= by_ns
        if instance.metrics_since_ns:
            instance.metrics_since_ns -= by_ns
    for stream in partition.streams.values():
        stream.time_ns -= by_ns
    for condition in partition.conditions.values():
        condition.silent_until_ns -= by_ns
        condition.last_data_ns -= by_ns
        if condition.held_until_ns:
            condition.held_until_ns -= by_ns
    for latest in partition.latest.values():
        latest.time_ns -= by_ns
    for named in partition.names.values():
        named.last_seen_ns -= by_ns
    if partition.tokens_since_ns:
        partition.tokens_since_ns -= by_ns
    scaling = partition.scaling
    scaling.advice = [(time_ns - by_ns, desired) for time_ns, desired in scaling.advice]
    scaling.time_ns -= by_ns
