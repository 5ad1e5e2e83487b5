"""What a workflow is made of, and what can be wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from typing import Final

MAX_TASKS: Final = 1000
"""A definition is written by hand; more is a program's mistake."""


@dataclass(frozen=True, slots=True)
class WorkflowTask:
    """One step: ``task`` of ``agent``, once everything in ``depends_on`` has succeeded.

    ``agent`` may have any of its spellings. ``task`` is a method of the agent's object, or text that its callable
    understands. Times in seconds: ``timeout_s`` bounds each attempt, ``retry_delay_s`` lies between two of them.
    """

    id: str
    agent: str
    task: str
    depends_on: tuple[str, ...] = ()
    timeout_s: float | None = None
    retries: int = 0
    retry_delay_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Workflow:
    """Tasks and the order their dependencies ask for; those that may run at once do, at most ``max_parallel``.

    ``timeout_s`` bounds the whole. With ``fail_fast`` the first failure cancels what runs; without, only what depends
    on the failed task is left out.
    """

    name: str
    tasks: tuple[WorkflowTask, ...]
    description: str = ""
    max_parallel: int = 3
    timeout_s: float | None = None
    fail_fast: bool = False

    def task(self, task_id: str) -> WorkflowTask:
        """The task of this id. Raises KeyError."""
        return next((task for task in self.tasks if task.id == task_id), None) or _no_task(task_id)

    @property
    def agents(self) -> tuple[str, ...]:
        """The agents as they are spelled, each once, in the order of the tasks."""
        return tuple(dict.fromkeys(task.agent for task in self.tasks))


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong. ``path`` leads to it: ``("tasks", 2, "depends_on", 0)``."""

    path: tuple[str | int, ...]
    message: str
    expected: str = ""

    def __str__(self) -> str:
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path).removeprefix(".")
        return f"{where}: {self.message}" + (f" (expected {self.expected})" if self.expected else "")


class WorkflowError(ValueError):
    """A workflow that cannot be run as it is: ``faults`` has everything that is wrong."""

    def __init__(self, name: str, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__(f"workflow {name!r}: " + "; ".join(str(fault) for fault in faults))


def faults_of(workflow: Workflow) -> list[Fault]:
    """Everything that is wrong with a definition, in its order; nothing when it can be run."""
    found = list(_own_faults(workflow))
    first: dict[str, int] = {}
    for i, task in enumerate(workflow.tasks):
        found += _task_faults(task, i)
        if first.setdefault(task.id, i) != i:
            found.append(Fault(("tasks", i, "id"), f"{task.id!r} is there already", "one id per task"))
    for i, task in enumerate(workflow.tasks):
        seen: set[str] = set()
        for j, needed in enumerate(task.depends_on):
            path = ("tasks", i, "depends_on", j)
            if needed in seen:
                found.append(Fault(path, f"{needed!r} is named twice"))
            elif needed not in first:
                near = get_close_matches(needed, first, n=1)
                hint = f", did you mean {near[0]!r}?" if near else ""
                found.append(Fault(path, f"there is no task {needed!r}{hint}"))
            seen.add(needed)
    if circle := _circle(workflow):
        at = first[circle[0]]
        found.append(Fault(("tasks", at, "depends_on"), f"the tasks wait for each other: {' -> '.join(circle)}"))
    return found


def stages(workflow: Workflow) -> list[list[str]]:
    """The ids of a faultless workflow in the stages it would have if every task took equally long and nothing limited
    how many run at once."""
    sorter = sorter_of(workflow)
    found: list[list[str]] = []
    while sorter.is_active():
        stage = list(sorter.get_ready())
        found.append(stage)
        sorter.done(*stage)
    return found


def width(workflow: Workflow) -> int:
    """The most tasks of a faultless workflow that are seen running at once: its widest stage, or ``max_parallel``."""
    return min(workflow.max_parallel, max(len(stage) for stage in stages(workflow)))


def sorter_of(workflow: Workflow) -> TopologicalSorter[str]:
    """Tells which task is next. Raises graphlib.CycleError."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    ids = {task.id for task in workflow.tasks}
    for task in workflow.tasks:
        # what is not there is a fault of its own
        sorter.add(task.id, *(needed for needed in task.depends_on if needed in ids))
    sorter.prepare()
    return sorter


def _no_task(task_id: str) -> WorkflowTask:
    raise KeyError(task_id)


def _own_faults(workflow: Workflow) -> Iterator[Fault]:
    if not workflow.name.strip():
        yield Fault(("name",), "is empty", "a name")
    if not workflow.tasks:
        yield Fault(("tasks",), "there is no task", "at least one")
    if len(workflow.tasks) > MAX_TASKS:
        yield Fault(("tasks",), f"there are {len(workflow.tasks)} tasks", f"at most {MAX_TASKS}")
    if workflow.max_parallel < 1:
        yield Fault(("max_parallel",), f"{workflow.max_parallel} is out of range", "at least 1")
    if workflow.timeout_s is not None and not workflow.timeout_s > 0:
        yield Fault(("timeout",), f"{workflow.timeout_s:g} s is out of range", "more than 0")


def _task_faults(task: WorkflowTask, i: int) -> Iterator[Fault]:
    for key, text in (("id", task.id), ("agent", task.agent), ("task", task.task)):
        if not text.strip():
            yield Fault(("tasks", i, key), "is empty", "text")
    if task.timeout_s is not None and not task.timeout_s > 0:
        yield Fault(("tasks", i, "timeout"), f"{task.timeout_s:g} s is out of range", "more than 0")
    if task.retries < 0:
        yield Fault(("tasks", i, "retries"), f"{task.retries} is out of range", "0 or more")
    if not task.retry_delay_s >= 0:
        yield Fault(("tasks", i, "retry_delay"), f"{task.retry_delay_s:g} s is out of range", "0 or more")


def _circle(workflow: Workflow) -> list[str]:
    ids = [task.id for task in workflow.tasks]
    try:
        sorter_of(workflow)
    except CycleError as error:
        found: list[str] = error.args[1][:-1]
    else:
        return []
    found.reverse()  # graphlib names who is waited for first
    # from the task that is written first, so that the same definition always gets the same words
    at = min(range(len(found)), key=lambda i: ids.index(found[i]))
    return [*found[at:], *found[: at + 1]]
