"""``bmad-otel run -- COMMAND``: a command under watch, and what came of it as an exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bmad_processor.errors import ProcessorError
from bmad_processor.service.endpoints import reachable

from . import views
from .check import Junit, Markdown, check_agents, exit_code_of, show_report, write_reports
from .exit_codes import FAILED, NO_DATA, OK
from .export import write_whole
from .options import LevelName
from .output import Output
from .service import Interval, OptionalConfigs, finite
from .source import Source, ask

if TYPE_CHECKING:
    from bmad_processor.service.private import Private

DEFAULT_INTERVAL_S: Final = 1.0
"""Shorter than the collector's 5 s: the end of a command is waited for by somebody."""

_COMMITTED_S: Final = 0.5
"""After a pane was judged, until it can be asked for: the commit interval here is 200 ms."""

_SINCE: Final = "1h"
"""What the check looks back over, at most; the service is as old as the command."""


def run(
    command: Annotated[
        list[str], typer.Argument(help="The command and its arguments, after --.", metavar="COMMAND...")
    ],
    fail_on: Annotated[
        LevelName | None, typer.Option(help="Exit with 1 when a threshold of this level or a higher one was violated.")
    ] = None,
    junit: Junit = None,
    markdown: Markdown = None,
    export: Annotated[Path | None, typer.Option(help="Write everything known to this file, as JSON.")] = None,
    interval: Interval = None,
    config: OptionalConfigs = None,
) -> None:
    """Run COMMAND with a collector of its own: start, watch, wait for late data, say what happened.

    COMMAND finds it by OTEL_EXPORTER_OTLP_ENDPOINT and BMAD_OTEL_ENDPOINT; what is said goes to standard error. Exit
    code: that of COMMAND; when it is 0, 1 for a violated threshold and 3 when --fail-on had no data to judge.
    """
    # imported here: the collector is of no use to the other commands
    from bmad_processor.service.child_command import NOT_EXECUTABLE, NOT_FOUND, run_command
    from bmad_processor.service.private import private_service

    out = Output()
    chosen = finite(interval)
    if chosen is None and not config:
        chosen = DEFAULT_INTERVAL_S
    with private_service(config or [], chosen, out.note) as service, _leaving_in_good_order():
        ended = run_command(command, service.environment(os.environ), out.note)
        if ended.code in (NOT_FOUND, NOT_EXECUTABLE):
            sys.exit(ended.code)
        with contextlib.redirect_stdout(sys.stderr):  # standard output is the command's
            if not ended.was_asked_to:
                _wait_until_judged(service, out)
            code = _report(service, out, _Wanted(fail_on, junit, markdown, export))
    sys.exit(ended.code or code)


@contextmanager
def _leaving_in_good_order() -> Iterator[None]:
    """A signal to end, while the command does not run, ends this process by way of its clean-up."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_until_judged(service: Private, out: Output) -> None:
    """Until the pane in which the command ended has been judged; at once when nothing at all has arrived."""
    record = service.record
    ended_s = time.time()
    if record.api is None or not record.interval_s:
        return
    if not _has_received(record.api):
        out.note("no telemetry arrived: does the command use OpenTelemetry, or bmad_otel's configure()?")
        return
    # panes are aligned to the epoch; see docs/architecture.md, Time
    judged_s = (ended_s // record.interval_s + 1) * record.interval_s + record.lateness_s + _COMMITTED_S
    out.note(f"waiting {judged_s - ended_s:.0f} s for late data ...")
    while (left_s := judged_s - time.time()) > 0:
        time.sleep(min(left_s, 1.0))


def _has_received(api: str) -> bool:
    try:
        intake = ask(reachable(api), "status")["intake"]
    except (ProcessorError, KeyError):
        return True  # gone, perhaps by the command's own doing; its file may have data
    return any(n for name, n in intake.items() if name.startswith("accepted_"))


@dataclass(frozen=True, slots=True)
class _Wanted:
    fail_on: LevelName | None
    junit: Path | None
    markdown: Path | None
    export: Path | None


def _report(service: Private, out: Output, wanted: _Wanted) -> int:
    """Shows and writes what was asked for; the exit code of the check, 0 without one."""
    source = Source(service.record.api, str(service.home.database), out.note)
    views.show_system(out, source.get("system-summary"))
    out.line()
    views.show_agents(out, source.get("agents"))
    out.line()
    code = OK
    if wanted.fail_on is not None or wanted.junit is not None or wanted.markdown is not None:
        level = wanted.fail_on or LevelName.CRITICAL
        report = check_agents(source, fail_on=level.value, since=_SINCE)
        show_report(out, report)
        if exit_code_of(report) == NO_DATA:
            out.note("No data: nothing that could be checked was reported")
        code = exit_code_of(report) if wanted.fail_on is not None else OK
        try:
            write_reports(report, junit=wanted.junit, markdown=wanted.markdown)
        except OSError as error:
            out.note(f"cannot write {error.filename or 'the report'}: {error.strerror or error}")
            return FAILED
    else:
        views.show_alerts(out, source.get("alerts"))
    if wanted.export is not None and not _export(source, out, wanted.export):
        return FAILED
    return code


def _export(source: Source, out: Output, path: Path) -> bool:
    from bmad_processor.export import render

    document: dict[str, Any] = source.get("export")
    try:
        write_whole(path, render(document, "json"))
    except OSError as error:
        out.note(f"cannot write {path}: {error.strerror or error}")
        return False
    out.note(f"wrote {path}")
    return True


def register(app: typer.Typer) -> None:
    """Adds the command."""
    # whatever follows the command's name is its own, with -- before it or not
    app.command("run", context_settings={"allow_interspersed_args": False})(run)
