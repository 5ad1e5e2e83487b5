"""The command line under its other names, and commands under the names the older monitor gave them.

There is one set of commands. ``performance-monitor`` and ``integrated-workflow`` run it and list those that their users
know; every command works under every program, by its own name and by its older one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import typer
from typer.core import TyperGroup

MAIN: Final = "bmad-otel"

ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "system-performance": "system-summary",
        "agent-performance": "agent-summary",
        "show-agent": "agent-summary",
        "performance-alerts": "show-alerts",
        "export-performance": "export-data",
        "test-integrations": "doctor",
    }
)
"""Older name to the command it is."""

PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "performance-monitor": (
            "start-monitoring", "stop-monitoring", "system-summary", "agent-summary", "list-agents", "show-alerts",
            "create-profile", "update-thresholds", "export-data", "simulate-task",
        ),
        "integrated-workflow": (
            "list-workflows", "execute", "list-agents", "show-agent", "update-agent", "test-integrations",
            "start-monitoring", "stop-monitoring", "system-performance", "agent-performance", "performance-alerts",
            "export-performance", "list-sprites", "test-component", "export-sprite-report",
        ),
    }
)  # fmt: skip
"""Program to what its help lists; ``bmad-otel`` lists every command by its own name."""


class CommandGroup(TyperGroup):
    """Finds commands by their older names as well."""

    def get_command(self, ctx: typer.Context, cmd_name: str):  # type: ignore[no-untyped-def,override]
        """The command of either name; None when there is none."""
        return super().get_command(ctx, ALIASES.get(cmd_name, cmd_name))

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """What the help of the program that was called lists."""
        names = super().list_commands(ctx)
        listed = PROGRAMS.get(ctx.find_root().info_name or MAIN)
        return names if listed is None else [name for name in listed if ALIASES.get(name, name) in self.commands]
