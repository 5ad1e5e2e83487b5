"""The format of the stories beside this file: what happens, and everything that is said about it.

::

    story: One slow task is one alert          # what it is about, in one sentence
    lasts: 10m                                 # virtual time; a tick comes every second
    settings: {window: 60s, cooldown: 5m}      # `EngineSettings` by name, without units in the names
    profiles:                                  # by agent; "*" is the default, "system" the hosts
      ProductOwner:
        thresholds: {response_time: {warning: 3s, critical: 8s}}     # beside the levels: direction
        scaling: {cpu_threshold: 50%, max_instances: 3}     # left out: no scaling advice
    happens:
      - {at: 12s, tasks: {agent: ProductOwner, duration: 9s}}
      - {at: 20s, every: 5s, until: 2m, cpu: {agent: Architect, instance: a, value: 90%}}
      - {at: 2m, custom: {agent: Architect, name: points, value: 3, unit: "{point}"}}     # or reported: ...
      - {at: 2m, memory: {agent: Architect, value: 512 MiB}}
      - {at: 3m, restart: true}                # the engine is stopped, written down, and started again
      - {at: 4m, clock: -1h}                   # the clock of the collector and of the senders jumps
    expect:                                    # all that is announced, in order; nothing else may be
      - {at: 15s, fired: critical, agent: ProductOwner, metric: response_time}
      - {at: 5m15s, resolved: critical, agent: ProductOwner, note: no data for 300 s}
    hints:                                     # all scaling hints, in order
      - {at: 1m, agent: Architect, desired: 2}
    baselines: {Architect/response_time: 2s}   # what was learned in the end
    counters: {late: 3}                        # what was not used in the end

Times are those of the collector's clock since the beginning. Of an announcement only the given fields are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bmad_processor.fields import parse_duration, parse_ratio, parse_size
from bmad_processor.metric_types import Direction
from bmad_processor.model import Level
from bmad_processor.settings import EngineSettings, Profile, Profiles, ScalingRules

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Happening:
    """One thing that happens at one time. Exactly one of the fields after ``at_ns`` is set."""

    at_ns: int
    tasks: dict[str, Any] | None = None
    cpu: dict[str, Any] | None = None
    memory: dict[str, Any] | None = None
    queue: dict[str, Any] | None = None
    custom: dict[str, Any] | None = None
    reported: dict[str, Any] | None = None
    restart: bool = False
    clock: str | None = None


@dataclass(frozen=True)
class Story:
    story: str
    lasts_ns: int
    settings: EngineSettings
    happenings: list[Happening]
    expect: list[dict[str, Any]] = field(default_factory=list)
    hints: list[dict[str, Any]] = field(default_factory=list)
    baselines: dict[str, float] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)


def quantity(value: object) -> float:
    """``60%``, ``9s``, ``512 MiB`` or a number in base units."""
    if isinstance(value, str):
        if value.endswith("B"):
            return float(parse_size(value))
        return parse_ratio(value) if value.endswith("%") else parse_duration(value) / 1e9
    assert isinstance(value, int | float)
    return float(value)


def load(path: Path) -> Story:
    """Reads a story; a word it does not know is an error."""
    data = YAML(typ="safe").load(path)
    return Story(
        story=data.pop("story"),
        lasts_ns=parse_duration(data.pop("lasts")),
        settings=_settings(data.pop("settings", {}), data.pop("profiles", {})),
        happenings=sorted((h for row in data.pop("happens") for h in _repeat(row)), key=lambda h: h.at_ns),
        baselines={name: quantity(value) for name, value in data.pop("baselines", {}).items()},
        **data,
    )


def _repeat(row: dict[str, Any]) -> Iterator[Happening]:
    at_ns = parse_duration(row.pop("at"))
    step_ns = parse_duration(row.pop("every", 0))
    until_ns = parse_duration(row.pop("until", 0)) or at_ns
    assert len(row) == 1, f"one thing at a time: {row}"
    while at_ns <= until_ns:
        yield Happening(at_ns, **row)
        at_ns += step_ns or until_ns + 1


def _settings(rows: dict[str, Any], profiles: dict[str, Any]) -> EngineSettings:
    known = {f.name for f in fields(EngineSettings)}
    values: dict[str, Any] = {}
    for name, value in rows.items():
        if f"{name}_ns" in known:
            values[f"{name}_ns"] = parse_duration(value)
        elif f"{name}_ratio" in known:
            values[f"{name}_ratio"] = parse_ratio(value)
        else:
            values[name] = value
    by_agent = {agent: _profile(agent, row) for agent, row in profiles.items()}
    default = by_agent.pop("*", _profile("*", {}))
    return EngineSettings(profiles=Profiles(default, by_agent), **values)


def _profile(agent: str, row: dict[str, Any]) -> Profile:
    values: dict[str, Any] = {"auto_scaling_enabled": "scaling" in row}
    if "thresholds" in row:
        thresholds = row.pop("thresholds")
        values["directions"] = {
            metric: Direction(levels.pop("direction")) for metric, levels in thresholds.items() if "direction" in levels
        }
        values["thresholds"] = {
            metric: {Level[level.upper()]: quantity(value) for level, value in levels.items()}
            for metric, levels in thresholds.items()
        }
    if "scaling" in row:
        rules: dict[str, Any] = row.pop("scaling")
        for name in rules.keys() & {"cpu_threshold", "memory_threshold"}:
            rules[name] = None if rules[name] is None else quantity(rules[name])
        values["scaling"] = ScalingRules(**rules)
    return Profile(agent, **values, **row)
