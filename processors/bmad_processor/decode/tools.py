"""From the points of `gen_ai.execute_tool.duration` to what an agent's tools were called and how long they took."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from bmad_otel import semconv
from bmad_processor.agent_names import canonical, clean
from bmad_processor.model import PartitionKey, ToolSample, ToolTotals

from . import wire
from .histograms import to_ns
from .resource import Sender

METRIC: Final = semconv.EXECUTE_TOOL_DURATION.name.encode()

UNNAMED: Final = "unknown"
"""A tool whose point does not say its name."""


def tool_sample(
    data: Any, temporality: int, found: Mapping[str, str], sender: Sender, *, stream: str, is_error: bool
) -> ToolSample | ToolTotals | str:
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
