"""Commands about this installation: what is wrong with it, and what it is."""

from __future__ import annotations

import sys
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from .exit_codes import FAILED
from .options import AsJson, checked_api
from .output import Output


class ProtocolName(StrEnum):
    GRPC = "grpc"
    HTTP = "http/protobuf"


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
            callback=checked_api,
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


def show_version() -> None:
    """The version of bmad-otel."""
    try:
        Output().line(f"bmad-otel {version('bmad-otel')}")
    except PackageNotFoundError:
        Output().line("bmad-otel (not installed as a package)")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("doctor")(doctor)
    app.command("version")(show_version)
