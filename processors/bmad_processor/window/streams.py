"""Cumulative streams a partition follows: the last point of each, within a bound.

They go with their instance. Those of an instance that makes ever new ones give their places, once there is no room, to
new ones when they have been silent for long.
"""

from __future__ import annotations

from typing import Final

from bmad_processor.model import TaskTotals, TokenTotals, ToolTotals, Total
from bmad_processor.settings import SECOND, EngineSettings
from bmad_processor.state import EngineState, Instance, Partition, Stream

OVERFLOW: Final = "otel.overflow"
"""Name under which folded instances, agents and models appear, after OpenTelemetry's `otel.metric.overflow`."""


def stream_of(
    state: EngineState,
    partition: Partition,
    kind: str,
    instance: str,
    sample: Total | TaskTotals | TokenTotals | ToolTotals,
    settings: EngineSettings,
) -> Stream | None:
    """The stream, a new one with ``time_ns`` 0 when it was not known, None when there is no room.

    ``instance`` is what the sample's instance is kept under, which may be a common one: the streams of those in it stay
    apart, for a difference between two of them is nothing that happened.
    """
    name = sample.stream if instance == sample.instance else f"{sample.instance}/{sample.stream}"
    key = (kind, instance, name)
    stream = partition.streams.get(key)
    if stream is None:
        if len(partition.streams) >= settings.max_streams and not _make_room(state, partition, settings):
            state.count("streams_dropped")
            return None
        stream = partition.streams[key] = Stream(0, 0)
    return stream


def _make_room(state: EngineState, partition: Partition, settings: EngineSettings) -> bool:
    """Forgets the streams that have been silent for as long as makes an instance forgotten; looked for once a pane."""
    pane_ns = state.now_ns - state.now_ns % settings.interval_ns
    if partition.swept_ns == pane_ns:
        return False
    partition.swept_ns = pane_ns
    silent_ns = pane_ns - settings.gone_after_ns
    silent = [key for key, stream in partition.streams.items() if stream.time_ns < silent_ns]
    for key in silent:
        del partition.streams[key]
    if silent:
        state.count("streams_expired", len(silent))
    return bool(silent)


def is_beginning_known(
    state: EngineState, instance: Instance, reported_ns: int, *, start_ns: int, time_ns: int, settings: EngineSettings
) -> bool:
    """Whether a stream seen for the first time was zero within our sight, so that its value is a difference.

    ``reported_ns`` is when the instance reported metrics of the kind before, 0 if it did not. One that did, without
    this stream, has just begun it: senders that give all streams the start of the process report a new kind of error,
    or the first call of a model after hours of work, like this.
    """
    if 0 < reported_ns <= time_ns - SECOND:
        return True
    return start_ns > 0 and start_ns >= min(instance.first_seen_ns, state.now_ns - settings.window_ns)
