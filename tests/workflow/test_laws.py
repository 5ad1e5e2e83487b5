"""Whatever the graph: the order of dependencies, the bound of max_parallel, one end for each task."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_otel.workflow import Progress, Step, TaskStatus, Workflow, WorkflowTask, arun_workflow


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Workflow, frozenset[str]]:
    """A workflow without circles, its tasks in any order, and which of its tasks fail."""
    size = draw(st.integers(1, 12))
    ids = [f"t{i}" for i in range(size)]
    tasks = [
        WorkflowTask(ids[i], "agent", "work", tuple(draw(st.sets(st.sampled_from(ids[:i]), max_size=4))) if i else ())
        for i in range(size)
    ]
    workflow = Workflow("law", tuple(draw(st.permutations(tasks))), max_parallel=draw(st.integers(1, 4)))
    return workflow, frozenset(draw(st.sets(st.sampled_from(ids), max_size=3)))


@settings(max_examples=60)
@given(graphs(), st.randoms(use_true_random=False))
def test_every_run_keeps_the_laws(drawn: tuple[Workflow, frozenset[str]], random: Any) -> None:
    workflow, failing = drawn
    running = 0
    most = 0
    done: set[str] = set()
    ends: list[str] = []

    async def agent(task: WorkflowTask, _context: dict[str, Any]) -> None:
        nonlocal running, most
        assert set(task.depends_on) <= done
        running += 1
        most = max(most, running)
        for _ in range(random.randint(0, 5)):
            await asyncio.sleep(0)
        running -= 1
        if task.id in failing:
            raise ValueError
        done.add(task.id)

    def observe(progress: Progress) -> None:
        if progress.step is Step.ENDED:
            ends.append(progress.task.id)

    result = asyncio.run(arun_workflow(workflow, {"agent": agent}, observer=observe))
    assert most <= workflow.max_parallel
    assert sorted(ends) == sorted(task.id for task in workflow.tasks)
    cannot: set[str] = set(failing)
    for _ in workflow.tasks:
        cannot |= {task.id for task in workflow.tasks if cannot & set(task.depends_on)}
    assert {task.id for task in workflow.tasks if result.tasks[task.id].status is TaskStatus.OK} == done
    assert done == {task.id for task in workflow.tasks} - cannot
    for task in workflow.tasks:
        found = result.tasks[task.id]
        if set(task.depends_on) & cannot:
            assert found.status is TaskStatus.SKIPPED
        elif task.id in failing:
            assert found.status is TaskStatus.ERROR
    assert (result.status is TaskStatus.OK) == (not cannot)
