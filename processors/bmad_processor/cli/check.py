"""The command for CI: did agents keep within their thresholds?

`check_agents`, `write_reports` and `exit_code_of` are the same for every command that ends with a check.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .exit_codes import FAILED, NO_DATA, OK
from .export import checked_duration, write_whole
from .options import AsJson, Endpoint, LevelName, State
from .output import Output
from .source import Source
from .text import age, amount, plural

FailOn = Annotated[LevelName, typer.Option(help="The lowest level that fails.")]
Since = Annotated[
    str, typer.Option(callback=checked_duration, help="Violations this young count, also when they are over by now.")
]
Junit = Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")]
Markdown = Annotated[
    Path | None,
    typer.Option(help="Write a Markdown table to this file; it is added to the file GITHUB_STEP_SUMMARY names."),
]


def check_agents(
    source: Source, *, fail_on: str = "critical", agents: Sequence[str] = (), since: str = "15m"
) -> dict[str, Any]:
    """The report of `read_model.check` over ``agents``, all when there are none.

    Raises Unanswerable for an unknown name, NoData or Failed.
    """
    question = {"fail_on": fail_on, "since": since}
    if not agents:
        return source.get("check", question)
    reports = [source.get("check", question | {"agent": agent}) for agent in dict.fromkeys(agents)]
    return _joined(reports)


def _joined(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several reports as one; an agent named under two spellings counts once."""
    checks: dict[tuple[str, ...], dict[str, Any]] = {}
    for report in reports:
        for check in report["checks"]:
            identity = tuple(str(check[key]) for key in ("agent", "namespace", "host", "metric"))
            checks.setdefault(identity, check)
    order = ("fail", "pass", "no_data")
    ordered = sorted(checks.values(), key=lambda check: order.index(check["status"]))
    counts = {status: sum(check["status"] == status for check in ordered) for status in order}
    status = "fail" if counts["fail"] else "pass" if counts["pass"] else "no_data"
    off = sorted({name for report in reports for name in report["not_monitored"]})
    return reports[0] | {
        "passed": status == "pass", "status": status, "counts": counts, "checks": ordered, "not_monitored": off,
    }  # fmt: skip


def exit_code_of(report: dict[str, Any]) -> int:
    """0 passed, 1 violated, 3 no data at all."""
    return {"pass": OK, "fail": FAILED}.get(report["status"], NO_DATA)


def write_reports(report: dict[str, Any], *, junit: Path | None = None, markdown: Path | None = None) -> None:
    """Writes the files that were asked for. Raises OSError."""
    from .reports import junit_xml, markdown_table

    if junit is not None:
        write_whole(junit, junit_xml(report, hostname=platform.node()))
    if markdown is not None:
        text = markdown_table(report)
        if str(markdown) == os.environ.get("GITHUB_STEP_SUMMARY"):
            # other commands of the same step write there as well
            with markdown.open("a", encoding="utf-8") as summary:
                summary.write(text)
        else:
            write_whole(markdown, text)


def show_report(out: Output, report: dict[str, Any]) -> None:
    """The report as a table, failed checks first."""
    headers = ["Status", "Agent", "Metric", "Value", "Threshold", "n", "Level"]
    with_namespace = any(check["namespace"] for check in report["checks"])
    rows = []
    for check in report["checks"]:
        name = check["host"] or check["agent"]
        rows.append(
            [
                check["status"].replace("_", " "),
                f"{name} ({check['namespace']})" if with_namespace and check["namespace"] else name,
                check["metric"],
                amount(check["value"], check["unit"]),
                amount(check["threshold"], check["unit"]),
                str(check["n"]),
                check["level"] or "-",
            ]
        )
    if rows:
        out.table(headers, rows, right=("Value", "Threshold", "n"))
        out.line()
    counts = report["counts"]
    if report["not_monitored"]:
        out.line("Not monitored, by their profile: " + ", ".join(report["not_monitored"]))
    out.line(
        f"{plural(counts['fail'], 'check')} failed, {counts['pass']} passed, {counts['no_data']} without data "
        f"(level {report['fail_on']} or higher, last {age(report['since_s'])})"
    )
    for check in report["checks"]:
        if check["status"] == "fail":
            out.line(f"{check['host'] or check['agent']}: {check['message']}", style="bold red")


def end_with_report(
    out: Output, report: dict[str, Any], *, as_json: bool, junit: Path | None = None, markdown: Path | None = None
) -> None:
    """Shows the report, writes its files and ends the command with its exit code."""
    out.json(report) if as_json else show_report(out, report)
    try:
        write_reports(report, junit=junit, markdown=markdown)
    except OSError as error:
        out.note(f"cannot write {error.filename or 'the report'}: {error.strerror or error}")
        sys.exit(FAILED)
    code = exit_code_of(report)
    if code == NO_DATA:
        out.note("No data: nothing that could be checked was reported in this time")
    sys.exit(code)


def check(
    fail_on: FailOn = LevelName.CRITICAL,
    agent: Annotated[list[str] | None, typer.Option(help="Only this agent; several may be given.")] = None,
    since: Since = "15m",
    junit: Junit = None,
    markdown: Markdown = None,
    endpoint: Endpoint = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Did agents keep within their thresholds? Exit code 0 yes, 1 violated, 2 unknown agent, 3 no data at all.

    Every metric with a threshold of the level asked for is one check, judged over all windows since then.
    """
    out = Output()
    report = check_agents(Source(endpoint, state, out.note), fail_on=fail_on.value, agents=agent or (), since=since)
    end_with_report(out, report, as_json=as_json, junit=junit, markdown=markdown)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("check")(check)
