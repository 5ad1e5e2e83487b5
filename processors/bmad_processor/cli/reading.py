"""Commands that ask what is known."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from bmad_processor.model import Level

from . import views
from .exit_codes import FAILED
from .options import AgentName, AsJson, Endpoint, LevelName, State, StatusName, complete_agent
from .output import Output
from .source import Source


def show_system_summary(endpoint: Endpoint = None, state: State = None, as_json: AsJson = False) -> None:
    """Hosts, agents, alerts, and what was not used."""
    out = Output()
    data = Source(endpoint, state, out.note).get("system-summary")
    out.json(data) if as_json else views.show_system(out, data)


def show_agent_summary(
    name: AgentName,
    namespace: Annotated[str | None, typer.Option(help="When several namespaces have an agent of this name.")] = None,
    endpoint: Endpoint = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Everything about one agent; `system` is the host."""
    if not name.strip():
        raise typer.BadParameter("an agent's name is needed", param_hint="NAME")
    out = Output()
    params = {} if namespace is None else {"namespace": namespace}
    data = Source(endpoint, state, out.note).get(f"agents/{name}", params)
    out.json(data) if as_json else views.show_agent(out, data)


def list_agents(endpoint: Endpoint = None, state: State = None, as_json: AsJson = False) -> None:
    """One line per agent, those in trouble first."""
    out = Output()
    data = Source(endpoint, state, out.note).get("agents")
    out.json(data) if as_json else views.show_agents(out, data)


def show_alerts(
    agent: Annotated[str | None, typer.Option(help="Only of this agent.", autocompletion=complete_agent)] = None,
    level: Annotated[LevelName | None, typer.Option(help="Only of this level.")] = None,
    status: Annotated[StatusName | None, typer.Option(help="Only firing or only resolved ones.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many.")] = 100,
    fail_on: Annotated[
        LevelName | None, typer.Option(help="Exit with 1 when an alert of this level or a higher one is firing.")
    ] = None,
    endpoint: Endpoint = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Alerts, firing ones first, then the newest. `--fail-on` looks at all alerts of the agent, whatever is shown."""
    out = Output()
    source = Source(endpoint, state, out.note)
    of_agent = {} if agent is None else {"agent": agent}
    filters = of_agent | {"limit": str(limit)}
    if level is not None:
        filters["level"] = level.value
    if status is not None:
        filters["status"] = status.value
    data = source.get("alerts", filters)
    out.json(data) if as_json else views.show_alerts(out, data)
    if fail_on is not None:
        quiet = Source(endpoint, state, lambda _: None)
        firing = quiet.get("alerts", of_agent | {"status": "firing", "limit": "10000"})["alerts"]
        worst = [alert for alert in firing if _level(alert) >= Level[fail_on.name]]
        if worst:
            out.note(f"{len(worst)} alerts of level {fail_on.value} or higher are firing")
            sys.exit(FAILED)


def _level(alert: dict[str, Any]) -> Level:
    return Level[str(alert["level"]).upper()]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("system-summary")(show_system_summary)
    app.command("agent-summary")(show_agent_summary)
    app.command("list-agents")(list_agents)
    app.command("show-alerts")(show_alerts)
