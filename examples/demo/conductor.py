"""Makes the script happen: starts the processes, plays the phases, watches, and ends everything again."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .backlog_server import estimate
from .chronicle import Chronicle
from .interrupt import Interrupt
from .phases import CALM_LOAD, GROOMED_SIZE, PHASES, RUSH_LOAD, Event, Pace
from .processes import ROOT, Child, Children, free_ports
from .review_load import ReviewLoad
from .scaling import SCALED, Operator
from .snapshot import Api, ApiDown, Snapshot
from .view import Display, Scene

COLLECTOR: Final = "collector"
BACKLOG_SERVER: Final = "backlog-server"
WORKSHOP: Final = "workshop"
OFFICE: Final = "office"
HOSTED: Final = {
    WORKSHOP: ("Architect", "SecurityDeveloper", "TestEngineer"),
    OFFICE: ("DataEngineer", "DocumentationAgent", "ProductOwner"),
}
"""Agents by the process that hosts them; every instance of `SCALED` has a process of its own."""

AGENT_COUNT: Final = sum(map(len, HOSTED.values())) + 1

START_S: Final = 30.0
"""How long the start may take on a slow machine."""

TICK_S: Final = 0.2
ASK_EVERY_S: Final = 0.5
"""Time between questions to the collector."""


class Interrupted(Exception):
    """A signal asked the demo to end. Raised where the demo waits, and only there."""


class DemoFailed(Exception):
    """The demo cannot go on; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Options:
    seconds: float = 60.0
    keep_state: Path | None = None
    kill_collector_at_s: float | None = None
    """Second of the script at which the collector is killed and started again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the summary needs."""

    chronicle: Chronicle
    snapshot: Snapshot
    started_s: float
    """When the demo began, seconds since the epoch."""


class Conductor:
    def __init__(self, options: Options, interrupt: Interrupt, display: Display, workspace: Path) -> None:
        self._options = options
        self._interrupt = interrupt
        self._display = display
        self._workspace = workspace
        self._pace = Pace(options.seconds)
        grpc_port, http_port, api_port, self._backlog_port = free_ports(4)
        pace = self._pace
        self._children = Children(
            workspace,
            {
                "BMAD_DEMO_DIR": str(workspace),
                "BMAD_DEMO_GRPC_PORT": str(grpc_port),
                "BMAD_DEMO_HTTP_PORT": str(http_port),
                "BMAD_DEMO_API_PORT": str(api_port),
                "BMAD_DEMO_INTERVAL": f"{pace.interval_s}s",
                "BMAD_DEMO_WINDOW": f"{pace.window_s}s",
                "BMAD_DEMO_STABILIZATION": f"{pace.stabilization_s}s",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://localhost:{grpc_port}",
                "OTEL_METRIC_EXPORT_INTERVAL": "1000" if pace.interval_s > 1 else "500",
                "OTEL_BSP_SCHEDULE_DELAY": "500",
            },
        )
        self._api = Api(f"http://localhost:{api_port}")
        self._operator = Operator(self._children, self._say, self._agents_command)
        self._chronicle = Chronicle(SCALED)
        self._snapshot = Snapshot()
        self._origin = time.monotonic()
        self._started_s = time.time()

    def run(self) -> Outcome:
        """From the first process to the last. Raises `Interrupted` or `DemoFailed`; nothing is left running then."""
        try:
            with contextlib.closing(self._start()) as load:
                self._play(load)
            return Outcome(self._chronicle, self._snapshot, self._started_s)
        finally:
            self._children.stop_all(last=COLLECTOR)
            self._api.close()

    # The start -------------------------------------------------------------------------------------------------------

    def _start(self) -> ReviewLoad:
        self._say("starting the collector ...")
        collector = self._start_collector()
        load = ReviewLoad(self._workspace)
        load.load = CALM_LOAD
        self._until(self._api.is_up, "the collector does not answer", collector)
        self._say("starting agents and the backlog service ...")
        self._backlog_file.write_text(json.dumps([estimate(f"first idea {n}") for n in range(GROOMED_SIZE)]))
        self._start_backlog_server()
        for name in HOSTED:
            self._children.start(name, *self._agents_command(*HOSTED[name]))
        self._operator.follow(1)
        self._until(lambda: self._all_agents_are_seen(load), "not all agents have reported", collector)
        return load

    def _start_collector(self) -> Child:
        return self._children.start(
            COLLECTOR,
            "examples.demo.lifeline",
            "bmad_processor.cli:main",  # the command bmad-otel
            "collector",
            "--config",
            str(ROOT / "collector-config" / "bmad-collector.yaml"),
            "--config",
            str(Path(__file__).with_name("collector.yaml")),
        )

    def _start_backlog_server(self) -> None:
        self._children.start(
            BACKLOG_SERVER, "examples.demo.backlog_server", str(self._backlog_file), str(self._backlog_port)
        )

    def _agents_command(self, *agents: str) -> tuple[str, ...]:
        backlog_url = f"http://127.0.0.1:{self._backlog_port}"
        return (
            "examples.demo.agents_process",
            "--workspace", str(self._workspace),
            "--backlog-url", backlog_url,
            *agents,
        )  # fmt: skip

    def _all_agents_are_seen(self, load: ReviewLoad) -> bool:
        load.feed()
        with contextlib.suppress(ApiDown):
            self._snapshot = self._api.read()
        return sum(row.rate is not None for row in self._snapshot.agents) >= AGENT_COUNT

    def _until(self, is_so: Callable[[], bool], complaint: str, child: Child) -> None:
        deadline = time.monotonic() + START_S
        while not is_so():
            self._check()
            if time.monotonic() > deadline:
                raise DemoFailed(with_last_lines(f"{complaint} after {START_S:.0f} s", child))
            self._pause(0.1)

    # The script ------------------------------------------------------------------------------------------------------

    def _play(self, load: ReviewLoad) -> None:
        began_s = self._elapsed_s
        phase = -1
        kill_at_s = self._options.kill_collector_at_s
        ask_at_s = 0.0
        while (script_s := self._elapsed_s - began_s) < self._pace.script_s:
            while phase < self._pace.phase_at(script_s):
                phase += 1
                self._say(f"PHASE {PHASES[phase].title}: {PHASES[phase].what}")
                self._happen(PHASES[phase].event, load)
            if kill_at_s is not None and script_s >= kill_at_s:
                kill_at_s = None
                self._say("chaos: kills the collector and starts it again")
                self._children.kill(COLLECTOR)
                self._start_collector()
            load.feed()
            if script_s >= ask_at_s:
                ask_at_s = script_s + ASK_EVERY_S
                self._ask()
            progress = script_s / self._pace.script_s
            self._display.show(
                Scene(self._elapsed_s, progress, phase, self._snapshot, self._operator.instances, load.waiting)
            )
            self._check()
            self._pause(TICK_S)
        self._ask()

    def _ask(self) -> None:
        try:
            self._snapshot = self._api.read()
        except ApiDown:
            return  # being started again; if it is dead, `_check` finds it
        for line in self._chronicle.learn(self._snapshot, self._elapsed_s):
            self._say(line)
        desired = self._snapshot.desired(SCALED)
        if desired is not None:
            self._operator.follow(desired)

    def _happen(self, event: Event | None, load: ReviewLoad) -> None:
        match event:
            case None:
                pass
            case Event.IDEAS_POUR_IN:
                self._children.order(OFFICE, f"ideas {self._pace.ideas_per_call}")
            case Event.BACKLOG_GROOMED:
                self._children.order(OFFICE, "ideas 0")
                self._children.order(OFFICE, f"keep {GROOMED_SIZE}")
            case Event.REVIEWS_POUR_IN:
                load.load = RUSH_LOAD
            case Event.REVIEWS_CALM_DOWN:
                load.load = CALM_LOAD
            case Event.BACKLOG_FILE_LOST:
                self._backlog_file.rename(self._lost_file)
            case Event.BACKLOG_SERVICE_CRASHES:
                self._children.kill(BACKLOG_SERVER)
            case Event.BACKLOG_RESTORED:
                self._lost_file.rename(self._backlog_file)
                self._start_backlog_server()

    # Small things ----------------------------------------------------------------------------------------------------

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._origin

    @property
    def _backlog_file(self) -> Path:
        return self._workspace / "backlog.json"

    @property
    def _lost_file(self) -> Path:
        return self._workspace / "backlog.lost"

    def _say(self, line: str) -> None:
        self._display.say(self._elapsed_s, line)

    def _pause(self, seconds: float) -> None:
        if self._interrupt.wait(seconds):
            raise Interrupted

    def _check(self) -> None:
        fallen = self._children.fallen()
        if fallen is not None:
            raise DemoFailed(with_last_lines(f"{fallen.name} ended with code {fallen.process.returncode}", fallen))


def with_last_lines(complaint: str, child: Child) -> str:
    """What went wrong, and what the process said last."""
    return "\n".join([f"{complaint}; the last lines of {child.name}:", *(f"  {line}" for line in child.last_lines())])


@contextlib.contextmanager
def workspace(keep: Path | None) -> Iterator[Path]:
    """The directory of one run: ``keep``, or a temporary one that is gone afterwards."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    path = Path(tempfile.mkdtemp(prefix="bmad-demo-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
