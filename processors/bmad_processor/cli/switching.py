"""``update-agent``: switches of one agent, kept in its profile.

The older workflow runner had four switches that lasted as long as its process. What of them has a meaning in a monitor
is a key of the agent's profile; the others are refused with where that is decided instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final

import typer

from .options import AgentName, AsJson, Endpoint
from .output import Output
from .profile_place import ProfilePlace
from .profiles import Directory

SWITCHES: Final[Mapping[str, str]] = MappingProxyType(
    {"tracing": "monitoring_enabled", "monitoring": "monitoring_enabled", "scaling": "auto_scaling_enabled"}
)
"""Name of the switch to the key of the profile."""

REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "policy": "policies are not part of this monitor",
        "cost": "what is spent is always counted; it costs nothing",
        "workflow": "which agents take part is written in the workflow's definition",
    }
)
"""Switches of the older program that are none here, and why."""

_TRACING: Final = (
    "its spans are made in its own process and still passed on; to stop them, set OTEL_TRACES_SAMPLER=always_off there"
)

Switch = Annotated[list[str] | None, typer.Option(metavar="tracing|monitoring|scaling", help="May be given again.")]


def update_agent(
    agent: AgentName,
    enable: Switch = None,
    disable: Switch = None,
    endpoint: Endpoint = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Switch an agent's monitoring (also called tracing) or scaling hints on or off, for good.

    Switched off, the agent is not judged; its telemetry is received and passed on all the same.
    """
    out = Output()
    on, off = _keys(enable or (), "--enable"), _keys(disable or (), "--disable")
    if not on and not off:
        raise typer.BadParameter("nothing to change", param_hint="--enable or --disable")
    if both := on.keys() & off.keys():
        raise typer.BadParameter(f"{' and '.join(sorted(both))} cannot be both on and off", param_hint="--disable")
    place = ProfilePlace(endpoint, directory, out.note)
    # an agent that nobody knows is a misspelling
    ProfilePlace(endpoint, directory, lambda _: None).one(agent)
    data = place.put(agent, dict.fromkeys(on, True) | dict.fromkeys(off, False))
    if as_json:
        out.json(data)
        return
    out.line(f"{data['agent_name']}: written to {data['file']}.")
    for key, name in (("monitoring_enabled", "monitoring"), ("auto_scaling_enabled", "scaling hints")):
        out.line(f"  {name:<14} {'on' if data[key] else 'off'}")
    if "tracing" in off.values():
        out.note(_TRACING)


def _keys(names: list[str] | tuple[()], option: str) -> dict[str, str]:
    """Key of the profile to the name it was given under."""
    keys: dict[str, str] = {}
    for name in names:
        if name in REFUSED:
            raise typer.BadParameter(f"{name} is no switch: {REFUSED[name]}", param_hint=option)
        if name not in SWITCHES:
            raise typer.BadParameter(f"{name} is no switch; there are {', '.join(SWITCHES)}", param_hint=option)
        keys[SWITCHES[name]] = name
    return keys


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("update-agent")(update_agent)
