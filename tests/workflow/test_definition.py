"""What can be wrong with a definition, and what is told of a right one."""

from __future__ import annotations

from typing import Any

import pytest

from bmad_otel.workflow import Workflow, WorkflowError, WorkflowTask, faults_of, run_workflow, stages, width


def task(task_id: str, *needed: str, **more: Any) -> WorkflowTask:
    return WorkflowTask(task_id, "a", "x", needed, **more)


@pytest.mark.parametrize(
    ("workflow", "said"),
    [
        (Workflow("w", ()), ["tasks: there is no task (expected at least one)"]),
        (Workflow(" ", (task("a"),)), ["name: is empty (expected a name)"]),
        (Workflow("w", (task("a"), task("a"))), ["tasks[1].id: 'a' is there already (expected one id per task)"]),
        (Workflow("w", (task("a", "b"),)), ["tasks[0].depends_on[0]: there is no task 'b'"]),
        (
            Workflow("w", (task("build"), task("t", "biuld"))),
            ["tasks[1].depends_on[0]: there is no task 'biuld', did you mean 'build'?"],
        ),
        (Workflow("w", (task("a"), task("b", "a", "a"))), ["tasks[1].depends_on[1]: 'a' is named twice"]),
        (Workflow("w", (task("a", "a"),)), ["tasks[0].depends_on: the tasks wait for each other: a -> a"]),
        (Workflow("w", (task("a"),), max_parallel=0), ["max_parallel: 0 is out of range (expected at least 1)"]),
        (Workflow("w", (task("a"),), timeout_s=0), ["timeout: 0 s is out of range (expected more than 0)"]),
        (
            Workflow("w", (task("a", retries=-1, timeout_s=-1, retry_delay_s=float("nan")),)),
            [
                "tasks[0].timeout: -1 s is out of range (expected more than 0)",
                "tasks[0].retries: -1 is out of range (expected 0 or more)",
                "tasks[0].retry_delay: nan s is out of range (expected 0 or more)",
            ],
        ),
        (Workflow("w", (task("a", "b", "c"), task("b", "a"))),
         ["tasks[0].depends_on[1]: there is no task 'c'", "tasks[0].depends_on: the tasks wait for each other"]),
    ],
)  # fmt: skip
def test_faults(workflow: Workflow, said: list[str]) -> None:
    found = [str(fault) for fault in faults_of(workflow)]
    assert len(found) == len(said)
    assert all(fault.startswith(expected) for fault, expected in zip(found, said, strict=True)), found
    with pytest.raises(WorkflowError) as caught:
        run_workflow(workflow, {"a": lambda _task, _context: None})
    assert caught.value.faults == faults_of(workflow)


def test_stages_and_width() -> None:
    workflow = Workflow("w", (task("a"), task("b", "a"), task("c", "a"), task("d", "a"), task("e", "b", "c")))
    assert stages(workflow) == [["a"], ["b", "c", "d"], ["e"]]
    assert width(workflow) == 3
    assert width(Workflow("w", workflow.tasks, max_parallel=2)) == 2
