"""The 23 agents of BMAD: their public methods are tasks."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from bmad_otel import instrument_agent
from bmad_otel.compat._bmad.patches import Patches
from bmad_otel.compat._bmad.report import BmadReport

PLUMBING: Final = (
    "initialize_*", "setup_*", "subscribe_*", "publish_*", "trace_*", "use_mcp_tool", "use_*_tools", "get_*_tools",
    "register_*_tools", "get_*_summary", "get_status", "show_help", "show_resource",
)  # fmt: skip
"""Methods every agent has for its own connections: they are no work of an agent and take no part in its rates."""


def agent_class(module: ModuleType, agent: str) -> type | None:
    """The class of ``agent`` in its module."""
    for name in (agent, f"{agent}Agent"):
        found = vars(module).get(name)
        if isinstance(found, type):
            return found
    return None


@dataclass(frozen=True, slots=True)
class Rules:
    """Which methods are tasks, as `instrument_agent` has it, and what of their results is a failure."""

    include: tuple[str, ...]
    exclude: tuple[str, ...]
    detect_error_dicts: bool


def instrument(cls: type, agent: str, rules: Rules, patches: Patches, report: BmadReport) -> None:
    """`instrument_agent` on ``cls``, under the agent's canonical name."""
    before = dict(vars(cls))
    # an included name that only other agents have would be refused
    include = [each for each in rules.include if set(each) & set("*?[") or each in before]
    instrument_agent(
        cls,
        include=include,
        exclude=rules.exclude,
        agent=agent,
        detect_failure=error_of if rules.detect_error_dicts else None,
    )
    changed = [name for name, value in before.items() if vars(cls).get(name) is not value]
    for name in changed:
        patches.on_undo(_putting_back(cls, name, vars(cls)[name], before[name]))
    report.agents[agent] = len(changed)


def error_of(result: Any) -> object:
    """BMAD's agents return ``{"error": ...}`` or ``{"success": False}`` where they have failed."""
    if not isinstance(result, dict):
        return None
    error = result.get("error")
    if error:
        return error if isinstance(error, str | BaseException) else str(error)
    return result.get("success") is False


def _putting_back(cls: type, name: str, ours: object, original: object) -> Any:
    def undo() -> None:
        if vars(cls).get(name) is ours:
            setattr(cls, name, original)

    return undo
