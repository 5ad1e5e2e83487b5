"""Counts an agent's tool calls; running totals into differences.

Unlike tasks they are not judged, so they belong to no pane: what is kept is the sum since the agent is known.
``tools_folded`` counts calls of tools beyond `MAX_TOOLS`, which share one row.
"""

from __future__ import annotations

from typing import Final

from bmad_processor.model import ToolSample, ToolTotals
from bmad_processor.settings import SECOND, EngineSettings
from bmad_processor.state import EngineState, Instance, Partition, Stream, ToolUse

MAX_TOOLS: Final = 100
"""Tools told apart within one agent; programs that put arguments into a tool's name would grow without end."""

_OVERFLOW: Final = "otel.overflow"
"""As folded agents and instances are called."""


def add_tools(
    state: EngineState,
    partition: Partition,
    instance: str,
    sample: ToolSample | ToolTotals,
    time_ns: int,
    settings: EngineSettings,
) -> None:
    """Adds one histogram point. ``instance`` is the name under which the partition knows the sender."""
    if isinstance(sample, ToolSample):
        _count(state, partition, sample, sample.count, sample.sum_ns)
        return
    key = ("tools", instance, sample.stream)
    stream = partition.streams.get(key)
    if stream is None:
        if len(partition.streams) >= settings.max_streams:
            state.count("streams_dropped")
            return
        is_usable = _is_beginning_known(state, partition.instances[instance], sample.start_ns, time_ns, settings)
        stream = partition.streams[key] = Stream(sample.start_ns, 0)
    elif time_ns <= stream.time_ns:
        state.count("repeated")
        return
    else:
        is_usable = True
    count, sum_ns = sample.count, sample.sum_ns
    if sample.start_ns == stream.start_ns and sample.count >= stream.count:  # else the sender began anew
        count, sum_ns = sample.count - stream.count, max(0, sample.sum_ns - stream.sum_ns)
    stream.start_ns, stream.time_ns, stream.count, stream.sum_ns = sample.start_ns, time_ns, sample.count, sample.sum_ns
    if is_usable and count > 0:
        _count(state, partition, sample, count, sum_ns)


def _is_beginning_known(
    state: EngineState, instance: Instance, start_ns: int, time_ns: int, settings: EngineSettings
) -> bool:
    """Whether a stream seen for the first time was zero within our sight, so that its value is a difference."""
    if 0 < instance.counted_until_ns <= time_ns - SECOND:  # it reported before, without this stream
        return True
    return start_ns > 0 and start_ns >= min(instance.first_seen_ns, state.now_ns - settings.window_ns)


def _count(state: EngineState, partition: Partition, sample: ToolSample | ToolTotals, count: int, sum_ns: int) -> None:
    name = sample.tool
    if name not in partition.tools and len(partition.tools) >= MAX_TOOLS:
        state.count("tools_folded", count)
        name = _OVERFLOW
    use = partition.tools.setdefault(name, ToolUse())
    use.calls += count
    use.errors += count if sample.is_error else 0
    use.sum_ns += sum_ns
    use.max_ns = max(use.max_ns, sample.max_ns)
