"""What the minute has shown, printed at its end."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .chronicle import Episode
from .conductor import Outcome
from .scaling import SCALED
from .snapshot import Numbers
from .view import LEVEL_STYLES, agents_table


def print_summary(outcome: Outcome, console: Console) -> None:
    """Agents, alerts, the course of the hint, and what was passed on."""
    console.print(agents_table(outcome.snapshot, title="Agents at the end"))
    console.print(alerts_table(list(outcome.chronicle.episodes.values()), outcome.started_s))
    console.print(Text("Scaling hint of " + SCALED))
    for step in outcome.chronicle.hint_course:
        console.print(Text(f"  {step.elapsed_s:5.1f} s  {step.desired}  {step.reason}"))
    console.print(Text("Telemetry"))
    console.print(Text(f"  received: {numbers(outcome.snapshot.received)}"))
    console.print(Text(f"  received, but of no use to the engine: {numbers(outcome.snapshot.unused)}"))
    for name, counts in outcome.snapshot.exporters.items():
        console.print(Text(f"  exporter {name}: {numbers(counts)}"))


def numbers(counts: Numbers) -> str:
    """What is not zero."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "nothing"


def alerts_table(episodes: list[Episode], started_s: float) -> Table:
    """Every alert of the run: why it was raised, and how it ended."""
    table = Table(title="Alerts", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("fired", justify="right", no_wrap=True)
    table.add_column("resolved", justify="right", no_wrap=True)
    table.add_column("level", no_wrap=True)
    table.add_column("alert", overflow="fold")
    table.add_column("why, and how it ended", overflow="fold")
    for episode in episodes:
        worst, latest = episode.worst, episode.latest
        table.add_row(
            f"{worst.started_s - started_s:.0f} s",
            "firing" if latest.resolved_s is None else f"{latest.resolved_s - started_s:.0f} s",
            Text(worst.level, LEVEL_STYLES.get(worst.level, "")),
            worst.alert_id,
            f"{worst.message} | {worst.reason}" + ("" if latest.is_firing else f"\n{latest.message}"),
        )
    return table
