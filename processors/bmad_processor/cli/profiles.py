"""Commands about profiles: what agents are judged by, and changing it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bmad_processor.errors import Unanswerable

from .options import AsJson, Endpoint, complete_agent
from .output import Output
from .profile_place import PROFILES_VARIABLE, ProfilePlace
from .text import amount

Directory = Annotated[
    Path | None,
    typer.Option(
        "--profiles",
        help="Directory of profile files: used when no collector answers, or at once when given without --endpoint."
        f" [default: ${PROFILES_VARIABLE}, else those of the background service, else ./collector-config/profiles]",
    ),
]
Agent = Annotated[
    str,
    typer.Argument(
        help="Any spelling: ProductOwner, product-owner; '*' for the default of everyone.",
        autocompletion=complete_agent,
    ),
]
Temporary = Annotated[
    bool, typer.Option("--temporary", help="Only until the collector ends, in its memory; no file is changed.")
]


class DirectionName(StrEnum):
    HIGH_IS_BAD = "high_is_bad"
    LOW_IS_BAD = "low_is_bad"


Level = Annotated[str | None, typer.Option(help="A number in the unit people read, or a text with its unit.")]
_CORES: Final = "Percent of one core."
_MEMORY: Final = "Percent of the memory it may use, or a size such as 512MiB."
_SECONDS: Final = "Seconds, or a text such as 500ms."
_PERCENT: Final = "Percent of the finished tasks."
Share = Annotated[str, typer.Option(help="Percent to hold; `none` leaves it out of the advice.")]


def create_profile(
    agent: Agent,
    cpu_warning: Annotated[str, typer.Option(help=_CORES)] = "70",
    cpu_critical: Annotated[str, typer.Option(help=_CORES)] = "85",
    cpu_emergency: Annotated[str | None, typer.Option(help=_CORES)] = None,
    memory_warning: Annotated[str | None, typer.Option(help=_MEMORY)] = None,
    memory_critical: Annotated[str | None, typer.Option(help=_MEMORY)] = None,
    memory_emergency: Annotated[str | None, typer.Option(help=_MEMORY)] = None,
    response_warning: Annotated[str, typer.Option(help=_SECONDS)] = "5",
    response_critical: Annotated[str, typer.Option(help=_SECONDS)] = "10",
    response_emergency: Annotated[str | None, typer.Option(help=_SECONDS)] = None,
    error_warning: Annotated[str, typer.Option(help=_PERCENT)] = "5",
    error_critical: Annotated[str, typer.Option(help=_PERCENT)] = "10",
    error_emergency: Annotated[str | None, typer.Option(help=_PERCENT)] = None,
    cpu_threshold: Share = "75",
    memory_threshold: Share = "80",
    min_instances: Annotated[int, typer.Option(help="Fewest instances ever advised.")] = 1,
    max_instances: Annotated[int, typer.Option(help="Most instances ever advised.")] = 3,
    cost_per_hour: Annotated[float | None, typer.Option(help="US dollars that one instance costs in an hour.")] = None,
    monitoring: Annotated[bool, typer.Option(help="Whether the agent is judged.")] = True,
    auto_scaling: Annotated[bool, typer.Option(help="Whether scaling advice is given.")] = True,
    replace: Annotated[bool, typer.Option(help="Also when the agent has a profile already.")] = False,
    temporary: Temporary = False,
    endpoint: Endpoint = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Give an agent a profile of its own. What is not set here comes from the default profile.

    Thresholds are numbers in the unit people read (70 is 70 %, 5 is 5 s), or texts with their unit (60%, 500ms). `none`
    takes a level away that would come from below.
    """
    out = Output()
    place = ProfilePlace(endpoint, directory, out.note)
    if not replace and _has_profile(ProfilePlace(endpoint, directory, lambda _: None), agent):
        raise Unanswerable(409, "profile_exists", f"{agent} has a profile already; --replace writes it anew")
    levels = {
        "cpu_usage": (cpu_warning, cpu_critical, cpu_emergency),
        "memory_usage": (memory_warning, memory_critical, memory_emergency),
        "response_time": (response_warning, response_critical, response_emergency),
        "error_rate": (error_warning, error_critical, error_emergency),
    }
    labels = ("warning", "critical", "emergency")
    body = {
        "thresholds": {
            metric: {label: _value(text) for label, text in zip(labels, texts, strict=True) if text is not None}
            for metric, texts in levels.items()
            if any(text is not None for text in texts)
        },
        "scaling": {
            "cpu_threshold": _value(cpu_threshold),
            "memory_threshold": _value(memory_threshold),
            "min_instances": min_instances,
            "max_instances": max_instances,
            **({} if cost_per_hour is None else {"cost_per_hour": cost_per_hour}),
        },
        "monitoring_enabled": monitoring,
        "auto_scaling_enabled": auto_scaling,
    }
    _tell(out, place.put(agent, body, replace=True, is_temporary=temporary), as_json)


def update_thresholds(
    agent: Agent,
    metric: Annotated[str, typer.Argument(help="Metric type such as cpu_usage, response_time, custom:NAME.")],
    info: Level = None,
    warning: Level = None,
    critical: Level = None,
    emergency: Level = None,
    direction: Annotated[DirectionName | None, typer.Option(help="Which side of the thresholds is bad.")] = None,
    temporary: Temporary = False,
    endpoint: Endpoint = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Change single thresholds of an agent; its other levels and metric types stay as they are.

    A value is a number in the unit people read (70 is 70 %, 5 is 5 s), or a text with its unit (60%, 500ms). `none`
    takes the level away; `inherit` takes the agent's own value away, so that what lies below it counts again.
    """
    given = {"info": info, "warning": warning, "critical": critical, "emergency": emergency}
    levels = {label: _value(text) for label, text in given.items() if text is not None}
    if direction is not None:
        levels["direction"] = direction.value
    if not levels:
        raise typer.BadParameter("nothing to change", param_hint="--info, --warning, --critical or --emergency")
    out = Output()
    # an agent that nobody knows is a misspelling here, while create-profile may name a new one
    ProfilePlace(endpoint, directory, lambda _: None).one(agent)
    place = ProfilePlace(endpoint, directory, out.note)
    _tell(out, place.put(agent, {"thresholds": {metric: levels}}, is_temporary=temporary), as_json)


def show_profile(agent: Agent, endpoint: Endpoint = None, directory: Directory = None, as_json: AsJson = False) -> None:
    """What an agent is judged by, and where each value comes from."""
    out = Output()
    data = ProfilePlace(endpoint, directory, out.note).one(agent)
    out.json(data) if as_json else _show(out, data)


def list_profiles(endpoint: Endpoint = None, directory: Directory = None, as_json: AsJson = False) -> None:
    """One line per agent with a profile."""
    out = Output()
    data = ProfilePlace(endpoint, directory, out.note).all()
    if as_json:
        out.json(data)
        return
    headers = ["Agent", "Group", "CPU", "Memory", "Response", "Errors", "Instances", "Monitoring", "Scaling"]
    rows = [
        [
            row["agent_name"],
            row["group"] or "-",
            *(_levels(row, metric) for metric in ("cpu_usage", "memory_usage", "response_time", "error_rate")),
            f"{row['scaling']['min_instances']}-{row['scaling']['max_instances']}",
            "on" if row["monitoring_enabled"] else "off",
            "on" if row["auto_scaling_enabled"] else "off",
        ]
        for row in (data["default"], *data["profiles"])
    ]
    out.table(headers, rows)


def _has_profile(place: ProfilePlace, agent: str) -> bool:
    try:
        return bool(place.one(agent)["has_profile"])
    except Unanswerable as error:
        if error.code == "unknown_agent":
            return False
        raise


def _value(text: str) -> float | str | None:
    if text.strip().lower() in ("none", "null"):
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return number if abs(number) < float("inf") else text  # JSON cannot say nan and inf; they are refused as texts


def _tell(out: Output, data: Mapping[str, Any], as_json: bool) -> None:
    for dropped in data["dropped"]:
        out.note(f"{dropped['level']} of {dropped['metric_type']} no longer counts: {dropped['reason']}")
    if as_json:
        out.json(data)
        return
    where = f"written to {data['file']}" if data["is_persisted"] else "kept until the collector ends"
    out.line(f"Profile of {data['agent_name']} {where}.")
    out.line()
    _show(out, data)


def _show(out: Output, data: Mapping[str, Any]) -> None:
    group = f" (group {data['group']})" if data["group"] else ""
    own = "" if data["has_profile"] else ", which has no profile of its own"
    out.line(f"{data['agent_name']}{group}{own}", style="bold")
    origins = data["origins"]
    switches = [("monitoring", "monitoring_enabled"), ("scaling hints", "auto_scaling_enabled")]
    out.line(", ".join(f"{name} {'on' if data[key] else 'off'}" for name, key in switches))
    out.line()
    rows = [
        [metric, level, amount(value, data["units"][metric]), origins["thresholds"][metric][level]]
        for metric, levels in data["thresholds"].items()
        for level, value in levels.items()
    ]
    rows += [["scaling", key, _scaling(key, value), origins["scaling"][key]] for key, value in data["scaling"].items()]
    out.table(["Metric", "Level", "Value", "From"], rows, right=("Value",))


def _scaling(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return amount(value, "%") if key.endswith("_threshold") else f"{value:g}"


def _levels(row: Mapping[str, Any], metric: str) -> str:
    levels, unit = row["thresholds"].get(metric, {}), row["units"].get(metric, "")
    return " / ".join(amount(value, unit) for value in levels.values()) or "-"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("create-profile")(create_profile)
    app.command("update-thresholds")(update_thresholds)
    app.command("show-profile")(show_profile)
    app.command("list-profiles")(list_profiles)
