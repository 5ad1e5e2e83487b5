"""What the engine must know beforehand: profiles, windows and bounds. Programmer-set, in base units.

`config` turns what a user writes (``60%``, ``5s``) into these; nothing here parses text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from .metric_types import CPU_USAGE, ERROR_RATE, MEMORY_USAGE, QUEUE_SIZE, RESPONSE_TIME, Direction, metric_type
from .model import Level, PartitionKey

SECOND: Final = 1_000_000_000

Thresholds = Mapping[str, Mapping[Level, float]]
"""Metric type to level to value in base units."""

DEFAULT_THRESHOLDS: Final[Thresholds] = MappingProxyType(
    {
        CPU_USAGE: {Level.WARNING: 0.70, Level.CRITICAL: 0.85, Level.EMERGENCY: 0.95},
        MEMORY_USAGE: {Level.WARNING: 0.80, Level.CRITICAL: 0.90, Level.EMERGENCY: 0.95},
        RESPONSE_TIME: {Level.WARNING: 5.0, Level.CRITICAL: 10.0, Level.EMERGENCY: 30.0},
        ERROR_RATE: {Level.WARNING: 0.05, Level.CRITICAL: 0.10, Level.EMERGENCY: 0.20},
        QUEUE_SIZE: {Level.WARNING: 100, Level.CRITICAL: 500, Level.EMERGENCY: 1000},
    }
)
"""What the BMAD monitor used for agents without a profile."""


@dataclass(frozen=True, slots=True)
class ScalingRules:
    """When an agent needs more or fewer instances. Thresholds are the utilisation to hold, ratio 0..1."""

    cpu_threshold: float | None = 0.75
    memory_threshold: float | None = 0.80
    min_instances: int = 1
    max_instances: int = 3
    cost_per_hour: float | None = None
    """What one instance costs in an hour, in US dollars; None when nobody said."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The thresholds of one metric type, prepared for judging: what is beyond one is above it after ``sign``."""

    sign: float
    """-1 when low is bad."""
    levels: tuple[tuple[Level, float, float], ...]
    """Level, threshold, ``sign * threshold``; the lowest level first."""
    first: float
    """The least bad ``sign * threshold``: what is not above breaches nothing."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Thresholds and scaling rules of one agent, defaults already merged in."""

    agent: str
    thresholds: Thresholds = field(default_factory=lambda: DEFAULT_THRESHOLDS)
    scaling: ScalingRules = ScalingRules()
    monitoring_enabled: bool = True
    auto_scaling_enabled: bool = True
    group: str = ""
    """The group whose shared part lies below the agent's own; empty without one."""
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Path of a value (``thresholds::cpu_usage::warning``) to the layer it comes from: ``default``, ``group``,
    ``agent`` or ``registered``. What is not in it is built in. For showing only; nothing is decided by it."""
    directions: Mapping[str, Direction] = field(default_factory=dict)
    """Metric type to the side that is bad, where it is not the one of the table; mainly for custom values."""
    bounds: Mapping[str, Bounds] = field(init=False, compare=False, repr=False)
    """Made from ``thresholds`` and ``directions``."""

    def __post_init__(self) -> None:
        bounds = {name: self._bounds(name, levels) for name, levels in self.thresholds.items() if levels}
        object.__setattr__(self, "bounds", bounds)

    def _bounds(self, name: str, levels: Mapping[Level, float]) -> Bounds:
        sign = -1.0 if self.direction_of(name) is Direction.LOW_IS_BAD else 1.0
        rows = tuple((level, levels[level], sign * levels[level]) for level in sorted(levels))
        return Bounds(sign, rows, min(row[2] for row in rows))

    def direction_of(self, name: str) -> Direction:
        """Which side of the thresholds of metric type ``name`` is bad."""
        return self.directions.get(name) or metric_type(name).direction


HOST_AGENT: Final = "system"
"""Agent name under which a host's own metrics are judged and shown, as in the BMAD monitor."""


@dataclass(frozen=True, slots=True)
class Profiles:
    """All profiles; an agent without one has the default profile."""

    default: Profile = field(default_factory=lambda: Profile("*"))
    by_agent: Mapping[str, Profile] = field(default_factory=dict)

    def of(self, key: PartitionKey) -> Profile:
        """The profile of a partition."""
        return self.by_agent.get(_profile_name(key), self.default)

    def has_own(self, key: PartitionKey) -> bool:
        """Whether a partition has a profile of its own, and not only the default."""
        return _profile_name(key) in self.by_agent


def _profile_name(key: PartitionKey) -> str:
    return HOST_AGENT if key.kind == "host" else key.name


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Every number the engine uses."""

    profiles: Profiles = field(default_factory=Profiles)

    interval_ns: int = 5 * SECOND
    """Length of a pane, and how often everything is judged."""
    window_ns: int = 60 * SECOND
    """Evaluation window, a whole number of panes."""
    lateness_ns: int = 6 * SECOND
    """A pane closes this long after its end; what comes for it later is counted as late. OpenTelemetry SDKs hold spans
    back for up to 5 s by default (`OTEL_BSP_SCHEDULE_DELAY`), so less than that loses spans of others."""
    future_ns: int = 5 * SECOND
    """Event times further ahead of the arrival time than this are not believed and count as the arrival time."""

    early_interval_ns: int = 0
    """Grid of arrival times at which bad news is judged without waiting for the pane end; 0: not at all. Who sets it
    must tick the engine when it asks for it (`Step.wake_at_ns`)."""

    clock_step_ns: int = 60 * SECOND
    """An arrival this much older than the latest means that the clock was set back; a smaller step is waited for."""

    smoothing: float = 0.1
    """EWMA factor of baselines."""
    warmup: int = 10
    """Values a baseline must have learned before it is used."""

    cooldown_ns: int = 300 * SECOND
    """After an alert resolved, the same series stays silent this long unless it gets worse than before."""
    clear_margin_ratio: float = 0.05
    """A level is left only this share of its threshold beyond it (hysteresis)."""
    no_data_after_ns: int = 300 * SECOND
    """An alert whose series has had no data for this long is resolved, saying so."""
    min_tasks: int = 5
    """Finished tasks an error rate must rest on before it is judged."""

    tolerance_ratio: float = 0.1
    """Scaling does nothing within this distance of the target (Kubernetes HPA)."""
    stabilization_ns: int = 300 * SECOND
    """Scaling down follows the highest advice of this long (Kubernetes HPA)."""
    instance_timeout_ns: int = 120 * SECOND
    """An instance not heard of for this long is gone."""

    max_agents: int = 10_000
    """Partitions kept; further agents share one overflow partition per namespace-less key."""
    overflow_agent: str = "otel.overflow"
    """Name of that partition. Engines that share a store have one each, since a partition has one owner."""
    max_instances: int = 200
    """Instances told apart within one partition."""
    max_streams: int = 2_000
    """Cumulative streams diffed within one partition."""
    max_names: int = 100
    """Custom and reported values told apart within one partition."""
    max_models: int = 100
    """Model, provider and workflow whose tokens are told apart within one partition."""
    max_tools: int = 100
    """Tools whose calls are told apart within one partition."""
    forget_after_ns: int = 24 * 3600 * SECOND
    """A partition without data for this long is forgotten, baselines included."""

    @property
    def gone_after_ns(self) -> int:
        """An instance is remembered a good while longer than it counts, so that its running totals stay differences."""
        return max(self.no_data_after_ns, 2 * self.instance_timeout_ns)

    def __post_init__(self) -> None:
        if self.interval_ns <= 0 or self.window_ns % self.interval_ns or self.window_ns <= 0:
            raise ValueError("window_ns must be a whole number of interval_ns")
        if not 0 < self.smoothing <= 1:
            raise ValueError("smoothing must be in 0..1")
