"""State of the engine: plain values with slots, changed in place. No behaviour; `state_json` dumps it.

Memory per agent (measured by ``benchmarks/engine_step.py``): a few kilobytes for one instance, growing with the panes
of the window times the instances seen in them. Every container here has a bound in `EngineSettings`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .model import Exemplar, Level, ModelKey, PartitionKey, Reason


@dataclass(slots=True)
class Tasks:
    """Finished tasks of one instance and source within one pane."""

    count: int = 0
    errors: int = 0
    sum_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0
    covered_ns: int = 0
    buckets: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Cell:
    """Readings of one stream within one pane: value is ``total / weight``."""

    total: float = 0.0
    weight: float = 0.0
    n: int = 0


@dataclass(slots=True)
class Pane:
    start_ns: int
    tasks: dict[tuple[str, str], Tasks] = field(default_factory=dict)
    """By (instance, source)."""
    cells: dict[tuple[str, str, str], Cell] = field(default_factory=dict)
    """By (metric type, instance, stream)."""
    exemplars: list[Exemplar] = field(default_factory=list)
    """At most two: the slowest failed task and the slowest successful one."""
    text: str = field(default="", compare=False, repr=False)
    """Its dump, kept until the pane changes; empty when there is none."""


@dataclass(slots=True)
class WindowSums:
    """Tasks of the panes from ``begin_ns`` to ``end_ns``, added up. Whole numbers, so that taking a pane out again is
    exact."""

    begin_ns: int
    end_ns: int
    count: int = 0
    errors: int = 0
    sum_ns: int = 0
    buckets: dict[int, int] = field(default_factory=dict)
    by_instance: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Instance to (tasks, nanoseconds its metric points covered, panes it is in)."""
    sources: dict[str, str] = field(default_factory=dict)
    """Which source of each instance was counted."""


@dataclass(slots=True)
class Stream:
    """Last point of a cumulative stream."""

    start_ns: int
    time_ns: int
    value: float = 0.0
    count: int = 0
    sum_ns: int = 0
    buckets: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Instance:
    first_seen_ns: int
    last_seen_ns: int
    has_metrics: bool = False
    """Its own task metrics arrived: its spans are exemplars from then on."""
    counted_until_ns: int = 0
    """Latest time its task metrics covered; 0 before the first."""
    span_tasks: int = 0
    """Tasks counted by spans alone: taken back when its metrics turn out to count them too."""
    span_errors: int = 0
    metrics_since_ns: int = 0
    """Event time of its first metric of any kind; 0 before."""
    has_token_metrics: bool = False
    """Its own token metric arrived: the tokens of its spans are the same ones from then on."""
    span_tokens: dict[ModelKey, TokenUse] = field(default_factory=dict)
    """Tokens counted by spans alone: taken back when its metrics turn out to count them too."""


@dataclass(slots=True)
class TokenUse:
    """Tokens of one model, provider and workflow."""

    input_tokens: int = 0
    output_tokens: int = 0
    input_calls: int = 0
    """Calls that told their input tokens."""
    output_calls: int = 0

    @property
    def calls(self) -> int:
        """Model calls: one tells its input tokens, its output tokens or both."""
        return max(self.input_calls, self.output_calls)

    def add(self, other: TokenUse, sign: int = 1) -> None:
        self.input_tokens += sign * other.input_tokens
        self.output_tokens += sign * other.output_tokens
        self.input_calls += sign * other.input_calls
        self.output_calls += sign * other.output_calls


@dataclass(slots=True)
class Named:
    """A custom or reported value the partition has."""

    unit: str
    last_seen_ns: int


@dataclass(slots=True)
class ToolUse:
    """Calls of one tool since the agent is known."""

    calls: int = 0
    errors: int = 0
    sum_ns: int = 0
    max_ns: int = 0


@dataclass(slots=True)
class Baseline:
    """Exponentially weighted mean and variance."""

    n: int = 0
    mean: float = 0.0
    variance: float = 0.0


@dataclass(slots=True)
class Condition:
    """Where one series stands in the alert lifecycle."""

    status: str = "inactive"
    level: Level | None = None
    started_ns: int = 0
    """When the present (or last) episode began."""
    said_level: Level | None = None
    """Highest level announced in the present (or last) episode."""
    silent_until_ns: int = 0
    """End of the cooldown."""
    last_data_ns: int = 0
    value: float = 0.0
    threshold: float = 0.0
    reason: Reason | None = None
    held_until_ns: int = 0
    """What was said early is left alone until this pane end: the windows before it do not have what it was said on."""


@dataclass(slots=True)
class Scaling:
    advice: list[tuple[int, int]] = field(default_factory=list)
    """(time, desired) within the stabilization window, highest kept per pane."""
    desired: int = 0
    """Last advice given; 0 before the first."""
    current: int = 0
    action: str = ""
    reason: str = ""
    time_ns: int = 0


@dataclass(slots=True)
class Latest:
    """Last verdict of a series, for summaries."""

    value: float
    n: int
    time_ns: int
    level: Level | None = None
    score: float | None = None


@dataclass(slots=True)
class Partition:
    key: PartitionKey
    first_seen_ns: int
    last_seen_ns: int
    panes: list[Pane] = field(default_factory=list)
    """Oldest first; open ones at the end."""
    instances: dict[str, Instance] = field(default_factory=dict)
    streams: dict[tuple[str, str, str], Stream] = field(default_factory=dict)
    """By (metric type, instance, stream); task streams under ``tasks`` and ``errors``, token streams under
    ``tokens``."""
    baselines: dict[str, Baseline] = field(default_factory=dict)
    conditions: dict[str, Condition] = field(default_factory=dict)
    latest: dict[str, Latest] = field(default_factory=dict)
    scaling: Scaling = field(default_factory=Scaling)
    tasks_total: int = 0
    errors_total: int = 0
    names: dict[str, Named] = field(default_factory=dict)
    """Metric type of every custom and reported value that has a series of its own."""
    tokens: dict[ModelKey, TokenUse] = field(default_factory=dict)
    """Since ``tokens_since_ns``."""
    tokens_since_ns: int = 0
    """Event time of the first token use; 0 before."""
    tools: dict[str, ToolUse] = field(default_factory=dict)
    """By the tool's name; all together under `ANY_TOOL`."""
    due_ns: int = 0
    """Pane end to judge next; 0 before it is on the `agenda`."""
    early_ns: int = 0
    """Point of the early grid to judge at; 0: nothing bad has come since the last."""
    swept_ns: int = 0
    """Pane in which silent streams were looked for last, when there was no room for a new one."""
    sums: WindowSums | None = field(default=None, compare=False, repr=False)
    """Derived from the panes, never dumped; None when it has to be made anew."""

    def unit_of(self, metric_type: str) -> str:
        """Unit of a custom or reported value, empty when it came without one; empty for all others."""
        named = self.names.get(metric_type)
        return "" if named is None else named.unit


@dataclass(slots=True)
class EngineState:
    """Everything an engine owns."""

    partitions: dict[str, Partition] = field(default_factory=dict)
    now_ns: int = 0
    """Latest batch time: never goes back."""
    due: dict[int, dict[str, None]] = field(default_factory=dict)
    """Pane end to the partitions to judge then; see `agenda`."""
    early: dict[int, dict[str, None]] = field(default_factory=dict)
    """Point of the early grid to the partitions to judge then."""
    next_ns: int = 1 << 63
    """Nothing is to be judged before this arrival time."""
    counters: dict[str, int] = field(default_factory=dict)
    """What was not used, by reason; the names are fixed in `window`."""

    def count(self, name: str, n: int = 1) -> None:
        self.counters[name] = self.counters.get(name, 0) + n
