"""Commands that look ahead: which metrics rise or fall, and how many instances will be needed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from .exit_codes import NO_DATA
from .options import AsJson, Endpoint, State
from .output import Output
from .source import Source
from .text import age, amount, plural

AgentName = Annotated[str, typer.Argument(metavar="AGENT", help="Any spelling: ProductOwner, product-owner.")]
Namespace = Annotated[str | None, typer.Option(help="When several namespaces have an agent of this name.")]


def show_trends(
    agent: AgentName,
    metric: Annotated[str | None, typer.Option(help="Only this metric type. [default: all]")] = None,
    window: Annotated[str, typer.Option(help="How far back to look, such as 90m.")] = "1h",
    namespace: Namespace = None,
    endpoint: Endpoint = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Which metrics of an agent rise or fall, how fast, and how sure that is."""
    out = Output()
    params = {"window": window} | _given(metric=metric, namespace=namespace)
    data = Source(endpoint, state, out.note).get(f"agents/{_checked(agent)}/trend", params)
    out.json(data) if as_json else _print_trends(out, data)
    if not any(row["n"] for row in data["trends"].values()):
        sys.exit(NO_DATA)


def predict(
    agent: AgentName,
    horizon: Annotated[str, typer.Option(help="How far ahead to look, such as 30m.")] = "15m",
    namespace: Namespace = None,
    endpoint: Endpoint = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """How many instances an agent will need, why, and how urgent that is."""
    out = Output()
    params = {"horizon": horizon} | _given(namespace=namespace)
    data = Source(endpoint, state, out.note).get(f"agents/{_checked(agent)}/prediction", params)
    out.json(data) if as_json else _print_prediction(out, data)
    if data["reason"] == "no data":
        sys.exit(NO_DATA)


def _checked(agent: str) -> str:
    if not agent.strip():
        raise typer.BadParameter("an agent's name is needed", param_hint="AGENT")
    return agent


def _given(**params: str | None) -> dict[str, str]:
    return {name: value for name, value in params.items() if value is not None}


def _print_trends(out: Output, data: Mapping[str, Any]) -> None:
    rows = []
    for name, row in data["trends"].items():
        covered = "-" if row["from"] is None else age(row["to"] - row["from"])
        slope = _per_hour(row["slope_per_hour"], row["unit"])
        rows.append(
            [name, row["direction"], slope, _interval(row["ci95"], row["unit"]), str(row["n"]), covered, row["reason"]]
        )
    if rows:
        out.table(
            ["Metric", "Direction", "Per hour", "95 %", "n", "Over", "Why"], rows, right=("Per hour", "n", "Over")
        )
    else:
        out.line("No values yet.")


def _print_prediction(out: Output, data: Mapping[str, Any]) -> None:
    change = plural(data["current"], "instance")
    if data["desired"] != data["current"]:
        change = f"{data['current']} -> {data['desired']} instances"
    out.line(f"{data['agent_name']}: {data['action']}, {change}, urgency {data['urgency']}", style="bold")
    out.line(data["reason"])
    rows = []
    for name, row in data["evidence"].items():
        reaches = row["reaches_threshold_in_s"]
        rows.append(
            [
                name,
                amount(row["value"], "%"),
                _per_hour(row["slope_per_hour"], "%"),
                amount(row["predicted"], "%"),
                _interval(row["ci95"], "%"),
                amount(row["threshold"], "%"),
                "-" if reaches is None else "now" if reaches == 0 else f"in {age(reaches)}",
                str(row["n"]),
            ]
        )
    if rows:
        out.line()
        ahead = f"In {age(data['horizon_s'])}"
        headers = ["Metric", "Now", "Per hour", ahead, "95 %", "Target", "Reached", "n"]
        out.table(headers, rows, right=("Now", "Per hour", ahead, "Target", "n"))


def _per_hour(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return ("+" if value > 0 else "") + amount(value, unit)


def _interval(bounds: list[float] | None, unit: str) -> str:
    return "-" if bounds is None else f"{amount(bounds[0], unit)} to {amount(bounds[1], unit)}"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("trends")(show_trends)
    app.command("predict")(predict)
