"""The command line as a whole: its commands, each in the module of its topic, and what an exit code says."""

from __future__ import annotations

import logging

import typer

from bmad_processor.errors import ConfigError, MissingExtra, ProcessorError
from bmad_processor.log_level import log_level, set_up_logging
from bmad_processor.read_model import Unanswerable

from . import (
    agent,
    check,
    collecting,
    costs,
    diagnosing,
    export,
    old_commands,
    profiles,
    reading,
    run_command,
    service,
    simulate,
    switching,
    trends,
    workflows,
)
from .exit_codes import FAILED, NO_DATA, OK, USAGE
from .output import Output
from .programs import MAIN, CommandGroup
from .source import NoData

app = typer.Typer(
    name=MAIN,
    cls=CommandGroup,
    help="Tracking, baselines, alerts and scaling hints for agents, over OpenTelemetry.",
    epilog="Exit codes: 0 ok, 1 failed or --fail-on violated, 2 wrong usage, configuration or name, 3 no data.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for topic in (
    collecting,
    service,
    run_command,
    reading,
    agent,
    trends,
    costs,
    check,
    export,
    profiles,
    simulate,
    switching,
    workflows,
    diagnosing,
    old_commands,
):
    topic.register(app)


def run(program: str = MAIN) -> int:
    """Runs the command line of this process under the name ``program``; the exit code."""
    if log_level()[0] == logging.DEBUG:
        set_up_logging(logging.WARNING)
    try:
        # typer says what is wrong with the usage itself, exit code 2
        app(standalone_mode=True, prog_name=program)
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
