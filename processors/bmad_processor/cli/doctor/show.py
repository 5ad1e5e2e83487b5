"""Findings on a screen, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bmad_processor.cli.output import Output
from bmad_processor.cli.text import plural

from .finding import Finding, Status

_STYLES: Final = {Status.OK: "green", Status.WARNING: "yellow", Status.PROBLEM: "bold red", Status.SKIPPED: "dim"}
_TITLES: Final = {
    "sending": "Sending from here",
    "collector": "Collector",
    "overhead": "Overhead here",
    "environment": "Environment",
}


def show(out: Output, findings: Sequence[Finding]) -> None:
    """One line for each finding, below it what to do, and a last line that counts."""
    width = max(len(finding.check) for finding in findings)
    area = ""
    for finding in findings:
        if finding.area != area:
            if area:
                out.line()
            area = finding.area
            out.line(_TITLES.get(area, area), style="bold")
        line = f"  {finding.status.value:<8} {finding.check:<{width}}  {finding.detail}"
        out.line(line, style=_STYLES[finding.status])
        if finding.advice:
            out.line(f"  {'':<8} {'':<{width}}  -> {finding.advice}")
    out.line()
    problems, warnings = _count(findings, Status.PROBLEM), _count(findings, Status.WARNING)
    if problems or warnings:
        out.line(f"{plural(problems, 'problem')}, {plural(warnings, 'warning')}", style="bold")
    else:
        out.line("all ok", style="bold")


def to_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "is_ok": not _count(findings, Status.PROBLEM),
        "problems": _count(findings, Status.PROBLEM),
        "warnings": _count(findings, Status.WARNING),
        "findings": [finding.to_dict() for finding in findings],
    }


def _count(findings: Sequence[Finding], status: Status) -> int:
    return sum(finding.status is status for finding in findings)
