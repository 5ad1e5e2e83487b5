"""The command that writes down everything that is known."""

from __future__ import annotations

import os
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bmad_processor.quantities import NotUnderstood, duration_ns

from .exit_codes import FAILED
from .options import Endpoint, State
from .output import Output
from .source import NoData, Source


class FormatName(StrEnum):
    JSON = "json"
    CSV = "csv"
    PROMETHEUS = "prometheus"
    OPENMETRICS = "openmetrics"
    OTLP_JSON = "otlp-json"


def checked_duration(text: str | None) -> str | None:
    """The option's value, refused when it is no duration."""
    if text is not None:
        try:
            duration_ns(text)
        except NotUnderstood as error:
            raise typer.BadParameter(str(error)) from error
    return text


def export_data(
    format: Annotated[FormatName, typer.Option(help="How to write it.")] = FormatName.JSON,  # noqa: A002 - the option's name
    output: Annotated[
        Path | None, typer.Option(help="Write to this file, whole or not at all. [default: standard output]")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(callback=checked_duration, help="Only history this young, such as 1h. [default: all kept]"),
    ] = None,
    endpoint: Endpoint = None,
    state: State = None,
) -> None:
    """Everything known: summaries, alerts, scaling hints and history.

    csv and otlp-json have the history, prometheus and openmetrics what is true now, json both.
    """
    # imported here: OTLP's names come with the whole SDK, which the other commands do not need
    from bmad_processor.export import is_empty, render

    out = Output()
    with Console(stderr=True).status("collecting ..."):  # shown on a terminal only
        document = Source(endpoint, state, out.note).get("export", {} if since is None else {"since": since})
        if is_empty(document):
            raise NoData("no agent and no host has reported yet")
        text = render(document, format.value)
    if document.get("is_truncated"):
        out.note("the history is longer than one export takes; the newest points of every series are in it")
    if output is None or str(output) == "-":
        sys.stdout.write(text)
        return
    try:
        write_whole(output, text)
    except OSError as error:
        out.note(f"cannot write {output}: {error.strerror or error}")
        sys.exit(FAILED)
    out.note(f"wrote {output} ({_described(document)})")


def write_whole(path: Path, text: str) -> None:
    """Puts ``text`` into ``path`` so that nobody ever sees half of it. Raises OSError; then the old file is unchanged.

    A path that is no regular file (a pipe, ``/dev/stdout``) is simply written to.
    """
    data = text.encode("utf-8", "replace")
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    path = path.resolve()  # a link stays a link
    file, name = tempfile.mkstemp(prefix=f".{path.name[:64]}.", dir=path.parent)
    try:
        with os.fdopen(file, "wb") as temporary:
            temporary.write(data)
            temporary.flush()
            os.fsync(temporary.fileno())
        Path(name).chmod(path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _described(document: dict[str, Any]) -> str:
    points = sum(
        len(series["points"])
        for owner in (*document["history"].values(), *document["host_history"].values())
        for series in owner.values()
    )
    return f"{len(document['agent_summaries'])} agents, {points} points of history"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("export-data")(export_data)
