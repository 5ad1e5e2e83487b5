"""How workflows look on a screen: definitions, tasks at work, and how it went."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import Progress as Rows
from rich.progress import ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from bmad_otel.workflow import Progress, Step, TaskResult, Workflow, WorkflowResult, stages, width
from bmad_otel.workflow.run import Observer

from .output import Output
from .text import amount, plural, safe

_COLOURS: Final = {
    "ok": "green", "error": "bold red", "timeout": "bold red", "cancelled": "yellow", "skipped": "yellow",
}  # fmt: skip


def show_list(out: Output, workflows: list[Workflow]) -> None:
    """One line per definition."""
    rows = [
        [w.name, str(len(w.tasks)), str(width(w)), ", ".join(w.agents), w.description]
        for w in workflows
    ]  # fmt: skip
    out.table(["Workflow", "Tasks", "Parallel", "Agents", "Description"], rows, right=("Tasks", "Parallel"))


def show_workflow(out: Output, workflow: Workflow) -> None:
    """One definition with its tasks in the order of their stages."""
    out.line(workflow.name, style="bold")
    if workflow.description:
        out.line(workflow.description)
    parts = [
        plural(len(workflow.tasks), "task"),
        f"at most {workflow.max_parallel} at once, {width(workflow)} as its dependencies are",
        "no timeout" if workflow.timeout_s is None else f"timeout {_span(workflow.timeout_s)}",
    ]
    if workflow.fail_fast:
        parts.append("ends with the first failure")
    out.line(", ".join(parts))
    out.line()
    rows = []
    for number, stage in enumerate(stages(workflow), start=1):
        for task_id in stage:
            task = workflow.task(task_id)
            retries = f"{task.retries}, {_span(task.retry_delay_s)} apart" if task.retries else "-"
            rows.append(
                [str(number), task.id, task.agent, task.task, ", ".join(task.depends_on) or "-",
                 "-" if task.timeout_s is None else _span(task.timeout_s), retries]
            )  # fmt: skip
    out.table(["Stage", "Id", "Agent", "Task", "After", "Timeout", "Retries"], rows, right=("Stage",))


def show_result(out: Output, result: WorkflowResult) -> None:
    """How each task went, and the whole."""
    rows = [
        [
            task.id,
            task.agent,
            task.status.value,
            str(task.attempts),
            amount(task.started_s, "seconds"),
            amount(task.duration_s if task.started_s is not None else None, "seconds"),
            task.error or "",
        ]
        for task in result.tasks.values()
    ]
    headers = ["Task", "Agent", "Status", "Attempts", "Start", "Took", "Why"]
    out.table(headers, rows, right=("Attempts", "Start", "Took"))
    out.line()
    trace = result.trace_id or "not recorded"
    took = amount(result.duration_s, "seconds")
    out.line(f"{result.name}: {result.status.value}, {plural(len(result.tasks), 'task')} in {took}")
    out.line(f"workflow {result.workflow_id}")
    out.line(f"trace {trace}")


@contextmanager
def watching(workflow: Workflow) -> Iterator[Observer]:
    """Shows tasks at work on standard error: a line for each that moves on a terminal, else one for each step."""
    console = Console(stderr=True, markup=False, highlight=False)
    if not console.is_terminal:
        yield lambda progress: Output.note(_line(progress.step, progress.task))
        return
    names = max(len(task.id) for task in workflow.tasks)
    with Rows(
        SpinnerColumn(finished_text=" "), TextColumn("{task.description}", markup=False), _Standing(),
        TimeElapsedColumn(), console=console, transient=True,
    ) as rows:  # fmt: skip
        shown = {
            task.id: rows.add_task(safe(task.id).ljust(names), total=1, start=False, standing="waits")
            for task in workflow.tasks
        }

        def observe(progress: Progress) -> None:
            row, task = shown[progress.task.id], progress.task
            match progress.step:
                case Step.STARTED:
                    rows.start_task(row)
                    rows.update(row, standing="runs" if task.attempts == 1 else f"runs, attempt {task.attempts}")
                case Step.RETRYING:
                    rows.update(row, standing=f"waits to try again: {task.error}")
                case Step.ENDED:
                    rows.update(row, standing=task.status.value, completed=1)
            rows.refresh()

        yield observe


class _Standing(ProgressColumn):
    """What a task does, or how it ended."""

    def render(self, task: object) -> Text:
        standing = safe(str(getattr(task, "fields", {}).get("standing", "")))[:60]
        return Text(standing, style=_COLOURS.get(standing, ""))


def _line(step: Step, task: TaskResult) -> str:
    match step:
        case Step.STARTED:
            again = f", attempt {task.attempts}" if task.attempts > 1 else ""
            return f"{task.id}: started ({task.agent}.{task.task}{again})"
        case Step.RETRYING:
            return f"{task.id}: attempt {task.attempts} failed: {task.error}"
        case Step.ENDED:
            why = f": {task.error}" if task.error else ""
            return f"{task.id}: {task.status.value} after {amount(task.duration_s, 'seconds')}{why}"


def _span(seconds: float) -> str:
    return f"{seconds:g}s" if seconds < 60 else f"{seconds / 60:g}m"
