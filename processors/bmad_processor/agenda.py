"""When each partition is to be judged: at a pane end, and, after bad news, at a point of the early grid.

Every partition has exactly one pane end it waits for (`Partition.due_ns`) and at most one early point
(`Partition.early_ns`); the two dictionaries of the state find them by time. A pane end comes due when the arrival time
is `lateness_ns` past it, an early point when the arrival time has reached it.
"""

from __future__ import annotations

from typing import Final

from .settings import EngineSettings
from .state import EngineState, Partition

NEVER: Final = 1 << 63
"""Later than any time."""


def put(state: EngineState, name: str, partition: Partition, end_ns: int, settings: EngineSettings) -> None:
    """Lets ``partition`` wait for the pane end ``end_ns``, and no longer for another."""
    if partition.due_ns:
        _take_out(state.due, partition.due_ns, name)
    partition.due_ns = end_ns
    state.due.setdefault(end_ns, {})[name] = None
    state.next_ns = min(state.next_ns, end_ns + settings.lateness_ns)


def mark(state: EngineState, name: str, partition: Partition, settings: EngineSettings) -> None:
    """Bad news: judge ``partition`` at the next early point, unless it waits for one."""
    if not partition.early_ns:
        grid_ns = settings.early_interval_ns
        at_ns = partition.early_ns = (state.now_ns // grid_ns + 1) * grid_ns
        state.early.setdefault(at_ns, {})[name] = None
        state.next_ns = min(state.next_ns, at_ns)


def leave(state: EngineState, name: str, partition: Partition) -> None:
    """Takes ``partition`` off the agenda."""
    if partition.due_ns:
        _take_out(state.due, partition.due_ns, name)
        partition.due_ns = 0
    unmark(state, name, partition)


def unmark(state: EngineState, name: str, partition: Partition) -> None:
    """The early point was judged, or is not wanted any more."""
    if partition.early_ns:
        _take_out(state.early, partition.early_ns, name)
        partition.early_ns = 0


def is_early_first(partition: Partition, settings: EngineSettings) -> bool:
    """Whether the early point comes before the pane end; at the same time the pane end is first."""
    if not partition.early_ns:
        return False
    return not partition.due_ns or partition.early_ns < partition.due_ns + settings.lateness_ns


def next_of(partition: Partition, settings: EngineSettings) -> int:
    """The arrival time at which the partition is to be judged next."""
    due_ns = partition.due_ns + settings.lateness_ns if partition.due_ns else NEVER
    return min(due_ns, partition.early_ns or NEVER)


def next_times(state: EngineState, settings: EngineSettings) -> tuple[int, int]:
    """Arrival times of the next pane end and of the next early point."""
    due_ns = min(state.due) + settings.lateness_ns if state.due else NEVER
    return due_ns, min(state.early, default=NEVER)


def rebuild(state: EngineState, settings: EngineSettings) -> None:
    """Puts all partitions on an empty agenda: after a start, or when the grid of panes has changed.

    One that waits for nothing yet, or whose time is not on the grid, waits for the next pane end of the grid.
    """
    state.due, state.early, state.next_ns = {}, {}, NEVER
    interval_ns = settings.interval_ns
    watermark = state.now_ns - settings.lateness_ns
    next_end = watermark - watermark % interval_ns + interval_ns
    for name, partition in state.partitions.items():
        due_ns, early_ns = partition.due_ns or next_end, partition.early_ns
        partition.due_ns = partition.early_ns = 0
        put(state, name, partition, -(-due_ns // interval_ns) * interval_ns, settings)
        if early_ns and settings.early_interval_ns:
            partition.early_ns = early_ns
            state.early.setdefault(early_ns, {})[name] = None
            state.next_ns = min(state.next_ns, early_ns)


def _take_out(times: dict[int, dict[str, None]], time_ns: int, name: str) -> None:
    names = times.get(time_ns)
    if names is not None:
        names.pop(name, None)
        if not names:
            del times[time_ns]
