"""The state of an engine as versioned JSON, and back. Never pickle: a dump must be readable by another release."""

from __future__ import annotations

import json
from typing import Any, Final

from .model import Exemplar, Level, ModelKey, PartitionKey, Reason
from .state import (
    Baseline,
    Cell,
    Condition,
    Instance,
    Latest,
    Named,
    Pane,
    Partition,
    Scaling,
    Stream,
    Tasks,
    TokenUse,
    ToolUse,
)

STATE_VERSION: Final = 2
"""Raised when the meaning of a dumped field changes; older dumps are then migrated or refused, never guessed. What a
release adds is left out of the dumps of those before and read as empty.

2: a partition knows the pane end it waits for (``due``), since partitions are kept at different times; one of version 1
goes on at the next pane end of the store's clock, as it did then."""

_READABLE: Final = (1, 2)

_ENCODE: Final = json.JSONEncoder(separators=(",", ":")).encode


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


def _dump_pane(pane: Pane) -> str:
    # most panes of a partition are closed and never change again
    if not pane.text:
        pane.text = _ENCODE(
            [
                pane.start_ns,
                [
                    [i, s, t.count, t.errors, t.sum_ns, t.min_ns, t.max_ns, t.covered_ns, _pairs(t.buckets)]
                    for (i, s), t in pane.tasks.items()
                ],
                [[m, i, s, c.total, c.weight, c.n] for (m, i, s), c in pane.cells.items()],
                [_dump_exemplar(e) for e in pane.exemplars],
            ]
        )
    return pane.text


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
    """JSON text of one partition. What does not change any more is encoded once."""
    head = _ENCODE(
        {
            "v": STATE_VERSION,
            "key": [p.key.kind, p.key.namespace, p.key.name],
            "seen": [p.first_seen_ns, p.last_seen_ns],
            "totals": [p.tasks_total, p.errors_total],
            "due": [p.due_ns, p.early_ns, p.swept_ns],
            "instances": [_dump_instance(name, instance) for name, instance in p.instances.items()],
            "streams": [
                [*k, s.start_ns, s.time_ns, s.value, s.count, s.sum_ns, _pairs(s.buckets)]
                for k, s in p.streams.items()
            ],
            "baselines": [[m, b.n, b.mean, b.variance] for m, b in p.baselines.items()],
            "conditions": [
                [m, c.status, c.level, c.started_ns, c.said_level, c.silent_until_ns, c.last_data_ns, c.value,
                 c.threshold, dump_reason(c.reason), c.held_until_ns]
                for m, c in p.conditions.items()
            ],
            "latest": [[m, x.value, x.n, x.time_ns, x.level, x.score] for m, x in p.latest.items()],
            "scaling": [p.scaling.advice, p.scaling.desired, p.scaling.current, p.scaling.action, p.scaling.reason,
                        p.scaling.time_ns],
            "names": [[m, named.unit, named.last_seen_ns] for m, named in p.names.items()],
            "tokens": [p.tokens_since_ns, _dump_tokens(p.tokens)],
            "tools": [[name, t.calls, t.errors, t.sum_ns, t.max_ns] for name, t in p.tools.items()],
        }
    )  # fmt: skip
    return f'{head[:-1]},"panes":[{",".join([_dump_pane(pane) for pane in p.panes])}]}}'


def load_partition(text: str) -> Partition:
    """Inverse of `dump_partition`. Raises ValueError for another version or a damaged text."""
    try:
        data = json.loads(text)
        if data["v"] not in _READABLE:
            raise ValueError(f"state version {data['v']!r}, this program reads {STATE_VERSION} and older")
        advice, desired, current, action, reason, time_ns = data["scaling"]
        tokens_since_ns, tokens = data.get("tokens", (0, []))
        due_ns, early_ns, swept_ns = data.get("due", (0, 0, 0))
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
                m: Condition(
                    status, _level(lv), started, _level(said), silent, seen, value, limit, load_reason(why), *held
                )
                for m, status, lv, started, said, silent, seen, value, limit, why, *held in data["conditions"]
            },
            latest={m: Latest(value, n, t, _level(lv), score) for m, value, n, t, lv, score in data["latest"]},
            scaling=Scaling([(t, d) for t, d in advice], desired, current, action, reason, time_ns),
            names={m: Named(unit, seen) for m, unit, seen in data.get("names", [])},
            tokens=_load_tokens(tokens),
            tokens_since_ns=tokens_since_ns,
            # dumps of releases that did not count tools have none
            tools={name: ToolUse(*counts) for name, *counts in data.get("tools", ())},
            due_ns=due_ns,
            early_ns=early_ns,
            swept_ns=swept_ns,
        )
    except (KeyError, TypeError, IndexError, OverflowError, RecursionError, json.JSONDecodeError) as error:
        raise ValueError(f"damaged state: {error!r}") from error
