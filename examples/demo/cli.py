"""The command line of the demo, and how it ends: 0 well, 1 failed, 128 + signal when a signal ended it."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path

from rich.console import Console

from .conductor import Conductor, DemoFailed, Interrupted, Options, workspace
from .interrupt import Interrupt
from .summary import print_summary
from .view import Display, LiveDisplay, PlainDisplay

SHORTEST_S = 20.0
"""The shortest windows the collector knows need this long to show an alert come and go."""


def main(interrupt: Interrupt) -> int:
    """Runs the demo; returns its exit code."""
    arguments = _parse()
    options = Options(arguments.seconds, arguments.keep_state, arguments.chaos_kill_collector_at)
    console = Console() if sys.stdout.isatty() else Console(width=150)
    is_plain = arguments.plain or not console.is_terminal or console.is_dumb_terminal
    display: Display = PlainDisplay() if is_plain else LiveDisplay(console)
    try:
        if interrupt.exit_code is not None:
            raise Interrupted  # while modules were being imported
        with workspace(options.keep_state) as directory:
            with display:
                outcome = Conductor(options, interrupt, display, directory).run()
            print_summary(outcome, console)
            if options.keep_state is not None:
                console.print(f"Logs, state and what the collector said: {directory}", highlight=False)
        sys.stdout.flush()
    except Interrupted:
        _tell("interrupted; everything has been ended")
    except DemoFailed as error:
        _tell(f"demo: {error}")
        return interrupt.exit_code or 1
    except BrokenPipeError:
        # The reader of our output has gone. Nothing can be said any more; the interpreter must not try at exit.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return interrupt.exit_code or 0


def _tell(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(text, file=sys.stderr, flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="One minute of bmad-otel.")
    parser.add_argument("--seconds", type=_seconds, default=60.0, help="how long it takes, about (60)")
    parser.add_argument("--keep-state", type=Path, metavar="DIR", help="keep logs and state of the run there")
    parser.add_argument("--plain", action="store_true", help="lines instead of a live picture, also on a terminal")
    parser.add_argument(
        "--chaos-kill-collector-at", type=float, metavar="SECOND", help="kill the collector then and start it again"
    )
    return parser.parse_args()


def _seconds(text: str) -> float:
    value = float(text)
    if not SHORTEST_S <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{SHORTEST_S:.0f} to 3600")
    return value
