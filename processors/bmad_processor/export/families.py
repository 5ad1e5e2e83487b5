"""The present state in the export document as metric families in base units: what Prometheus formats print."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bmad_processor.metric_types import CUSTOM_PREFIX, METRIC_TYPES

from .document import Document, agents, hosts, number
from .units import base_unit

_PLAIN_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram of one label set. ``counts`` has one number more than ``bounds``: what lies above them all."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


@dataclass(slots=True)
class Family:
    """One metric: a name with its unit as suffix, and the samples under it, each label set once."""

    name: str
    """Without ``_total``, which the formats put where each wants it."""
    help: str
    unit: str = ""
    is_counter: bool = False
    samples: dict[Labels, float] = field(default_factory=dict)
    is_bare: bool = False
    """A counter whose samples have no ``_total``. OpenMetrics knows no such counter: there its type is unknown."""
    histograms: dict[Labels, Buckets] = field(default_factory=dict)
    """Instead of `samples` when the metric is a histogram."""


class Families:
    """Families in order of first use."""

    def __init__(self) -> None:
        self._by_name: dict[str, Family] = {}

    def add(
        self, name: str, help_text: str, labels: Labels, value: object, *, unit: str = "", is_counter: bool = False
    ) -> None:
        """One sample; a value that is no finite number is left out, a second one of the same label set too."""
        amount = number(value)
        if amount is None:
            return
        if unit and not name.endswith("_" + unit):
            name = f"{name}_{unit}"
        family = self._by_name.setdefault(name, Family(name, help_text, unit, is_counter))
        family.samples.setdefault(labels, amount)

    def all(self) -> Iterable[Family]:
        """Every family that has samples."""
        return self._by_name.values()


def families(document: Document) -> Iterable[Family]:
    """Every family of the document's present state."""
    found = Families()
    for owner, summary in agents(document):
        labels = (("agent", owner.agent), ("namespace", owner.namespace))
        _agent(found, labels, summary)
    for owner, row in hosts(document):
        units = document["system_summary"].get("units") or {}
        _host(found, (("host", owner.host),), row, units)
    _system(found, document.get("system_summary") or {})
    return found.all()


def _agent(found: Families, labels: Labels, summary: Mapping[str, Any]) -> None:
    units: dict[str, str] = {}
    for metric, now in (summary.get("current_metrics") or {}).items():
        units[metric] = str(now.get("unit") or "")
        if not now.get("is_stale"):
            _value(found, labels, metric, "", units[metric], now.get("value"))
    for metric, value in (summary.get("baseline_metrics") or {}).items():
        _value(found, labels, metric, "baseline", _unit_of(metric, units), value)
    for metric, levels in (summary.get("thresholds") or {}).items():
        for level, value in levels.items():
            _value(found, (*labels, ("level", level)), metric, "threshold", _unit_of(metric, units), value)
    for name, said in (summary.get("self_reported") or {}).items():
        _own(found, labels, "bmad_agent_reported", "What the agent says of itself; not measured.", name, said)
    _alerts(found, labels, summary)
    _totals(found, labels, summary)
    _scaling(found, labels, summary)


def _value(found: Families, labels: Labels, metric: str, kind: str, unit: str, value: object) -> None:
    """A value, baseline or threshold of a metric type; of a program's own metric under one common name."""
    amount = number(value)
    if amount is None:
        return
    what = {"": "", "baseline": "Learned normal value. ", "threshold": "Alert threshold of this level. "}[kind]
    middle = f"_{kind}" if kind else ""
    if metric.startswith(CUSTOM_PREFIX) or not _PLAIN_NAME.fullmatch(metric):
        own = (("name", metric.removeprefix(CUSTOM_PREFIX)), ("unit", unit))
        found.add(f"bmad_agent_custom{middle}", f"{what}Value of the program's own.", (*labels, *own), amount)
        return
    base, row = base_unit(unit), METRIC_TYPES.get(metric)
    stem = metric.removesuffix("_" + base.suffix) if base.suffix else metric
    help_text = what + (row.description if row else "")
    found.add(f"bmad_agent_{stem}{middle}", help_text, labels, base.of(amount), unit=base.suffix)


def _unit_of(metric: str, units: Mapping[str, str]) -> str:
    if metric in units:
        return units[metric]
    return METRIC_TYPES[metric].display_unit if metric in METRIC_TYPES else ""


def _own(found: Families, labels: Labels, name: str, help_text: str, metric: str, said: Mapping[str, Any]) -> None:
    own = (("name", metric), ("unit", str(said.get("unit") or "")))
    found.add(name, help_text, (*labels, *own), said.get("value"))


def _alerts(found: Families, labels: Labels, summary: Mapping[str, Any]) -> None:
    firing: dict[str, int] = {"warning": 0, "critical": 0, "emergency": 0}
    for alert in summary.get("alerts") or ():
        if not alert.get("resolved"):
            level = str(alert.get("level"))
            firing[level] = firing.get(level, 0) + 1
    for level, n in firing.items():
        found.add("bmad_agent_alerts_firing", "Alerts firing now.", (*labels, ("level", level)), n)


def _totals(found: Families, labels: Labels, summary: Mapping[str, Any]) -> None:
    add = found.add
    add("bmad_agent_tasks", "Tasks finished.", labels, summary.get("tasks_total"), is_counter=True)
    add("bmad_agent_errors", "Tasks failed.", labels, summary.get("errors_total"), is_counter=True)
    for tool, calls in (summary.get("tools") or {}).items():
        of_tool = (*labels, ("tool", tool))
        add("bmad_agent_tool_calls", "Tool executions.", of_tool, calls.get("calls"), is_counter=True)
        add("bmad_agent_tool_errors", "Tool executions that failed.", of_tool, calls.get("errors"), is_counter=True)
    add("bmad_agent_task_tool_calls", "Tools executed by its tasks, of any name.", labels, summary.get("tool_calls"),
        is_counter=True)  # fmt: skip
    cost = summary.get("cost") or {}
    for kind in ("input", "output"):
        of_kind = (*labels, ("type", kind))
        add("bmad_agent_tokens", "Tokens used by model calls.", of_kind, cost.get(f"{kind}_tokens"), is_counter=True)
    if cost.get("currency"):
        of_currency = (*labels, ("currency", str(cost["currency"])))
        add("bmad_agent_cost", "Price of the tokens, as far as known.", of_currency, cost.get("amount"))
    add("bmad_agent_last_seen_timestamp", "When it was last heard of.", labels, summary.get("last_seen"),
        unit="seconds")  # fmt: skip


def _scaling(found: Families, labels: Labels, summary: Mapping[str, Any]) -> None:
    instances, scaling = summary.get("instances") or {}, summary.get("scaling") or {}
    found.add("bmad_agent_instances", "Instances heard of lately.", labels, instances.get("count"))
    found.add("bmad_agent_desired_instances", "Instances the agent needs.", labels, scaling.get("desired"))


def _host(found: Families, labels: Labels, row: Mapping[str, Any], units: Mapping[str, str]) -> None:
    for metric, unit in units.items():
        value = number(row.get(metric))
        if value is not None:
            base, known = base_unit(unit), METRIC_TYPES.get(metric)
            found.add(
                f"bmad_host_{metric}", known.description if known else "", labels, base.of(value), unit=base.suffix
            )


def _system(found: Families, system: Mapping[str, Any]) -> None:
    found.add("bmad_agents", "Agents known.", (), system.get("agents_total"))
    found.add("bmad_active_agents", "Agents heard of lately.", (), system.get("active_agents"))
    for level, n in (system.get("firing_alerts") or {}).items():
        found.add("bmad_alerts_firing", "Alerts firing now.", (("level", level),), n)
    for reason, n in (system.get("dropped") or {}).items():
        found.add("bmad_dropped", "Samples not used, by reason.", (("reason", reason),), n, is_counter=True)
