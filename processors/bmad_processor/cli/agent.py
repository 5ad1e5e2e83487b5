"""The commands about one agent that BMAD's documentation promises for all 23 of them, and works for any other."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from bmad_processor.errors import Unanswerable
from bmad_processor.read_model.optimization import optimization
from bmad_processor.read_model.traces import traces

from . import topics
from .check import FailOn, Junit, Markdown, Since, check_agents, end_with_report
from .naming import is_bmad, unknown
from .options import AgentName, AsJson, Endpoint, LevelName, State
from .output import Output
from .source import NoData, Source


class Topic(StrEnum):
    PERFORMANCE_OPTIMIZATION = "performance-optimization"
    ENHANCED_MCP = "enhanced-mcp"
    TRACING = "tracing"
    PERFORMANCE_VALIDATION = "performance-validation"


def agent(
    name: AgentName,
    topic: Annotated[Topic, typer.Argument(help="What to ask about the agent.")],
    fail_on: FailOn = LevelName.CRITICAL,
    since: Since = "15m",
    junit: Junit = None,
    markdown: Markdown = None,
    endpoint: Endpoint = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Measured findings about one agent; nothing is ever changed.

    performance-optimization: memory, processing and response time, with recommendations. enhanced-mcp: the tools it
    called. tracing: traces of failed and slow tasks. performance-validation: `check` of this agent (--fail-on, --since,
    --junit and --markdown are its options). Exit codes: 0 ok, 1 violated, 2 unknown agent, 3 no data of this agent.
    """
    out = Output()
    quiet = Source(endpoint, state, lambda _: None)
    source = Source(endpoint, state, out.note)
    try:
        match topic:
            case Topic.PERFORMANCE_VALIDATION:
                report = check_agents(source, fail_on=fail_on.value, agents=(name,), since=since)
                end_with_report(out, report, as_json=as_json, junit=junit, markdown=markdown)
            case Topic.PERFORMANCE_OPTIMIZATION:
                summary = source.get(f"agents/{name}")
                found = optimization(summary, _trends(quiet, summary))
                out.json(found) if as_json else topics.show_optimization(out, found)
                if not found["findings"]:
                    raise NoData(f"{found['agent_name']} has no measured value")
            case Topic.TRACING:
                found = traces(source.get(f"agents/{name}"))
                out.json(found) if as_json else topics.show_traces(out, found)
                if not found["traces"] and not found["tasks_total"]:
                    raise NoData(f"no task of {found['agent_name']} was seen")
            case Topic.ENHANCED_MCP:
                found = _tools(source.get(f"agents/{name}"))
                out.json(found) if as_json else topics.show_tools(out, found)
    except Unanswerable as error:
        if error.code != "unknown_agent":
            raise
        if is_bmad(name):
            raise NoData(f"{name} has not reported yet") from error
        raise unknown(name, error) from error


def _trends(source: Source, summary: dict[str, Any]) -> dict[str, Any]:
    """Metric type to its trend of the last hour; empty when the collector that answers is too old to know trends."""
    try:
        answer = source.get(
            f"agents/{summary['agent_name']}/trend", {"window": "1h", "namespace": summary["namespace"]}
        )
    except Unanswerable:
        return {}
    return dict(answer.get("trends") or {})


def _tools(summary: dict[str, Any]) -> dict[str, Any]:
    tools = summary.get("tools") or {}
    return {
        "agent_name": summary["agent_name"],
        "namespace": summary["namespace"],
        "source": "measured",
        "tools": tools,
        "calls": sum(tool["calls"] for tool in tools.values()),
        "errors": sum(tool["errors"] for tool in tools.values()),
        "tool_calls": summary.get("tool_calls"),
        "as_of": summary["as_of"],
    }


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("agent")(agent)
