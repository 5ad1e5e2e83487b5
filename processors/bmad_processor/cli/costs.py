"""The command about tokens and money, and the lines about them in an agent's summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from .options import AsJson, Endpoint, State
from .output import Output
from .source import Source
from .text import moment, money, plural


class Group(StrEnum):
    AGENT = "agent"
    MODEL = "model"
    WORKFLOW = "workflow"


def show_costs(
    group_by: Annotated[Group, typer.Option(help="What one line is.")] = Group.AGENT,
    endpoint: Endpoint = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Tokens and what they cost, by agent, model or workflow, the dearest first."""
    out = Output()
    data = Source(endpoint, state, out.note).get("costs", {"group_by": group_by.value})
    out.json(data) if as_json else _table(out, data)


def _table(out: Output, data: Mapping[str, Any]) -> None:
    if not data["rows"]:
        out.line("No model call has been reported yet.")
        return
    title = data["group_by"].capitalize()
    headers = [title, "Cost", "Share", "Calls", "Input tokens", "Output tokens"]
    rows = [[row["key"] or f"(no {data['group_by']})", *_cells(row, row["share"])] for row in data["rows"]]
    if len(rows) > 1:
        rows.append(["Total", *_cells(data["total"], None)])
    out.table(headers, rows, right=headers[1:])
    out.line(f"Since {moment(data['since'])}, in {data['currency']}.")
    for line in _gaps(data):
        out.line(line)


def _cells(bill: Mapping[str, Any], share: float | None) -> list[str]:
    tokens = [f"{bill[name]:,}" for name in ("calls", "input_tokens", "output_tokens")]
    return [money(bill["amount"]), "" if share is None else f"{share * 100:.1f}%", *tokens]


def _gaps(data: Mapping[str, Any]) -> Iterator[str]:
    if not data["is_complete"]:
        yield f"Not complete: no price for {', '.join(data['unpriced_models'])}."
    if data["note"]:
        yield data["note"][:1].upper() + data["note"][1:]


def cost_lines(cost: Mapping[str, Any]) -> Iterator[str]:
    """What ``agent-summary`` says of an agent's ``cost``; nothing when there is nothing to say."""
    if cost["calls"]:
        tokens = f"{cost['input_tokens']:,} tokens in, {cost['output_tokens']:,} out"
        yield f"Cost: {money(cost['amount'])} for {plural(cost['calls'], 'model call')} ({tokens})"
        yield from _gaps(cost)
    instances = cost["instances"]
    if instances["per_hour"] is not None:
        line = f"Instances: {money(instances['per_hour'])} an hour for {instances['count']}"
        if instances["idle_ratio"] is not None:
            line += f", idle {instances['idle_ratio'] * 100:.0f}% ({money(instances['idle_per_hour'])} an hour)"
        yield line


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("costs")(show_costs)
