"""How the topics of ``agent NAME TOPIC`` look on a screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .output import Output
from .text import age, amount, plural


def show_optimization(out: Output, data: Mapping[str, Any]) -> None:
    """``performance-optimization``."""
    _title(out, data)
    rows = []
    for finding in data["findings"]:
        evidence, unit = finding["evidence"], finding["evidence"]["unit"]
        warning = evidence["thresholds"].get("warning")
        rows.append(
            [
                finding["topic"].removesuffix("_optimization").replace("_", " "),
                finding["metric"],
                amount(evidence["value"], unit),
                str(finding["n"]),
                amount(evidence["baseline"], unit),
                amount(warning, unit),
                _trend(evidence["trend"], unit),
                finding["what"],
            ]
        )
    headers = ["Topic", "Metric", "Value", "n", "Normal", "Warning", "Trend", "Finding"]
    out.table(headers, rows, right=("Value", "n", "Normal", "Warning"))
    advised = [finding for finding in data["findings"] if finding["recommendation"]]
    out.line()
    if advised:
        out.line("Recommendations (nothing was changed)", style="bold")
        for finding in advised:
            to = finding["expected"]
            below = "below" if to["direction"] == "down" else "above"
            goal = f"{finding['metric']} {to['direction']}, {below} {amount(to['past'], to['unit'])}"
            out.line(f"- {finding['recommendation']} (expected: {goal})")
    else:
        out.line("No recommendation: no rule applies to the measured values.")
    scaling = data["scaling"]
    if scaling["desired"] is not None and scaling["desired"] != scaling["current"]:
        out.line(f"Scaling: {scaling['current']} -> {scaling['desired']} instances: {scaling['reason']}")


def _trend(trend: Mapping[str, Any] | None, unit: str) -> str:
    if trend is None or trend.get("slope_per_hour") is None:
        return "-"
    return f"{trend['direction']} {amount(trend['slope_per_hour'], unit)}/h"


def show_traces(out: Output, data: Mapping[str, Any]) -> None:
    """``tracing``."""
    _title(out, data)
    tasks = f"{plural(data['tasks_total'], 'task')} seen, {data['errors_total']} failed"
    out.line(f"{tasks}, {plural(data['instances'], 'instance')}, last {age(data['as_of'] - data['last_seen'])} ago")
    if not data["traces"]:
        out.line(f"No trace of a task in the last {age(data['window_s'])}, and none in an alert.")
        return
    out.line()
    rows = [
        [
            trace["trace_id"], trace["task"] or "-", amount(trace["duration_s"], "seconds"), trace["error"] or "-",
            trace["alert_id"] or f"last {age(data['window_s'])}",
        ]
        for trace in data["traces"]
    ]  # fmt: skip
    out.table(["Trace", "Task", "Duration", "Error", "From"], rows, right=("Duration",))


def show_tools(out: Output, data: Mapping[str, Any]) -> None:
    """``enhanced-mcp``."""
    _title(out, data)
    if data["tools"]:
        rows = [
            [
                name, str(tool["calls"]), str(tool["errors"]), amount(tool["mean_s"], "seconds"),
                amount(tool["max_s"], "seconds"),
            ]
            for name, tool in data["tools"].items()
        ]  # fmt: skip
        out.table(["Tool", "Calls", "Failed", "Mean", "Longest"], rows, right=("Calls", "Failed", "Mean", "Longest"))
        out.line()
    if data["tool_calls"] is not None:
        out.line(
            f"Its tasks executed {plural(data['tool_calls'], 'tool call')}, tools without an agent's name included."
        )
    elif not data["tools"]:
        out.line("No tool call of this agent was measured.")
    out.line("Counted from gen_ai.execute_tool.duration and gen_ai.invoke_agent.tool_calls.")
    out.line("This release has no MCP server.")


def _title(out: Output, data: Mapping[str, Any]) -> None:
    namespace = f" in {data['namespace']}" if data["namespace"] else ""
    out.line(f"{data['agent_name']}{namespace}", style="bold")
