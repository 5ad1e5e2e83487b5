"""Commands that run a collector, check its configuration and show what it amounts to."""

from __future__ import annotations

import sys
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from bmad_processor.errors import ConfigError

from .exit_codes import USAGE
from .options import AsJson, Configs, Settings
from .output import Output


class Mode(StrEnum):
    """What `print-config` does with secrets."""

    REDACTED = "redacted"
    UNREDACTED = "unredacted"


class Format(StrEnum):
    """How `print-config` writes."""

    YAML = "yaml"
    JSON = "json"


def collector(config: Configs, settings: Settings = None) -> None:
    """Run the collector until it is told to stop (SIGTERM, Ctrl-C). SIGHUP reads the configuration again.

    Exit code 2: the configuration is wrong, every problem is named. 1: a port, file or database could not be opened.
    """
    # imported here: the reading commands need neither gRPC nor protobuf, and start several times faster without
    from bmad_processor.run.service import run_collector
    from bmad_processor.web import build_api

    sys.exit(run_collector(config, build_api=build_api, settings=settings or []))


def validate(config: Configs, settings: Settings = None, as_json: AsJson = False) -> None:
    """Check configuration files without starting anything; every problem is named with file and line."""
    from bmad_processor.config import load_config
    from bmad_processor.config.sources import source_name

    out = Output()
    try:
        checked = load_config(config, settings=settings or [])
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
        out.line("valid: " + ", ".join(map(source_name, config)))


def print_config(
    config: Configs,
    settings: Settings = None,
    mode: Annotated[Mode, typer.Option(help="unredacted shows secrets as they are.")] = Mode.REDACTED,
    form: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.YAML,
    defaults: Annotated[bool, typer.Option("--defaults", help="With every option that is not written.")] = False,
    check: Annotated[
        bool, typer.Option("--validate/--no-validate", help="Print only what is right; else every problem.")
    ] = True,
) -> None:
    """Show what the configuration amounts to: merged, variables and files put in, secrets hidden.

    What is printed with --mode unredacted is a configuration that means the same.
    """
    from bmad_processor.config import load_config
    from bmad_processor.config.load import read_tree
    from bmad_processor.config.printing import printed, to_yaml

    if check:
        load_config(config, settings=settings or [])
    tree = read_tree(config, settings=settings or [])
    data = printed(tree, is_redacted=mode is Mode.REDACTED, has_defaults=defaults)
    out = Output()
    if form is Format.JSON:
        out.json(data)
    else:
        for line in to_yaml(data).splitlines():
            out.line(line)


def components(as_json: AsJson = False) -> None:
    """Every type of component: older spellings, signals, stability. Options: docs/reference/configuration.md."""
    from bmad_processor.config.catalog import catalog

    out = Output()
    found = catalog()
    if as_json:
        out.json({"components": [asdict(component) for component in found]})
        return
    rows = [
        [c.section, c.type, ", ".join(c.aliases) or "-", ", ".join(c.signals) or "-", c.stability, c.summary]
        for c in found
    ]
    out.table(["Section", "Type", "Also", "Signals", "Stability", "What it is"], rows)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("collector")(collector)
    app.command("validate")(validate)
    app.command("print-config")(print_config)
    app.command("components")(components)
