"""State of the engine: plain values with slots, changed in place, dumped as versioned JSON. No behaviour beyond that.

Memory per agent (measured by ``benchmarks/engine_step.py``): a few kilobytes for one instance, growing with the panes
of the window times the instances seen in them. Every container here has a bound in `EngineSettings`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from .model import Exemplar, Level, ModelKey, PartitionKey, Reason

STATE_VERSION: Final = 1
"""Raised when the meaning of a dumped field changes; older dumps are then migrated or refused, never guessed. What a
release adds is left out of the dumps of those before and read as empty."""


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
    due: dict[int, set[str]] = field(default_factory=dict)
    """Pane end to the partitions to judge then."""
    counters: dict[str, int] = field(default_factory=dict)
    """What was not used, by reason; the names are fixed in `window`."""

    def count(self, name: str, n: int = 1) -> None:
        self.counters[name] = self.counters.get(name, 0) + n


# Dump and load --------------------------------------------------------------------------------------------------------


def _dump_exemplar(e: Exemplar) -> list[Any]:
    return [e.trace_id, e.duration_ns, e.task, e.error]


def dump_reason(reason: Reason | None) -> dict[str, Any] | None:
    """JSON form of a reason, also what APIs show."""
    if reason is None:
        return None
    return {
        "rule": reason.rule,
        "value": reason.value,
        "threshold": reason.threshold,
        "n": reason.n,
        "window_s": reason.window_ns / 1e9,
        "baseline": reason.baseline,
        "score": reason.score,
        "note": reason.note,
        "exemplars": [
            {"trace_id": e.trace_id, "duration_s": e.duration_ns / 1e9, "task": e.task, "error": e.error}
            for e in reason.exemplars
        ],
    }


def load_reason(data: dict[str, Any] | None) -> Reason | None:
    """Inverse of `dump_reason`."""
    if data is None:
        return None
    return Reason(
        rule=data["rule"],
        value=data["value"],
        threshold=data["threshold"],
        n=data["n"],
        window_ns=round(data["window_s"] * 1e9),
        baseline=data["baseline"],
        score=data["score"],
        note=data["note"],
        exemplars=tuple(
            Exemplar(e["trace_id"], round(e["duration_s"] * 1e9), e["task"], e["error"]) for e in data["exemplars"]
        ),
    )


def _pairs(buckets: dict[int, int]) -> list[list[int]]:
    return [[index, count] for index, count in buckets.items()]


def _dump_pane(pane: Pane) -> list[Any]:
    return [
        pane.start_ns,
        [
            [i, s, t.count, t.errors, t.sum_ns, t.min_ns, t.max_ns, t.covered_ns, _pairs(t.buckets)]
            for (i, s), t in pane.tasks.items()
        ],
        [[m, i, s, c.total, c.weight, c.n] for (m, i, s), c in pane.cells.items()],
        [_dump_exemplar(e) for e in pane.exemplars],
    ]


def _load_pane(data: list[Any]) -> Pane:
    start_ns, tasks, cells, exemplars = data
    return Pane(
        start_ns,
        {(i, s): Tasks(n, e, total, low, high, cov, dict(b)) for i, s, n, e, total, low, high, cov, b in tasks},
        {(m, i, s): Cell(total, weight, n) for m, i, s, total, weight, n in cells},
        [Exemplar(*e) for e in exemplars],
    )


def _dump_tokens(tokens: dict[ModelKey, TokenUse]) -> list[list[Any]]:
    return [
        [k.provider, k.model, k.workflow, u.input_tokens, u.output_tokens, u.input_calls, u.output_calls]
        for k, u in tokens.items()
    ]


def _load_tokens(rows: list[list[Any]]) -> dict[ModelKey, TokenUse]:
    return {ModelKey(p, m, w): TokenUse(i, o, n_in, n_out) for p, m, w, i, o, n_in, n_out in rows}


def _dump_instance(name: str, i: Instance) -> list[Any]:
    row = [name, i.first_seen_ns, i.last_seen_ns, int(i.has_metrics), i.counted_until_ns, i.span_tasks, i.span_errors]
    return [*row, i.metrics_since_ns, int(i.has_token_metrics), _dump_tokens(i.span_tokens)]


def _load_instance(row: list[Any]) -> tuple[str, Instance]:
    name, first, last, has_metrics, until, tasks, errors, *added = row
    since, has_token_metrics, tokens = added or (0, False, [])
    return name, Instance(
        first, last, bool(has_metrics), until, tasks, errors, since, bool(has_token_metrics), _load_tokens(tokens)
    )


def _level(value: int | None) -> Level | None:
    return None if value is None else Level(value)


def dump_partition(p: Partition) -> str:
    """JSON text of one partition."""
    return json.dumps(
        {
            "v": STATE_VERSION,
            "key": [p.key.kind, p.key.namespace, p.key.name],
            "seen": [p.first_seen_ns, p.last_seen_ns],
            "totals": [p.tasks_total, p.errors_total],
            "panes": [_dump_pane(pane) for pane in p.panes],
            "instances": [_dump_instance(name, instance) for name, instance in p.instances.items()],
            "streams": [
                [*k, s.start_ns, s.time_ns, s.value, s.count, s.sum_ns, _pairs(s.buckets)]
                for k, s in p.streams.items()
            ],
            "baselines": [[m, b.n, b.mean, b.variance] for m, b in p.baselines.items()],
            "conditions": [
                [m, c.status, c.level, c.started_ns, c.said_level, c.silent_until_ns, c.last_data_ns, c.value,
                 c.threshold, dump_reason(c.reason)]
                for m, c in p.conditions.items()
            ],
            "latest": [[m, x.value, x.n, x.time_ns, x.level, x.score] for m, x in p.latest.items()],
            "scaling": [p.scaling.advice, p.scaling.desired, p.scaling.current, p.scaling.action, p.scaling.reason,
                        p.scaling.time_ns],
            "names": [[m, named.unit, named.last_seen_ns] for m, named in p.names.items()],
            "tokens": [p.tokens_since_ns, _dump_tokens(p.tokens)],
            "tools": [[name, t.calls, t.errors, t.sum_ns, t.max_ns] for name, t in p.tools.items()],
        },
        separators=(",", ":"),
    )  # fmt: skip


def load_partition(text: str) -> Partition:
    """Inverse of `dump_partition`. Raises ValueError for another version or a damaged text."""
    try:
        data = json.loads(text)
        if data["v"] != STATE_VERSION:
            raise ValueError(f"state version {data['v']!r}, this program reads {STATE_VERSION}")
        advice, desired, current, action, reason, time_ns = data["scaling"]
        tokens_since_ns, tokens = data.get("tokens", (0, []))
        return Partition(
            key=PartitionKey(*data["key"]),
            first_seen_ns=data["seen"][0],
            last_seen_ns=data["seen"][1],
            tasks_total=data["totals"][0],
            errors_total=data["totals"][1],
            panes=[_load_pane(pane) for pane in data["panes"]],
            instances=dict(_load_instance(row) for row in data["instances"]),
            streams={
                (m, i, s): Stream(start, t, value, n, total, dict(b))
                for m, i, s, start, t, value, n, total, b in data["streams"]
            },
            baselines={m: Baseline(n, mean, variance) for m, n, mean, variance in data["baselines"]},
            conditions={
                m: Condition(status, _level(lv), started, _level(said), silent, seen, value, limit, load_reason(why))
                for m, status, lv, started, said, silent, seen, value, limit, why in data["conditions"]
            },
            latest={m: Latest(value, n, t, _level(lv), score) for m, value, n, t, lv, score in data["latest"]},
            scaling=Scaling([(t, d) for t, d in advice], desired, current, action, reason, time_ns),
            names={m: Named(unit, seen) for m, unit, seen in data.get("names", [])},
            tokens=_load_tokens(tokens),
            tokens_since_ns=tokens_since_ns,
            # dumps of releases that did not count tools have none
            tools={name: ToolUse(*counts) for name, *counts in data.get("tools", ())},
        )
    except (KeyError, TypeError, IndexError, OverflowError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError(f"damaged state: {error!r}") from error
