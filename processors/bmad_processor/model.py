"""The vocabulary of the processor: every value that crosses a stage, frozen, on one page.

Times are ``int`` nanoseconds since the Unix epoch, as in OTLP. Units are in the names (``_ns``, ``_s``, ``_ratio``);
percent appears only where a person reads it. A *partition* is one agent (canonical name within its service namespace),
all its instances together, or one host. An *instance* is one `service.instance.id` of it. A *series* is one metric type
of one partition. A *stream* is one cumulative OTLP time series that a sender reports, diffed by the window stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple


class Signal(StrEnum):
    """OTLP signals, also the names of pipelines."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


class Level(IntEnum):
    """Alert levels, ordered. OTLP severity numbers are 9, 13, 17 and 21."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3
    EMERGENCY = 4

    @property
    def label(self) -> str:
        """The lower-case name used in files, APIs and attributes."""
        return self.name.lower()


class Source(StrEnum):
    """Where task counts come from. Where both exist for an instance, the metric is the truth."""

    SPAN = "span"
    METRIC = "metric"


@dataclass(frozen=True, slots=True, order=True)
class PartitionKey:
    """Identity of a partition; `str()` is the Kafka key and the primary key in the store."""

    kind: str
    """``agent`` or ``host``."""
    namespace: str
    """`service.namespace`, empty when the sender has none."""
    name: str
    """Canonical agent name, or host name."""

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> PartitionKey:
        """Inverse of `str()`; names may contain slashes, namespaces may not."""
        kind, namespace, name = text.split("/", 2)
        return cls(kind, namespace, name)


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One real task worth looking at."""

    trace_id: str
    """Lower-case hex."""
    duration_ns: int
    task: str
    error: str
    """`error.type`, empty for a task that succeeded."""


# What arrives ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskSample:
    """Finished tasks of one instance within one pane: the spans of some requests, or one delta histogram point."""

    key: PartitionKey
    instance: str
    source: Source
    time_ns: int
    """Event time; for spans the start of the pane they ended in."""
    covered_ns: int
    """How long the sender counted; 0 when unknown (spans)."""
    count: int
    errors: int
    sum_ns: int
    min_ns: int
    max_ns: int
    buckets: Mapping[int, int]
    """`sketch` bucket index to count."""
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskTotals:
    """One cumulative histogram point of task durations; the window stage turns it into a difference."""

    key: PartitionKey
    instance: str
    stream: str
    start_ns: int
    time_ns: int
    is_error: bool
    count: int
    sum_ns: int
    min_ns: int
    max_ns: int
    buckets: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Reading:
    """One gauge point of a metric type."""

    key: PartitionKey
    instance: str
    metric_type: str
    stream: str
    time_ns: int
    value: float
    unit: str = ""
    """Of a custom or reported value; the other metric types have theirs."""


@dataclass(frozen=True, slots=True)
class Total:
    """One cumulative counter point of a metric type whose value is its rate per second."""

    key: PartitionKey
    instance: str
    metric_type: str
    stream: str
    start_ns: int
    time_ns: int
    value: float


@dataclass(frozen=True, slots=True)
class Increase:
    """One delta counter point of a metric type whose value is its rate per second."""

    key: PartitionKey
    instance: str
    metric_type: str
    stream: str
    time_ns: int
    covered_ns: int
    """How long the sender counted; more than 0."""
    value: float


@dataclass(frozen=True, slots=True, order=True)
class ModelKey:
    """Whose tokens: what a price depends on, and the workflow the call belongs to. Empty where the sender says
    nothing."""

    provider: str
    """`gen_ai.provider.name`."""
    model: str
    workflow: str


@dataclass(frozen=True, slots=True)
class TokenSample:
    """Tokens of finished model calls: the spans of some requests, or one delta histogram point."""

    key: PartitionKey
    instance: str
    source: Source
    time_ns: int
    model: ModelKey
    input_tokens: int
    output_tokens: int
    input_calls: int
    """Calls that ``input_tokens`` rests on."""
    output_calls: int


@dataclass(frozen=True, slots=True)
class TokenTotals:
    """One cumulative histogram point of tokens; the window stage turns it into a difference."""

    key: PartitionKey
    instance: str
    stream: str
    start_ns: int
    time_ns: int
    model: ModelKey
    is_output: bool
    count: int
    tokens: int


ANY_TOOL: Final = ""
"""Tool under which all calls within an agent's tasks are counted together, whatever each was called."""


@dataclass(frozen=True, slots=True)
class ToolSample:
    """Finished calls of one tool by an agent: one delta histogram point."""

    key: PartitionKey
    instance: str
    time_ns: int
    tool: str
    is_error: bool
    count: int
    sum_ns: int
    max_ns: int


@dataclass(frozen=True, slots=True)
class ToolTotals:
    """One cumulative histogram point of tool calls; the window stage turns it into a difference."""

    key: PartitionKey
    instance: str
    stream: str
    start_ns: int
    time_ns: int
    tool: str
    is_error: bool
    count: int
    sum_ns: int
    max_ns: int


Sample = TaskSample | TaskTotals | Reading | Total | Increase | TokenSample | TokenTotals | ToolSample | ToolTotals


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request (or one tick, without samples) brings to the engine.

    ``time_ns`` is when it arrived: the only clock the engine knows.
    """

    time_ns: int
    samples: tuple[Sample, ...] = ()


# What the stages say --------------------------------------------------------------------------------------------------


class Measured(NamedTuple):
    """Value of one series over the evaluation window that ends with a pane."""

    metric_type: str
    value: float
    n: int
    """Tasks or readings it rests on."""
    is_fresh: bool
    """Whether the last pane itself brought data."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Judgement of one series at one pane end. ``level`` is the highest breached level, None when there is none."""

    metric_type: str
    value: float
    n: int
    level: Level | None
    threshold: float | None
    """Threshold of ``level``."""
    held_level: Level | None
    """Highest level whose clear threshold is not yet passed: an open alert falls to it, not below (hysteresis)."""
    baseline: float | None
    """Learned normal value, None until warm."""
    score: float | None
    """Distance from the baseline in learned standard deviations, None until warm."""


class AlertStatus(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision was taken, the same for log event, CLI, API and page."""

    rule: str
    """The rule in words, e.g. ``p95 of response_time over 60 s > 3 s``."""
    value: float
    threshold: float | None
    n: int
    window_ns: int
    baseline: float | None = None
    score: float | None = None
    exemplars: tuple[Exemplar, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """What is true about one alert: one episode of one series being out of bounds."""

    alert_id: str
    """``{agent}_{metric_type}_{start in seconds}``, unique per episode."""
    fingerprint: str
    """Identity of the series, the same in every episode."""
    key: PartitionKey
    metric_type: str
    level: Level
    status: AlertStatus
    started_ns: int
    updated_ns: int
    resolved_ns: int | None
    value: float
    threshold: float
    message: str
    reason: Reason
    unit: str = ""
    """Of a custom value; the other metric types have theirs."""


class AlertEventKind(StrEnum):
    FIRED = "fired"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """What is to be said about an alert, once. ``event_id`` derives from the content, so repeats are harmless."""

    event_id: str
    kind: AlertEventKind
    time_ns: int
    alert: Alert


class ScalingAction(StrEnum):
    SCALE_UP = "scale_up"
    SCALE_DOWN = "scale_down"
    MAINTAIN = "maintain"


@dataclass(frozen=True, slots=True)
class ScalingHint:
    """How many instances the agent needs, and why."""

    key: PartitionKey
    time_ns: int
    current: int
    desired: int
    min_instances: int
    max_instances: int
    action: ScalingAction
    reason: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    """Metric type to its value, ratio 0..1."""


class HistoryPoint(NamedTuple):
    """One value of one series, kept for trends and export."""

    key: PartitionKey
    metric_type: str
    time_ns: int
    value: float
    n: int


@dataclass(slots=True)
class Outputs:
    """What one step produced, in order. The only mutable value here: `engine.step` fills it, nobody else."""

    events: list[AlertEvent] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    """Every alert whose state changed, also without anything to announce."""
    hints: list[ScalingHint] = field(default_factory=list)
    """Hints whose advice changed."""
    history: list[HistoryPoint] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Step:
    """Result of `engine.step`."""

    outputs: Outputs
    changed: frozenset[str]
    """Keys (`str(PartitionKey)`) of touched partitions: the write set."""
    removed: frozenset[str]
    """Keys of partitions that were forgotten."""
    wake_at_ns: int | None
    """Latest time by which the engine wants another batch, empty if nothing arrives. None: nothing is open."""
