"""Commands of the background service: start, stop, status, log."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bmad_processor.errors import ProcessorError
from bmad_processor.service import Home, Record, find
from bmad_processor.service.endpoints import reachable, receiver_url

from .exit_codes import FAILED, NO_DATA, USAGE
from .losses import losses
from .options import AsJson, checked_endpoint
from .output import Output
from .source import ask
from .text import age, plural
from .traffic import traffic

if TYPE_CHECKING:
    from bmad_processor.service.overlay import Options

Interval = Annotated[
    float | None,
    typer.Option(min=1.0, max=60.0, help="Seconds between judgements. [default: what the configuration says, 5.0]"),
]
OptionalConfigs = Annotated[
    list[Path] | None,
    typer.Option("--config", "-c", help="Configuration file instead of the shipped one; several are merged."),
]


def start_monitoring(
    interval: Interval = None,
    config: OptionalConfigs = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay here instead, as a container wants it.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Stop a running service first.")] = False,
    grpc: Annotated[
        str | None,
        typer.Option(
            callback=checked_endpoint, help="Address for OTLP/gRPC; port 0: any free one. [default: localhost:4317]"
        ),
    ] = None,
    http: Annotated[
        str | None, typer.Option(callback=checked_endpoint, help="Address for OTLP/HTTP. [default: localhost:4318]")
    ] = None,
    api: Annotated[
        str | None, typer.Option(callback=checked_endpoint, help="Address of the API. [default: localhost:8320]")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the monitor in the background; every command of this user finds it.

    Its state is below BMAD_OTEL_HOME, else ~/.local/state/bmad-otel. Already running: says so, exit code 0.
    """
    # imported here: the collector is of no use to the other commands
    from bmad_processor.service.control import run_in_foreground, start
    from bmad_processor.service.overlay import Options

    out, home = Output(), Home.of()
    configs = config or []
    options = Options(finite(interval), grpc, http, api)

    def tell(record: Record) -> None:
        out.json(asdict(record)) if as_json else _show_started(out, record, is_new=True)
        sys.stdout.flush()

    if foreground:
        result = run_in_foreground(home, configs, options, restart=restart, progress=out.note, on_ready=tell)
        if isinstance(result, int):
            sys.exit(result)
        # who wants this process to be the service (a supervisor) must not take its end for a success
        out.note(f"the service runs already (process {result.pid}); --restart takes its place")
        sys.exit(FAILED)
    started = start(home, configs, options, restart=restart, progress=out.note)
    if started.is_new:
        tell(started.record)
        return
    out.json(asdict(started.record)) if as_json else _show_started(out, started.record, is_new=False)
    _note_differences(out, started.record, options, has_configs=bool(configs))


def stop_monitoring(
    timeout: Annotated[
        float,
        typer.Option(min=0, max=600, help="Seconds it may take to write and send what is left; then it is killed."),
    ] = 12.0,
) -> None:
    """Stop the background service; what it has learned is kept. Not running: says so, exit code 0."""
    from bmad_processor.service.control import Stopped, stop

    out, home = Output(), Home.of()
    match stop(home, progress=out.note, deadline_s=timeout):
        case Stopped.NOT_RUNNING:
            out.line(f"Monitoring is not running ({home.path}).")
        case Stopped.STOPPED:
            out.line(f"Monitoring stopped; its state is kept in {home.path}.")
        case Stopped.KILLED:
            out.line(f"Monitoring was killed: it did not stop in time. Its last commit is in {home.database}.")


def reload_service(
    timeout: Annotated[float, typer.Option(min=1, max=600, help="Seconds to wait for what becomes of it.")] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Have the background service read its configuration again, as SIGHUP does. What is learned and queued stays.

    Exit code 2: the configuration is wrong, every problem is named. 1: it could not be brought into force. 3: no
    service runs. In all three what ran before runs on.
    """
    from bmad_processor.service.reloading import reload

    out, home = Output(), Home.of()
    result = reload(home, deadline_s=timeout)
    if result is None:
        out.note(f"Monitoring is not running ({home.path}).")
        sys.exit(NO_DATA)
    if as_json:
        out.json(result)
    elif result["outcome"] == "applied":
        out.line(f"The configuration is in force: {result['message']}.")
    else:
        for line in result["message"].splitlines():
            out.note(line)
        out.note("The configuration is as it was.")
    if result["outcome"] != "applied":
        sys.exit(USAGE if result["outcome"] == "rejected" else FAILED)


def show_status(as_json: AsJson = False) -> None:
    """Does the background service run, where does it listen, what has it seen and lost? Exit code 3: not running."""
    out, home = Output(), Home.of()
    record = find(home)
    if record is None or record.api is None:
        if as_json:
            out.json({"is_running": False, "home": str(home.path)})
        else:
            out.line(f"Monitoring is not running ({home.path}). Start it with: bmad-otel start-monitoring")
        sys.exit(NO_DATA)
    try:
        api = reachable(record.api)
        own, agents, system = ask(api, "status"), ask(api, "agents")["agents"], ask(api, "system-summary")
    except ProcessorError as error:
        out.note(f"process {record.pid} is the service, but its API at {record.api} does not answer: {error}")
        sys.exit(FAILED)
    data = asdict(record) | {
        "is_running": True,
        "home": str(home.path),
        "uptime_s": own["uptime_s"],
        "agents_active": sum(bool(agent["is_active"]) for agent in agents),
        "agents_total": len(agents),
        "firing_alerts": system["firing_alerts"],
        "lost": losses(own),
    }
    out.json(data) if as_json else _show_status(out, data, traffic(own))


def show_log(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=100_000, help="Last lines to show.")] = 50,
) -> None:
    """What the background service printed. Exit code 3: there is no log."""
    from bmad_processor.service.log_reading import follow as following
    from bmad_processor.service.log_reading import tail

    out, home = Output(), Home.of()
    if not home.log.exists():
        out.note(f"There is no log ({home.log}): no service was started.")
        sys.exit(NO_DATA)
    try:
        if not follow:
            for line in tail(home.log, lines):
                out.line(line)
            return
        for line in following(home.log, lines, wait=lambda: time.sleep(0.2)):
            out.line(line)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return


def finite(interval_s: float | None) -> float | None:
    """The option's value, refused when it is no number."""
    # a float option takes "nan" for a number, which is in no range and out of none
    if interval_s is not None and interval_s != interval_s:
        raise typer.BadParameter("expected seconds from 1 to 60", param_hint="--interval")
    return interval_s


def _show_started(out: Output, record: Record, *, is_new: bool) -> None:
    what = "Monitoring started" if is_new else "Monitoring is already running"
    out.line(f"{what}: process {record.pid}, every {record.interval_s:g} s.")
    for name, address in _addresses(record):
        out.line(f"  {name:<10} {address}")
    if record.log:
        out.line(f"  {'log':<10} {record.log}")
    url = receiver_url(record)
    if url not in (None, "http://localhost:4317"):
        out.line(f"Programs send here with OTEL_EXPORTER_OTLP_ENDPOINT={url}")


def _addresses(record: Record) -> list[tuple[str, str]]:
    named = (("OTLP/gRPC", record.otlp_grpc), ("OTLP/HTTP", record.otlp_http), ("API", record.api))
    return [(name, address) for name, address in named if address is not None]


def _note_differences(out: Output, record: Record, options: Options, *, has_configs: bool) -> None:
    """What was asked for, but holds only for a service that is started."""
    if options.interval_s is not None and abs(options.interval_s - record.interval_s) > 0.001:
        out.note(f"it keeps its interval of {record.interval_s:g} s; --restart applies {options.interval_s:g} s")
    if has_configs or any((options.grpc, options.http, options.api)):
        out.note("it keeps the configuration and addresses it was started with; --restart applies others")


def _show_status(out: Output, data: dict[str, Any], passed: list[list[str]]) -> None:
    firing = ", ".join(f"{n} {level}" for level, n in data["firing_alerts"].items() if n)
    lost = "; ".join(f"{part} {name}: {n}" for part, counters in data["lost"].items() for name, n in counters.items())
    rows = [
        ["Process", f"{data['pid']}, up for {age(data['uptime_s'])}, bmad-otel {data['version']}"],
        ["Interval", f"{data['interval_s']:g} s"],
        *([name, address] for name, address in data["endpoints"].items()),
        ["Agents", f"{plural(data['agents_total'], 'agent')}, {data['agents_active']} active"],
        ["Firing alerts", firing or "none"],
        *passed,
        ["Dropped", lost or "nothing"],
        ["State", data["home"]],
        ["Log", data["log"] or "-"],
    ]
    out.table(["Monitoring", "running"], rows)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("start-monitoring")(start_monitoring)
    app.command("stop-monitoring")(stop_monitoring)
    app.command("reload")(reload_service)
    app.command("status")(show_status)
    app.command("log")(show_log)
