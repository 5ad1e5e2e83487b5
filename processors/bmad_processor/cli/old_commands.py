"""Commands of the older workflow runner that are not about monitoring: they say so instead of pretending.

Component sprites (pictures of user interface components and their states) and policies (who may do what) are other
products than a performance monitor.
"""

from __future__ import annotations

import sys
from typing import Final, NoReturn

import typer

from .exit_codes import USAGE
from .output import Output

_ANYTHING: Final = {"allow_extra_args": True, "ignore_unknown_options": True}

_SPRITES: Final = (
    "component sprites are not part of this monitor: it has no user interface components to list, test or report on"
)


def list_sprites(context: typer.Context) -> None:
    """Not part of this monitor: exit code 2."""
    _refuse(context, _SPRITES)


def test_component(context: typer.Context) -> None:
    """Not part of this monitor: exit code 2."""
    _refuse(context, _SPRITES)


def export_sprite_report(context: typer.Context) -> None:
    """Not part of this monitor: exit code 2."""
    _refuse(context, _SPRITES)


def _refuse(context: typer.Context, why: str) -> NoReturn:
    Output.note(f"{context.info_name}: {why}")
    sys.exit(USAGE)


def register(app: typer.Typer) -> None:
    """Adds the commands, out of sight in the help of ``bmad-otel``."""
    commands = {
        "list-sprites": list_sprites, "test-component": test_component, "export-sprite-report": export_sprite_report
    }  # fmt: skip
    for name, command in commands.items():
        app.command(name, hidden=True, context_settings=dict(_ANYTHING))(command)
