"""Counts an agent's tool calls; running totals into differences.

Unlike tasks they are not judged, so they belong to no pane: what is kept is the sum since the agent is known.
``tools_folded`` counts calls of tools beyond `max_tools`, which share one row.
"""

from __future__ import annotations

from bmad_processor.model import ANY_TOOL, ToolSample, ToolTotals
from bmad_processor.settings import EngineSettings
from bmad_processor.state import EngineState, Partition, ToolUse

from .streams import OVERFLOW, is_beginning_known, stream_of


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
        _count(state, partition, sample, sample.count, sample.sum_ns, settings)
        return
    stream = stream_of(state, partition, "tools", instance, sample, settings)
    if stream is None:
        return
    is_new = not stream.time_ns
    if not is_new and time_ns <= stream.time_ns:
        state.count("repeated")
        return
    known = partition.instances[instance]
    is_usable = not is_new or is_beginning_known(
        state, known, known.metrics_since_ns, start_ns=sample.start_ns, time_ns=time_ns, settings=settings
    )
    count, sum_ns = sample.count, sample.sum_ns
    is_reset = sample.start_ns != stream.start_ns or sample.count < stream.count
    if not is_new and not is_reset:
        count, sum_ns = sample.count - stream.count, max(0, sample.sum_ns - stream.sum_ns)
    stream.start_ns, stream.time_ns, stream.count, stream.sum_ns = sample.start_ns, time_ns, sample.count, sample.sum_ns
    if is_usable and count > 0:
        _count(state, partition, sample, count, sum_ns, settings)


def _count(
    state: EngineState,
    partition: Partition,
    sample: ToolSample | ToolTotals,
    count: int,
    sum_ns: int,
    settings: EngineSettings,
) -> None:
    name = sample.tool
    if name not in partition.tools and len(partition.tools) >= settings.max_tools and name != ANY_TOOL:
        state.count("tools_folded", count)
        name = OVERFLOW
    use = partition.tools.setdefault(name, ToolUse())
    use.calls += count
    use.errors += count if sample.is_error else 0
    use.sum_ns += sum_ns
    use.max_ns = max(use.max_ns, sample.max_ns)
