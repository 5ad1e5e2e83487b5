"""What the demo looks like while it runs: a live picture on a terminal, lines everywhere else."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .phases import PHASES
from .scaling import SCALED
from .snapshot import Snapshot

LEVEL_STYLES: Final = {"info": "cyan", "warning": "yellow", "critical": "bold red", "emergency": "bold white on red"}

LINE_EVERY_S: Final = 4.0
"""Time between progress lines when there is no terminal."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to show at one moment."""

    elapsed_s: float
    progress: float
    """Part of the script that is over, 0 to 1."""
    phase: int
    snapshot: Snapshot
    instances: int
    """Processes of the scaled agent."""
    waiting: int
    """Files in its queue."""


class Display(Protocol):
    """Somewhere to show things. A context manager, so that a terminal gets back what was there before."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def say(self, elapsed_s: float, line: str) -> None:
        """Something has happened."""

    def show(self, scene: Scene) -> None:
        """This is how things are."""


class PlainDisplay:
    """Every event as a line as it happens, and a line of progress every few seconds."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to restore."""

    def say(self, elapsed_s: float, line: str) -> None:
        print(f"[{elapsed_s:5.1f} s] {line}", flush=True)

    def show(self, scene: Scene) -> None:
        if scene.elapsed_s < self._next_s:
            return
        self._next_s = scene.elapsed_s + LINE_EVERY_S
        rates = [row.rate for row in scene.snapshot.agents if row.rate is not None]
        firing = sum(alert.is_firing for alert in scene.snapshot.alerts)
        self.say(
            scene.elapsed_s,
            f"{scene.progress:4.0%} | {len(rates)} agents, {sum(rates):.1f} tasks/s | "
            f"{firing} alerts firing | {SCALED}: {scene.instances} instances, {scene.waiting} files waiting",
        )


class LiveDisplay:
    """The whole screen, four parts: progress, agents, scaling, what happened."""

    def __init__(self, console: Console) -> None:
        self._events: deque[Text] = deque(maxlen=40)
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._scene = Scene(0.0, 0.0, 0, Snapshot(), 0, 0)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, elapsed_s: float, line: str) -> None:
        self._events.append(Text.assemble((f"{elapsed_s:5.1f} s  ", "dim"), (line, style_of(line))))
        self._draw()

    def show(self, scene: Scene) -> None:
        self._scene = scene
        self._draw()

    def _draw(self) -> None:
        self._live.update(picture(self._scene, list(self._events), self._live.console.height), refresh=True)


def picture(scene: Scene, events: list[Text], height: int) -> Layout:
    """The whole screen."""
    phase = PHASES[scene.phase]
    head = Group(
        Text.assemble(("bmad-otel demo  ", "bold"), (phase.title, "bold cyan"), "  ", phase.what),
        ProgressBar(total=1.0, completed=scene.progress, complete_style="cyan", finished_style="cyan"),
    )
    agents = agents_table(scene.snapshot)
    layout = Layout()
    layout.split_column(
        Layout(head, name="head", size=3),
        Layout(agents, name="agents", size=len(scene.snapshot.agents) + 5),
        Layout(scaling_line(scene), name="scaling", size=2),
        Layout(Panel(Group(*reversed(events[-height:])), title="what happened", title_align="left"), name="events"),
    )
    return layout


def agents_table(snapshot: Snapshot, title: str | None = None) -> Table:
    """One row per agent, as the collector sees it."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("agent", no_wrap=True)
    for heading in ("inst.", "tasks/s", "p95", "usually", "errors", "CPU"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("alert")  # gives way when the terminal is narrow
    for row in snapshot.agents:
        table.add_row(
            row.name,
            str(row.instances),
            "-" if row.rate is None else f"{row.rate:.1f}",
            milliseconds(row.response_s),
            milliseconds(row.baseline_s),
            percent(row.error_ratio),
            percent(row.cpu_ratio),
            Text(", ").join(Text(f"{a.level} {a.metric}", LEVEL_STYLES[a.level]) for a in snapshot.firing(row.name)),
        )
    return table


def scaling_line(scene: Scene) -> Text:
    """The hint and what the operator has made of it."""
    hint = next((hint for hint in scene.snapshot.hints if hint.agent == SCALED), None)
    if hint is None:
        return Text(f"{SCALED}: no hint yet")
    return Text.assemble(
        (f"{SCALED} needs {hint.desired} ", "bold"),
        ("#" * hint.desired, "green"),
        f"  running {scene.instances}, {scene.waiting} files waiting  ",
        (hint.reason, "dim"),
    )


def milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value * 1000:.0f} ms"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def style_of(line: str) -> str:
    """Events are told apart by their first word."""
    match line.split(" ", 1)[0].rstrip(":"):
        case "ALERT":
            return next((style for level, style in LEVEL_STYLES.items() if f" {level}:" in line), "yellow")
        case "RESOLVED":
            return "green"
        case "HINT":
            return "magenta"
        case "operator" | "chaos":
            return "blue"
        case "PHASE":
            return "bold cyan"
        case _:
            return ""
