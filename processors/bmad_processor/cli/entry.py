"""Where the console script begins: as little as possible before it is known that everything is installed."""

from __future__ import annotations

import sys


def main(program: str = "bmad-otel") -> None:
    """Runs the command line and ends the process with its exit code."""
    try:
        from .app import run
    except ModuleNotFoundError as error:
        # a module of our own that is missing is a broken installation, not a missing extra
        if error.name is None or error.name.partition(".")[0] in ("bmad_processor", "bmad_otel"):
            raise
        sys.stderr.write(f"{program} needs {error.name}: pip install 'bmad-otel[collector]'\n")
        sys.exit(2)
    sys.exit(run(program))


def performance_monitor() -> None:
    """The command line of the older monitor."""
    main("performance-monitor")


def integrated_workflow() -> None:
    """The command line of the older workflow runner."""
    main("integrated-workflow")
