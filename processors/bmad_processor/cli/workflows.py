"""Commands that run workflows and show their definitions."""

from __future__ import annotations

import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bmad_processor.errors import ConfigError, Problem

from .exit_codes import FAILED, OK
from .options import AsJson
from .output import Output

if TYPE_CHECKING:
    from bmad_otel.workflow import MissingAgents, Workflow, WorkflowResult, WorkflowRun

INTERRUPTED = 130
"""What a shell shows for a program that Ctrl-C ended: 128 and the signal's number."""

FLUSH_S = 3.0
"""A collector on this machine takes milliseconds; nobody is to wait long for one that is not there."""


class LevelOfDetail(StrEnum):
    BASIC = "basic"
    ENHANCED = "enhanced"
    FULL = "full"


WorkflowName = Annotated[str, typer.Argument(help="One of `list-workflows`, or a YAML file.")]


def execute(
    name: WorkflowName,
    agents: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:OBJECT",
            help="Your agents: a dict of names to objects, classes or functions; or a module with classes.",
        ),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Use the agents of examples/demo (source checkout only).")
    ] = False,
    context: Annotated[
        Path | None, typer.Option(help="YAML or JSON file with a mapping: what all tasks are given.")
    ] = None,
    level: Annotated[
        LevelOfDetail,
        typer.Option(
            help="basic: spans and metrics of the tasks. enhanced: also of process and host."
            " full: also arguments and results on the spans."
        ),
    ] = LevelOfDetail.ENHANCED,
    otlp_endpoint: Annotated[
        str | None,
        typer.Option(
            help="Receiver of the telemetry."
            " [default: the OTEL_EXPORTER_OTLP_ variables, the running service, localhost:4317]"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a workflow on your agents: one trace, tasks in parallel where their dependencies allow it.

    Exit code 1: a task failed. 2: the definition or the agents are not right; nothing was run. 130: Ctrl-C.
    """
    # imported here: the reading commands need no workflow
    from bmad_otel.workflow import MissingAgents, WorkflowRun
    from bmad_processor.config.workflows import find_workflow, load_workflow

    from .workflow_view import show_result, watching

    out = Output()
    if agents is not None and demo:
        raise typer.BadParameter("--agents and --demo exclude each other", param_hint="--demo")
    workflow = load_workflow(find_workflow(name))
    given = _read_context(context)
    try:
        if agents is None and not demo:
            WorkflowRun(workflow, {}, context=given)  # says whom it needs
        # before the agents are imported: of two that set OpenTelemetry's global providers the first one wins
        _configure(level, otlp_endpoint)
        with watching(workflow) as observer:
            run = WorkflowRun(workflow, _agents(agents, is_demo=demo), context=given, observer=observer)
            code, result = _run(run)
    except MissingAgents as error:
        raise ConfigError(_missing(name, workflow, error)) from error
    out.json(result.as_dict()) if as_json else show_result(out, result)
    _deliver(out)
    sys.exit(code)


def list_workflows(as_json: AsJson = False) -> None:
    """The workflows that come with bmad-otel: tasks, agents, and how many tasks run at once."""
    from bmad_processor.config.workflows import load_workflow, shipped_workflows

    from .workflow_view import show_list

    out = Output()
    workflows = [load_workflow(path) for path in shipped_workflows().values()]
    out.json({"workflows": [_to_json(workflow) for workflow in workflows]}) if as_json else show_list(out, workflows)


def show_workflow(name: WorkflowName, as_json: AsJson = False) -> None:
    """One workflow's definition, checked. Exit code 2: something is wrong in it, every problem is named."""
    from bmad_processor.config.workflows import find_workflow, load_workflow

    from . import workflow_view

    out = Output()
    workflow = load_workflow(find_workflow(name))
    out.json(_to_json(workflow)) if as_json else workflow_view.show_workflow(out, workflow)


def _read_context(path: Path | None) -> dict[str, Any]:
    from bmad_processor.config.tree import plain
    from bmad_processor.config.yaml_source import read_yaml

    if path is None:
        return {}
    root, problems = read_yaml(path)
    if root is None or problems:
        raise ConfigError(problems)
    found: dict[str, Any] = plain(root)
    return found


def _configure(level: LevelOfDetail, endpoint: str | None) -> None:
    from bmad_otel import configure
    from bmad_processor.service import otlp_endpoint

    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    try:
        configure(
            service_name=None if named else "bmad-workflow",
            endpoint=endpoint or otlp_endpoint(),
            host_metrics=False if level is LevelOfDetail.BASIC else "auto",
            capture=True if level is LevelOfDetail.FULL else None,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error).removeprefix("configure: "), param_hint="--otlp-endpoint") from error


def _agents(reference: str | None, *, is_demo: bool) -> Any:
    from .callables import demo_agents, load_agents

    return demo_agents() if is_demo or reference is None else load_agents(reference)


def _missing(name: str, workflow: Workflow, error: MissingAgents) -> list[Problem]:
    """What does not fit, first of all who is missing, in one sentence with what to do about it."""
    from bmad_otel.workflow.agents import HOW_TO_GIVE, canonical

    problems = []
    if error.missing:
        tasks = {
            agent: ", ".join(task.task for task in workflow.tasks if canonical(task.agent) == agent)
            for agent in error.missing
        }
        listed = ", ".join(f"{agent} ({methods})" for agent, methods in tasks.items())
        how = f"--agents MODULE:OBJECT, where {HOW_TO_GIVE}; or --demo to try it"
        problems.append(Problem(name, 0, "", f"agents that were not given: {listed}", how))
    others = (fault for fault in error.faults if (fault.path[0], fault.path[-1]) != ("tasks", "agent"))
    return problems + [Problem(name, 0, "::".join(map(str, f.path)), f.message, f.expected) for f in others]


def _run(run: WorkflowRun) -> tuple[int, WorkflowResult]:
    """Runs it; its exit code. What agents print goes to standard error: standard output is for the result."""
    import asyncio
    from contextlib import redirect_stdout

    from bmad_otel.workflow import TaskStatus

    try:
        with redirect_stdout(sys.stderr), asyncio.Runner() as runner:
            result = runner.run(run.run())
    except KeyboardInterrupt:
        # the process ends within seconds; one Ctrl-C more is not to take its report away
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return INTERRUPTED, run.result()
    return OK if result.status is TaskStatus.OK else FAILED, result


def _deliver(out: Output) -> None:
    from bmad_otel import shutdown

    try:
        shutdown(FLUSH_S)  # says what could not be delivered
    except KeyboardInterrupt:
        out.note("telemetry was given up")


def _to_json(workflow: Workflow) -> dict[str, Any]:
    from bmad_otel.workflow import stages, width

    return {
        "name": workflow.name,
        "description": workflow.description,
        "max_parallel": workflow.max_parallel,
        "parallel_width": width(workflow),
        "timeout_s": workflow.timeout_s,
        "fail_fast": workflow.fail_fast,
        "agents": list(workflow.agents),
        "stages": stages(workflow),
        "tasks": [
            {
                "id": task.id,
                "agent": task.agent,
                "task": task.task,
                "depends_on": list(task.depends_on),
                "timeout_s": task.timeout_s,
                "retries": task.retries,
                "retry_delay_s": task.retry_delay_s,
            }
            for task in workflow.tasks
        ],
    }


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("execute")(execute)
    app.command("list-workflows")(list_workflows)
    app.command("show-workflow")(show_workflow)
