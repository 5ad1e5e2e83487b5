"""From metric points to the tools an agent called.

`gen_ai.execute_tool.duration` says which, how often, how long and with what outcome, where its point names the agent: a
tool that is a method of the agent does, a plain function has none. `gen_ai.invoke_agent.tool_calls` says how many tools
the tasks of an agent executed, of either kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from bmad_otel import semconv
from bmad_processor.agent_names import canonical, clean
from bmad_processor.model import ANY_TOOL, PartitionKey, ToolSample, ToolTotals

from . import wire
from .histograms import to_ns
from .resource import Sender

DURATION: Final = semconv.EXECUTE_TOOL_DURATION.name.encode()
CALLS: Final = semconv.TOOL_CALLS.name.encode()

AnySample = ToolSample | ToolTotals | str
"""A sample, or the reason to count why there is none."""

UNNAMED: Final = "unknown"
"""A tool whose point does not say its name."""


_MAX_CALLS: Final = 2**53
"""More tools in one point is no count; JSON readers keep whole numbers up to this."""


def tool_sample(
    data: Any, temporality: int, found: Mapping[str, str], sender: Sender, *, stream: str, is_error: bool
) -> AnySample:
    """One histogram point, or the reason why it says nothing.

    ``found`` are its attributes, ``stream`` is the identity of all of them. A tool that no agent called belongs to
    nobody: the service must not become an agent by it.
    """
    agent = found.get(semconv.GEN_AI_AGENT_NAME, "")
    if not agent:
        return "tools_without_agent"
    if not isfinite(data.sum):
        return "values_not_finite"
    key = PartitionKey("agent", sender.namespace, canonical(agent))
    tool = clean(found.get(semconv.GEN_AI_TOOL_NAME, "").strip()) or UNNAMED
    sum_ns = to_ns(data.sum)
    # a sender may leave the longest call out; the mean is the least it can have been
    max_ns = to_ns(data.max) if data.HasField("max") else sum_ns // data.count
    start_ns, time_ns = data.start_time_unix_nano, data.time_unix_nano
    if temporality == wire.CUMULATIVE:
        return ToolTotals(
            key, sender.instance, stream, start_ns, time_ns, tool, is_error, data.count, sum_ns, max_ns
        )  # fmt: skip
    return ToolSample(key, sender.instance, time_ns, tool, is_error, data.count, sum_ns, max_ns)


def calls_sample(data: Any, temporality: int, found: Mapping[str, str], sender: Sender, *, stream: str) -> AnySample:
    """One point of the number of tools per task: its sum is how many there were. Else as `tool_sample`."""
    agent = found.get(semconv.GEN_AI_AGENT_NAME, "")
    if not agent:
        return "tools_without_agent"
    if not data.HasField("sum") or not isfinite(data.sum) or not 0 <= data.sum <= _MAX_CALLS:
        return "values_not_finite"
    key = PartitionKey("agent", sender.namespace, canonical(agent))
    count, time_ns = round(data.sum), data.time_unix_nano
    if temporality == wire.CUMULATIVE:
        start_ns = data.start_time_unix_nano
        return ToolTotals(key, sender.instance, stream, start_ns, time_ns, ANY_TOOL, False, count, 0, 0)
    return ToolSample(key, sender.instance, time_ns, ANY_TOOL, False, count, 0, 0)
