"""Runs the suite against several receivers and prints the scoreboard.

    python -m tests.conformance.scoreboard                                  ours, rotel, the stock Collector
    python -m tests.conformance.scoreboard ours                             one of them
    python -m tests.conformance.scoreboard grpc=host:4317,http=host:4318    whatever listens there, beside ours

Y: all tests of the row pass; N: one fails; -: none fails, and some or all cannot be asked (no such option, or nobody
may start it).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .rows import ROWS
from .targets import RotelTarget, StockTarget

HERE: Final = Path(__file__).parent
TITLES: Final = {"ours": "ours", "rotel": "rotel", "collector": "Collector"}


@dataclass
class Column:
    """What one receiver achieved."""

    title: str
    rows: dict[str, list[str]] = field(default_factory=dict)
    """Row to the outcomes of its tests."""
    beyond: dict[str, list[str]] = field(default_factory=dict)
    """Test to its outcomes, one per parameter set."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    is_there: bool = True

    def verdict(self, outcomes: list[str]) -> str:
        if not self.is_there:
            return "not built"
        if "failed" in outcomes:
            return "N"
        return "Y" if set(outcomes) == {"passed"} else "-"


def run(title: str, options: list[str]) -> Column:
    """The whole suite, those tests that take long included, in a pytest of its own."""
    column = Column(title)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.jsonl"
        print(f"asking {title} ...", file=sys.stderr, flush=True)  # noqa: T201
        done = subprocess.run(
            [sys.executable, "-m", "pytest", str(HERE), "-m", "", "-q", "--no-header", "-p", "no:cacheprovider",
             f"--conformance-report={report}", *options],
            capture_output=True, text=True, check=False, cwd=HERE.parents[1],
        )  # fmt: skip
        lines = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
    if done.returncode not in (0, 1) or len({row for row, *_ in lines}) < len(ROWS):
        raise SystemExit(f"the suite did not run against {title}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    for row, is_beyond, name, outcome, why in lines:
        function = name.partition("[")[0]
        (column.beyond if is_beyond else column.rows).setdefault(function if is_beyond else row, []).append(outcome)
        if outcome == "failed":
            column.failures.append((name, why))
    if all(column.verdict(outcomes) == "N" for outcomes in column.rows.values()):
        raise SystemExit(f"{title} holds no row at all; it did not start:\n{column.failures[0]}")
    return column


def told(function: str) -> str:
    """A test's name as a sentence."""
    row, _, rest = function.removeprefix("test_").partition("_beyond_")
    return f"{row.upper()}+ | {rest.replace('_', ' ')}"


def table(columns: list[Column]) -> str:
    """Markdown."""
    head = " | ".join(column.title for column in columns)
    rule = "|---" * (3 + len(columns)) + "|"
    lines = [f"| row | level | rule | {head} |", rule]
    for row in ROWS:
        verdicts = " | ".join(column.verdict(column.rows.get(row.id, [])) for column in columns)
        lines.append(f"| {row.id} | {row.level} | {row.rule} | {verdicts} |")
    lines += ["", f"| level | rows | {head} |", "|---" * (2 + len(columns)) + "|"]
    levels = dict.fromkeys(row.level for row in ROWS)
    for level in (*levels, "all"):
        rows = [row for row in ROWS if level in (row.level, "all")]
        cells = " | ".join(_total(column, [row.id for row in rows]) for column in columns)
        lines.append(f"| {level} | {len(rows)} | {cells} |")
    names = sorted({name for column in columns for name in column.beyond}, key=_order)
    lines += ["", f"| beyond | what the specification does not ask for | {head} |", "|---" * (2 + len(columns)) + "|"]
    for name in names:
        verdicts = " | ".join(column.verdict(column.beyond.get(name, [])) for column in columns)
        lines.append(f"| {told(name)} | {verdicts} |")
    return "\n".join(lines)


def _order(function: str) -> tuple[int, str]:
    row = function.removeprefix("test_").partition("_")[0].upper()
    return next(at for at, known in enumerate(ROWS) if known.id == row), function


def _total(column: Column, rows: list[str]) -> str:
    if not column.is_there:
        return "not built"
    count = Counter(column.verdict(column.rows.get(row, [])) for row in rows)
    asked = count["Y"] + count["N"]
    return f"{count['Y']} of {asked}"


def columns_for(wanted: str) -> list[Column]:
    if "=" in wanted:
        address = dict(part.split("=", 1) for part in wanted.split(","))
        if set(address) != {"grpc", "http"}:
            raise SystemExit("TARGET is ours, rotel, collector, or grpc=host:port,http=host:port")
        options = [f"--target-grpc={address['grpc']}", f"--target-http={address['http']}"]
        return [run("ours", []), run("target", options)]
    names = list(TITLES) if wanted == "all" else [wanted]
    is_there = {"ours": True, "rotel": RotelTarget().is_installed, "collector": StockTarget().is_installed}
    return [
        run(TITLES[name], [f"--target={name}"]) if is_there[name] else Column(TITLES[name], is_there=False)
        for name in names
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", default="all")
    parser.add_argument("--why", action="store_true", help="print why a row does not hold")
    asked = parser.parse_args()
    columns = columns_for(asked.target or "all")
    print(table(columns))  # noqa: T201
    for column in columns if asked.why else ():
        for name, why in column.failures:
            print(f"{column.title}: {name}: {why}", file=sys.stderr)  # noqa: T201
    failed = [column for column in columns if column.title == "ours" and column.failures]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
