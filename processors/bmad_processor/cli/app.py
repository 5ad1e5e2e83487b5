"""The commands. Each asks, shows, and says with its exit code how it went."""

from __future__ import annotations

import sys
from dataclasses import asdict
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_core import PydanticCustomError

from bmad_processor.errors import ConfigError, MissingExtra, ProcessorError
from bmad_processor.fields import parse_endpoint
from bmad_processor.model import Level
from bmad_processor.read_model import Unanswerable

from . import views
from .exit_codes import FAILED, NO_DATA, OK, USAGE
from .output import Output
from .source import DEFAULT_ENDPOINT, DEFAULT_STATE, NoData, Source

app = typer.Typer(
    name="bmad-otel",
    help="Tracking, baselines, alerts and scaling hints for agents, over OpenTelemetry.",
    epilog="Exit codes: 0 ok, 1 failed or --fail-on violated, 2 wrong usage, configuration or name, 3 no data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class LevelName(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    EMERGENCY = "emergency"


class StatusName(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


class ProtocolName(StrEnum):
    GRPC = "grpc"
    HTTP = "http/protobuf"


def _endpoint(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return parse_endpoint(text.removeprefix("http://").rstrip("/"))
    except PydanticCustomError as error:
        raise typer.BadParameter(f"expected an address as host:port, such as {DEFAULT_ENDPOINT}") from error


Endpoint = Annotated[
    str | None,
    typer.Option(
        envvar="BMAD_OTEL_ENDPOINT", callback=_endpoint, help=f"Running collector. [default: {DEFAULT_ENDPOINT}]"
    ),
]
State = Annotated[
    str | None,
    typer.Option(
        envvar="BMAD_OTEL_STATE",
        help="Store file: read when no collector answers, or at once when given without --endpoint."
        f" [default: {DEFAULT_STATE}]",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's JSON.")]
Configs = Annotated[
    list[Path], typer.Option("--config", "-c", help="Configuration file; several are merged, later ones win.")
]


def run() -> int:
    """Runs the command line of this process; the exit code."""
    try:
        # typer says what is wrong with the usage itself, exit code 2
        app(standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else (OK if end.code is None else FAILED)
    except Unanswerable as error:
        known = f"; did you mean {' or '.join(error.suggestions)}?" if error.suggestions else ""
        Output.note(f"{error.detail[:1].upper()}{error.detail[1:]}{known}")
        return USAGE
    except ConfigError as error:
        for problem in error.problems:
            Output.note(str(problem))
        return USAGE
    except MissingExtra as error:
        Output.note(str(error))
        return USAGE
    except NoData as error:
        Output.note(f"No data: {error}")
        return NO_DATA
    except ProcessorError as error:
        Output.note(str(error))
        return FAILED
    return OK


@app.command()
def collector(config: Configs) -> None:
    """Run the collector until it is told to stop (SIGTERM, Ctrl-C).

    Exit code 2: the configuration is wrong, every problem is named. 1: a port, file or database could not be opened.
    """
    # imported here: the reading commands need neither gRPC nor protobuf, and start several times faster without
    from bmad_processor.run.service import run_collector
    from bmad_processor.web import build_api

    sys.exit(run_collector(config, build_api=build_api))


@app.command()
def validate(config: Configs, as_json: AsJson = False) -> None:
    """Check configuration files without starting anything; every problem is named with file and line."""
    from bmad_processor.config import load_config

    out = Output()
    try:
        checked = load_config(config)
    except ConfigError as error:
        if not as_json:
            raise
        out.json({"is_valid": False, "problems": [asdict(problem) for problem in error.problems], "warnings": []})
        sys.exit(USAGE)
    if as_json:
        warnings = [asdict(warning) for warning in checked.warnings]
        out.json({"is_valid": True, "problems": [], "warnings": warnings})
    else:
        for warning in checked.warnings:
            out.note(f"warning: {warning}")
        out.line("valid: " + ", ".join(str(path) for path in config))


@app.command("system-summary")
def show_system_summary(endpoint: Endpoint = None, state: State = None, as_json: AsJson = False) -> None:
    """Hosts, agents, alerts, and what was not used."""
    out = Output()
    data = Source(endpoint, state, out.note).get("system-summary")
    out.json(data) if as_json else views.show_system(out, data)


@app.command("agent-summary")
def show_agent_summary(
    name: Annotated[str, typer.Argument(help="Any spelling: ProductOwner, product-owner, ProductOwnerAgent.")],
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


@app.command("list-agents")
def list_agents(endpoint: Endpoint = None, state: State = None, as_json: AsJson = False) -> None:
    """One line per agent, those in trouble first."""
    out = Output()
    data = Source(endpoint, state, out.note).get("agents")
    out.json(data) if as_json else views.show_agents(out, data)


@app.command("show-alerts")
def show_alerts(
    agent: Annotated[str | None, typer.Option(help="Only of this agent.")] = None,
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


@app.command()
def doctor(
    endpoint: Annotated[
        str | None,
        typer.Option(help="Receiver, as for configure(endpoint=...). [default: the OTEL_EXPORTER_OTLP_ variables]"),
    ] = None,
    protocol: Annotated[
        ProtocolName | None, typer.Option(help="Protocol, as for configure(protocol=...). [default: likewise]")
    ] = None,
    api: Annotated[
        str | None,
        typer.Option(
            envvar="BMAD_OTEL_ENDPOINT",
            callback=_endpoint,
            help="API of the collector. [default: port 8320 of the receiver's host]",
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds to wait for each answer.")] = 5.0,
    measure: Annotated[bool, typer.Option(help="Measure what a tracked call costs; takes two seconds.")] = True,
    as_json: AsJson = False,
) -> None:
    """Why does no data arrive, who is unprofiled, what does tracking cost here? With what to do about it.

    Sends empty requests, changes nothing. Exit code 1: there is a problem; warnings alone are 0.
    """
    # imported here: what it asks with is of no use to the other commands
    from .doctor import Asked, Status, examine, settings_of, show, to_json

    try:
        settings = settings_of(endpoint, None if protocol is None else protocol.value)
    except ValueError as error:
        raise typer.BadParameter(str(error).removeprefix("configure: ")) from error
    out = Output()
    findings = examine(Asked(settings, api, timeout, measure))
    out.json(to_json(findings)) if as_json else show(out, findings)
    if any(finding.status is Status.PROBLEM for finding in findings):
        sys.exit(FAILED)


@app.command("version")
def show_version() -> None:
    """The version of bmad-otel."""
    try:
        Output().line(f"bmad-otel {version('bmad-otel')}")
    except PackageNotFoundError:
        Output().line("bmad-otel (not installed as a package)")
