"""Which OTLP metric feeds which metric type.

A rule picks data points by attribute, says whether their value is a reading or a running total whose rate counts, and
how several streams of one instance combine (``mean`` marks streams that are averaged, such as idle time per core).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from bmad_otel import semconv
from bmad_processor import metric_types

from .model_calls import MODEL_ATTRIBUTES


class Scope(StrEnum):
    """Whose value it is."""

    AGENT = "agent"
    PROCESS = "process"
    """Given to every agent that the same resource reports."""
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Rule:
    metric: str
    """OTLP metric name."""
    metric_type: str
    scope: Scope
    where: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Attribute to the values taken; any attribute may match, since old and new conventions name it differently."""
    is_complement: bool = False
    """The value is 1 - reading (idle share to busy share)."""
    is_averaged: bool = False


_IDLE: Final = frozenset({"idle"})
_USED: Final = frozenset({"used"})
_BUSY: Final = frozenset({"user", "system"})

RULES: Final = (
    Rule(semconv.AGENT_CPU_TIME.name, metric_types.CPU_USAGE, Scope.AGENT),
    Rule(semconv.TASK_ACTIVE.name, metric_types.ACTIVE_TASKS, Scope.AGENT),
    Rule(semconv.QUEUE_SIZE.name, metric_types.QUEUE_SIZE, Scope.AGENT),
    Rule(semconv.PROCESS_CPU_TIME.name, metric_types.CPU_USAGE, Scope.PROCESS,
         where={semconv.CPU_MODE: _BUSY, "state": _BUSY, "type": _BUSY}),
    Rule(semconv.PROCESS_MEMORY_UTILIZATION.name, metric_types.MEMORY_USAGE, Scope.PROCESS),
    Rule(semconv.PROCESS_MEMORY_USAGE.name, metric_types.MEMORY_BYTES, Scope.PROCESS),
    Rule(semconv.SYSTEM_CPU_UTILIZATION.name, metric_types.CPU_USAGE, Scope.HOST,
         where={semconv.CPU_MODE: _IDLE, "state": _IDLE}, is_complement=True, is_averaged=True),
    Rule(semconv.SYSTEM_MEMORY_UTILIZATION.name, metric_types.MEMORY_USAGE, Scope.HOST,
         where={semconv.MEMORY_STATE: _USED, "state": _USED}),
    Rule(semconv.SYSTEM_MEMORY_USAGE.name, metric_types.MEMORY_BYTES, Scope.HOST,
         where={semconv.MEMORY_STATE: _USED, "state": _USED}),
    Rule(semconv.SYSTEM_DISK_IO.name, metric_types.DISK_IO, Scope.HOST),
    Rule(semconv.SYSTEM_NETWORK_IO.name, metric_types.NETWORK_IO, Scope.HOST),
)  # fmt: skip

BY_METRIC: Final[Mapping[bytes, Rule]] = {rule.metric.encode(): rule for rule in RULES}

PREFIX_BY_METRIC: Final[Mapping[bytes, str]] = {
    semconv.CUSTOM.name.encode(): metric_types.CUSTOM_PREFIX,
    semconv.REPORTED.name.encode(): metric_types.REPORTED_PREFIX,
}
"""Metrics whose points name their own metric type."""

WANTED: Final = frozenset(
    {
        semconv.GEN_AI_AGENT_NAME,
        semconv.GEN_AI_OPERATION_NAME,
        semconv.GEN_AI_TOOL_NAME,
        semconv.ERROR_TYPE,
        semconv.TASK_OUTCOME,
    }
    | {semconv.METRIC_NAME, semconv.METRIC_UNIT, semconv.GEN_AI_TOKEN_TYPE, *MODEL_ATTRIBUTES}
    | {attribute for rule in RULES for attribute in rule.where}
)
"""Attribute keys the rules, the histograms of durations and the token histogram look at."""


def takes(rule: Rule, found: Mapping[str, str]) -> bool:
    """Whether a data point with these attributes is meant by the rule."""
    if not rule.where:
        return True
    return any(found.get(attribute) in values for attribute, values in rule.where.items())
