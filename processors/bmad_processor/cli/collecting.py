"""Commands that run a collector and check its configuration."""

from __future__ import annotations

import sys
from dataclasses import asdict

import typer

from bmad_processor.errors import ConfigError

from .exit_codes import USAGE
from .options import AsJson, Configs
from .output import Output


def collector(config: Configs) -> None:
    """Run the collector until it is told to stop (SIGTERM, Ctrl-C).

    Exit code 2: the configuration is wrong, every problem is named. 1: a port, file or database could not be opened.
    """
    # imported here: the reading commands need neither gRPC nor protobuf, and start several times faster without
    from bmad_processor.run.service import run_collector
    from bmad_processor.web import build_api

    sys.exit(run_collector(config, build_api=build_api))


def validate(config: Configs, as_json: AsJson = False) -> None:
    """Check configuration files without starting anything; every problem is named with file and line."""
    from bmad_processor.config import load_config

    out = Output()
    try:
        checked = load_config(config)
    except ConfigError as error:
        if not as_json:
            raise
        out.json({"is_valid": False, "problems": [asdict(problem) for problem in error.problems], "warnings": []})
        sys.exit(USAGE)
    if as_json:
        warnings = [asdict(warning) for warning in checked.warnings]
        out.json({"is_valid": True, "problems": [], "warnings": warnings})
    else:
        for warning in checked.warnings:
            out.note(f"warning: {warning}")
        out.line("valid: " + ", ".join(str(path) for path in config))


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("collector")(collector)
    app.command("validate")(validate)
