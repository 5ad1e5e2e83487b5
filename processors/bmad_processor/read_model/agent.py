"""What is said of one agent: its state, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bmad_processor.pricing import Prices
from bmad_processor.settings import EngineSettings
from bmad_processor.state import Partition
from bmad_processor.summary import agent_summary

from .costs import agent_cost


def describe(
    partition: Partition, settings: EngineSettings, alerts: Sequence[Mapping[str, Any]], prices: Prices, now_ns: int
) -> dict[str, Any]:
    """`summary.agent_summary` with ``cost``. ``alerts`` are its alerts as JSON values, newest first."""
    summary = agent_summary(partition, settings, alerts, now_ns)
    return summary | {"cost": agent_cost(partition, settings, prices, now_ns)}
