"""A Markdown table for the summary page of a CI run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from bmad_processor.cli.text import age, amount, plural, safe

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&@-])")
_SHOWN: Final = {"fail": "**fail**", "pass": "pass", "no_data": "no data"}

MAX_ROWS: Final = 500
"""GitHub takes a mebibyte per summary; failed checks come first, so the rows left out are the ones that passed."""


def markdown_table(report: Mapping[str, Any]) -> str:
    """A heading, one sentence and the table. What names contain stays text: it is neither markup nor a mention."""
    counts, checks = report["counts"], report["checks"]
    verdict = {"pass": "passed", "fail": "failed", "no_data": "no data"}[report["status"]]
    lines = [
        f"### Agent performance: {verdict}",
        "",
        f"{plural(counts['fail'], 'check')} failed, {counts['pass']} passed, {counts['no_data']} without data; "
        f"level {report['fail_on']} or higher fails; the last {age(report['since_s'])}.",
    ]
    if checks:
        lines += ["", "| Status | Agent | Metric | Value | Threshold | n | |", "|---|---|---|--:|--:|--:|---|"]
        lines += [_row(check) for check in checks[:MAX_ROWS]]
    if len(checks) > MAX_ROWS:
        lines += ["", f"{len(checks) - MAX_ROWS} more checks are not shown."]
    return "\n".join(lines) + "\n"


def _row(check: Mapping[str, Any]) -> str:
    name = check["host"] or check["agent"]
    agent = f"{check['namespace']}/{name}" if check["namespace"] else name
    cells = [
        _SHOWN[check["status"]],
        _plain(agent),
        _plain(check["metric"]),
        _plain(amount(check["value"], check["unit"])),
        _plain(amount(check["threshold"], check["unit"])),
        str(check["n"]),
        _plain(check["message"]) if check["status"] == "fail" else "",
    ]
    return "| " + " | ".join(cells) + " |"


def _plain(text: str) -> str:
    # a character reference is read as text everywhere; a backslash would not stop a mention (@name)
    return _SPECIAL.sub(lambda match: f"&#{ord(match[1])};", safe(text))
