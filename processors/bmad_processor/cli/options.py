"""Options that several commands have, so that they are written and mean the same everywhere."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from bmad_processor.agent_names import CANONICAL
from bmad_processor.quantities import NotUnderstood, endpoint

from .source import DEFAULT_ENDPOINT, DEFAULT_STATE, TLS


class LevelName(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    EMERGENCY = "emergency"


class StatusName(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


def checked_endpoint(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return endpoint(text.removeprefix("http://").rstrip("/"))
    except NotUnderstood as error:
        raise typer.BadParameter(f"expected an address as host:port, such as {DEFAULT_ENDPOINT}") from error


def checked_api(text: str | None) -> str | None:
    """An address as `source.ask` takes it: ``https://`` before it stays."""
    if text is None or not text.startswith(TLS):
        return checked_endpoint(text)
    return f"{TLS}{checked_endpoint(text.removeprefix(TLS))}"


def complete_agent(incomplete: str) -> list[str]:
    """Canonical names of the BMAD agents that begin so; no collector is asked while somebody types."""
    return [name for name in CANONICAL if name.startswith(incomplete)]


Endpoint = Annotated[
    str | None,
    typer.Option(
        envvar="BMAD_OTEL_ENDPOINT",
        callback=checked_api,
        help="Running collector, behind https:// when its API has TLS."
        f" [default: the background service, else {DEFAULT_ENDPOINT}]",
    ),
]
State = Annotated[
    str | None,
    typer.Option(
        envvar="BMAD_OTEL_STATE",
        help="Store file: read when no collector answers, or at once when given without --endpoint."
        f" [default: that of the background service or {DEFAULT_STATE}, whichever was written last]",
    ),
]
AgentName = Annotated[
    str,
    typer.Argument(help="Any spelling: ProductOwner, product-owner, ProductOwnerAgent.", autocompletion=complete_agent),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's JSON.")]
Configs = Annotated[
    list[str],
    typer.Option(
        "--config",
        "-c",
        help="Configuration file, or file:PATH, env:NAME, yaml:a::b: value; several are merged, later ones win.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="One value laid over the files, such as exporters.otlp_grpc.endpoint=tempo:4317."),
]
