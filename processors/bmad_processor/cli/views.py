"""How the answers of the API look on a screen. Every function takes the API's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .costs import cost_lines
from .output import Output
from .text import age, amount, moment, plural


def show_system(out: Output, data: Mapping[str, Any]) -> None:
    """``system-summary``."""
    units = data["units"]
    firing = {level: n for level, n in data["firing_alerts"].items() if n}
    shown = ", ".join(f"{n} {level}" for level, n in firing.items()) or "none"
    rows = [
        ["Agents", f"{data['active_agents']} active of {data['agents_total']}"],
        ["Tasks", f"{data['tasks_total']} ({data['errors_total']} failed)"],
        ["Firing alerts", shown],
        ["Alerts kept", str(data["total_alerts"])],
        ["CPU", amount(data["cpu_usage"], units["cpu_usage"])],
        ["Memory", amount(data["memory_usage"], units["memory_usage"])],
        ["Disk I/O", amount(data["disk_io"], units["disk_io"])],
        ["Network I/O", amount(data["network_io"], units["network_io"])],
        ["Monitoring since", "-" if data["since"] is None else moment(data["since"])],
    ]
    rows += [[f"Not used: {reason}", str(n)] for reason, n in sorted(data["dropped"].items()) if n]
    out.table(["System", ""], rows)
    if len(data["hosts"]) > 1:
        out.line()
        names = ("cpu_usage", "memory_usage", "disk_io", "network_io")
        hosts = [
            [name, *(amount(host[m], units[m]) for m in names), age(host["age_s"])]
            for name, host in data["hosts"].items()
        ]
        headers = ["Host", "CPU", "Memory", "Disk", "Network", "Seen"]
        out.table(headers, hosts, right=headers[1:])


def show_agents(out: Output, data: Mapping[str, Any]) -> None:
    """``list-agents``."""
    if not data["agents"]:
        out.line("No agent has reported yet.")
        return
    with_namespace = any(agent["namespace"] for agent in data["agents"])
    headers = ["Agent", "Inst", "Rate", "p95", "Normal", "Errors", "CPU", "Scaling", "Alert", "Seen"]
    rows = []
    for agent in data["agents"]:
        name = f"{agent['name']} ({agent['namespace']})" if with_namespace and agent["namespace"] else agent["name"]
        rows.append(
            [
                name,
                str(agent["instances"]),
                amount(agent["rate"], "tasks/second"),
                amount(agent["p95_s"], "seconds"),
                amount(agent["baseline_response_s"], "seconds"),
                amount(agent["error_rate"], "%"),
                amount(agent["cpu_usage"], "%"),
                _change(agent["scaling"]),
                agent["level"] or "-",
                age(agent["age_s"]),
            ]
        )
    out.table(headers, rows, right=("Inst", "Rate", "p95", "Normal", "Errors", "CPU", "Seen"))


def _change(scaling: Mapping[str, Any]) -> str:
    if scaling["desired"] is None:
        return "-"
    if scaling["desired"] == scaling["current"]:
        return str(scaling["current"])
    return f"{scaling['current']} -> {scaling['desired']}"


def show_agent(out: Output, data: Mapping[str, Any]) -> None:
    """``agent-summary``."""
    namespace = f" in {data['namespace']}" if data["namespace"] else ""
    host = f" ({data['host']})" if data["host"] else ""
    out.line(f"{data['agent_name']}{host}{namespace}", style="bold")
    switches = [
        "monitoring " + ("on" if data["monitoring_enabled"] else "off"),
        "scaling hints " + ("on" if data["auto_scaling_enabled"] else "off"),
        plural(data["instances"]["count"], "instance"),
        f"{plural(data['tasks_total'], 'task')} ({data['errors_total']} failed)",
        f"seen {age(data['age_s'])} ago",
    ]
    out.line(", ".join(switches))
    if data["also_in"]:
        out.line("Also known in: " + ", ".join(name or "(no namespace)" for name in data["also_in"]))
    out.line()
    _metrics(out, data)
    times = data["response_times"]
    if times is not None:
        shown = ", ".join(f"{q} {amount(times[f'{q}_s'], 'seconds')}" for q in ("p50", "p95", "p99", "max"))
        out.line(f"Response time: {shown}")
    scaling = data["scaling"]
    if scaling["desired"] is not None:
        out.line(f"Scaling: {_change(scaling)} of {scaling['min']} to {scaling['max']} instances: {scaling['reason']}")
    for line in cost_lines(data["cost"]):
        out.line(line)
    for title, rows in (("Alerts", data["alerts"]), ("Recommendations", data["recommendations"])):
        if rows:
            out.line()
            out.line(title, style="bold")
            if title == "Alerts":
                show_alerts(out, {"alerts": rows, "is_truncated": False})
            else:
                for text in rows:
                    out.line(f"- {text}")


def _metrics(out: Output, data: Mapping[str, Any]) -> None:
    rows = []
    for name, metric in data["current_metrics"].items():
        unit = metric["unit"]
        limits = data["thresholds"].get(name, {})
        value = amount(metric["value"], unit)
        if metric["is_stale"]:
            value += f" ({age(data['as_of'] - metric['as_of'])} ago)"
        baseline = amount(data["baseline_metrics"].get(name), unit)
        shown = " / ".join(amount(limit, unit) for limit in limits.values()) or "-"
        rows.append([name, value, baseline, shown, str(metric["n"]), metric["level"] or "-"])
    if rows:
        headers = ["Metric", "Value", "Normal", "Thresholds", "n", "Level"]
        out.table(headers, rows, right=("Value", "Normal", "n"))
    else:
        out.line("No values yet.")
    said = [f"{name} {amount(value['value'], value['unit'])}" for name, value in data["self_reported"].items()]
    if said:
        out.line(f"Self-reported (not judged): {', '.join(said)}")


def show_alerts(out: Output, data: Mapping[str, Any]) -> None:
    """``show-alerts``."""
    if not data["alerts"]:
        out.line("No alerts.")
        return
    rows = [
        [
            alert["level"],
            alert["status"],
            moment(alert["timestamp"]),
            age(alert["duration_s"]),
            alert["agent_name"],
            alert["message"],
        ]
        for alert in data["alerts"]
    ]
    out.table(["Level", "Status", "Since", "For", "Agent", "Message"], rows, right=("For",))
    if data["is_truncated"]:
        out.line("More alerts are kept; see --limit.")
