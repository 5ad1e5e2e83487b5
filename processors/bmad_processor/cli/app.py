"""The command line as a whole: its commands, each in the module of its topic, and what an exit code says."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Final

import typer

from bmad_processor.errors import ConfigError, MissingExtra, ProcessorError, Unanswerable
from bmad_processor.log_level import log_level, set_up_logging

from .exit_codes import FAILED, NO_DATA, OK, USAGE
from .output import Output
from .programs import ALIASES, MAIN, CommandGroup
from .source import NoData

TOPICS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "collecting": ("collector", "validate", "print-config", "components"),
        "service": ("start-monitoring", "stop-monitoring", "reload", "status", "log"),
        "run_command": ("run",),
        "reading": ("system-summary", "agent-summary", "list-agents", "show-alerts"),
        "agent": ("agent",),
        "trends": ("trends", "predict"),
        "costs": ("costs",),
        "check": ("check",),
        "export": ("export-data",),
        "profiles": ("create-profile", "update-thresholds", "show-profile", "list-profiles"),
        "simulate": ("simulate-task",),
        "switching": ("update-agent",),
        "workflows": ("execute", "list-workflows", "show-workflow"),
        "diagnosing": ("doctor", "version"),
        "old_commands": ("list-sprites", "test-component", "export-sprite-report"),
    }
)
"""Module to the commands it registers, in the order of the help. A command line that begins with a command loads its
module alone: loading them all takes half of the time a command needs."""


def build(words: Sequence[str]) -> typer.Typer:
    """The application for a command line: with the one topic it is about, else with all."""
    command = ALIASES.get(words[0], words[0]) if words else ""
    wanted = [topic for topic, commands in TOPICS.items() if command in commands] or list(TOPICS)
    app = typer.Typer(
        name=MAIN,
        cls=CommandGroup,
        help="Tracking, baselines, alerts and scaling hints for agents, over OpenTelemetry.",
        epilog="Exit codes: 0 ok, 1 failed or --fail-on violated, 2 wrong usage, configuration or name, 3 no data.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_nothing)
    for topic in wanted:
        import_module(f".{topic}", __package__).register(app)
    return app


def _nothing() -> None:
    # with a callback an application of a single command still expects its name
    pass


def run(program: str = MAIN) -> int:
    """Runs the command line of this process under the name ``program``; the exit code."""
    if log_level()[0] == logging.DEBUG:
        set_up_logging(logging.WARNING)
    try:
        # typer says what is wrong with the usage itself, exit code 2
        build(sys.argv[1:])(standalone_mode=True, prog_name=program)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else (OK if end.code is None else FAILED)
    except Unanswerable as error:
        known = f"; did you mean {' or '.join(error.suggestions)}?" if error.suggestions else ""
        Output.note(f"{error.detail[:1].upper()}{error.detail[1:]}{known}")
        return USAGE
    except ConfigError as error:
        for problem in error.problems:
            Output.note(str(problem))
        return USAGE
    except MissingExtra as error:
        Output.note(str(error))
        return USAGE
    except NoData as error:
        Output.note(f"No data: {error}")
        return NO_DATA
    except ProcessorError as error:
        Output.note(str(error))
        return FAILED
    return OK
