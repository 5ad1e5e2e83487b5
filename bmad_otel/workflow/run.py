"""Runs a workflow: what is ready starts, at most ``max_parallel`` at once, until nothing is left that may start.

The graph is `graphlib`'s, the running `asyncio`'s; what is here is what a failure means for the tasks that wait.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from bmad_otel import _guard
from bmad_otel._failure import message_of, type_name
from bmad_otel._spending import Spending, spending_to
from bmad_otel._track import track_workflow

from .agents import Callee, callees_of, canonical
from .call import TaskFailed, attempt
from .definition import Workflow, WorkflowError, WorkflowTask, faults_of, sorter_of
from .result import TaskResult, TaskStatus, WorkflowResult


class Step(StrEnum):
    """What a `Progress` tells of a task."""

    STARTED = "started"
    RETRYING = "retrying"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Progress:
    """Something happened to a task; ``task`` is how it stands now."""

    step: Step
    task: TaskResult


Observer = Callable[[Progress], None]


async def arun_workflow(
    workflow: Workflow, agents: object, *, context: Mapping[str, Any] | None = None, observer: Observer | None = None
) -> WorkflowResult:
    """Run ``workflow`` on the caller's own ``agents`` in the running event loop; one trace, whatever becomes of it.

    ``agents``: ``{name: object | class | function(task, context)}``, names in any spelling, or a module with agent
    classes. The method called like the task gets the arguments it has parameters for: ``context`` and what the context
    holds. A plain function runs in a thread, a coroutine function in this loop.
    ``context``: what the caller gives all tasks. Every attempt sees its own copy of this mapping, with ``workflow``,
    ``workflow_id``, ``task_id``, ``attempt`` (from 1) and ``inputs``, the results of the tasks it depends on by their
    ids.
    ``observer``: told of each task's steps, in the event loop.

    A failing task is an answer and not an exception: see `WorkflowResult`. Raises WorkflowError for a definition that
    cannot be run and MissingAgents for agents that do not fit, with everything that is wrong, before anything runs.
    Cancelled, it cancels what runs and raises CancelledError.
    """
    return await WorkflowRun(workflow, agents, context=context, observer=observer).run()


def run_workflow(
    workflow: Workflow, agents: object, *, context: Mapping[str, Any] | None = None, observer: Observer | None = None
) -> WorkflowResult:
    """`arun_workflow` in an event loop of its own, which Ctrl-C cancels."""
    run = WorkflowRun(workflow, agents, context=context, observer=observer)
    with asyncio.Runner() as runner:
        return runner.run(run.run())


class WorkflowRun:
    """One run. `result` may be asked at any time, also after the run was cancelled."""

    def __init__(
        self,
        workflow: Workflow,
        agents: object,
        *,
        context: Mapping[str, Any] | None = None,
        observer: Observer | None = None,
    ) -> None:
        """Raises WorkflowError, MissingAgents or TypeError: see `arun_workflow`."""
        if faults := faults_of(workflow):
            raise WorkflowError(workflow.name, faults)
        self._workflow = workflow
        self._context = dict(context or {})
        self._callees: Mapping[str, Callee] = callees_of(workflow, agents, self._context)
        self._observer = observer
        self.workflow_id = f"{workflow.name}-{uuid.uuid4().hex}"
        self._trace_id: str | None = None
        self._status: TaskStatus | None = None
        self._reason = "the workflow was cancelled"
        self._began_s = self._ended_s = 0.0
        self._tasks = {
            task.id: TaskResult(task.id, canonical(task.agent), task.task, TaskStatus.SKIPPED)
            for task in workflow.tasks
        }
        self._running: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(workflow.max_parallel)
        self._ended: asyncio.Queue[str] = asyncio.Queue()

    def result(self) -> WorkflowResult:
        """How it went, or how it stands."""
        ended_s = self._ended_s or time.monotonic()
        status = self._status or TaskStatus.CANCELLED
        return WorkflowResult(
            self.workflow_id, self._workflow.name, self._trace_id, status, dict(self._tasks),
            ended_s - self._began_s if self._began_s else 0.0,
        )  # fmt: skip

    async def run(self) -> WorkflowResult:
        """Run all of it, once. Raises RuntimeError when it began already."""
        if self._began_s:
            raise RuntimeError("a WorkflowRun runs once; make another one")
        workflow = self._workflow
        self._began_s = time.monotonic()
        try:
            async with track_workflow(name=workflow.name, workflow_id=self.workflow_id) as handle:
                span = handle.span.get_span_context()
                self._trace_id = trace.format_trace_id(span.trace_id) if span.is_valid else None
                await self._all()
                if failed := [task for task in self._tasks.values() if task.status is not TaskStatus.OK]:
                    self._status = TaskStatus.ERROR
                    shown = ", ".join(f"{task.id} {task.status.value}" for task in failed[:10])
                    handle.fail(f"{len(failed)} of {len(self._tasks)} tasks did not succeed: {shown}")
                else:
                    self._status = TaskStatus.OK
        except _OutOfTime as error:
            self._status = TaskStatus.TIMEOUT
            self._reason = f"the workflow was {error}"
        except asyncio.CancelledError:
            self._status = TaskStatus.CANCELLED
            raise
        finally:
            self._ended_s = time.monotonic()
            self._explain()
        return self.result()

    async def _all(self) -> None:
        timeout_s = self._workflow.timeout_s
        try:
            async with asyncio.timeout(timeout_s) as limit, asyncio.TaskGroup() as group:
                await self._start_what_is_ready(group)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise _OutOfTime(f"not done within {timeout_s:g} s") from error
        except KeyboardInterrupt as interrupt:
            # A second Ctrl-C, in the middle of a coroutine that heeds no cancellation. It has left the event loop
            # already when it came out of that coroutine; here it comes once more, out of the group.
            raise asyncio.CancelledError from interrupt

    async def _start_what_is_ready(self, group: asyncio.TaskGroup) -> None:
        sorter = sorter_of(self._workflow)
        while sorter.is_active():
            for task_id in sorter.get_ready():
                task = self._workflow.task(task_id)
                lacking = [needed for needed in task.depends_on if self._tasks[needed].status is not TaskStatus.OK]
                if lacking:
                    self._end(task_id, status=TaskStatus.SKIPPED, error=f"{', '.join(lacking)} did not succeed")
                else:
                    self._running[task_id] = group.create_task(self._one(task), name=task_id)
            task_id = await self._ended.get()
            sorter.done(task_id)
            if self._workflow.fail_fast and self._tasks[task_id].status in (TaskStatus.ERROR, TaskStatus.TIMEOUT):
                self._reason = f"{task_id} failed, and the workflow ends with the first failure"
                for running in self._running.values():
                    running.cancel()
                return

    async def _one(self, task: WorkflowTask) -> None:
        """All attempts at a task. Raises nothing but what ends the event loop."""
        spending = Spending()
        # of this asyncio task only, whose context is its own
        otel_context.attach(spending_to(spending))
        ended: dict[str, Any] = {"status": TaskStatus.CANCELLED}
        try:
            for number in range(1, task.retries + 2):
                if number > 1:
                    await asyncio.sleep(task.retry_delay_s)
                async with self._slots:
                    self._begin(task.id, number)
                    try:
                        result = await self._attempt(task, number)
                        ended = {"status": TaskStatus.OK, "result": result, "error": None, "error_type": None}
                        return
                    except (Exception, SystemExit) as failure:  # noqa: BLE001 - the agent's, and the answer
                        ended = _failed(failure)
                if number <= task.retries:
                    self._tell(task.id, Step.RETRYING, error=ended["error"], error_type=ended["error_type"])
        except asyncio.CancelledError:
            ended = {"status": TaskStatus.CANCELLED, "error": None, "error_type": None}
            current = asyncio.current_task()
            if current is None or current.cancelling():
                raise
            # nobody cancelled this task
            ended["error"] = "the agent cancelled it"
        finally:
            if self._tasks[task.id].attempts == 0:
                ended["status"] = TaskStatus.SKIPPED
            self._end(task.id, **ended, tokens=spending.by_model())

    async def _attempt(self, task: WorkflowTask, number: int) -> Any:
        callee = self._callees[task.id]
        given = self._context | {
            "workflow": self._workflow.name,
            "workflow_id": self.workflow_id,
            "task_id": task.id,
            "attempt": number,
            "inputs": {needed: self._tasks[needed].result for needed in task.depends_on},
        }
        args, kwargs = callee.arguments(given)
        return await attempt(
            callee, args, kwargs,
            name=task.task, task_id=f"{self.workflow_id}_{task.id}", workflow_id=self.workflow_id,
            timeout_s=task.timeout_s,
        )  # fmt: skip

    def _begin(self, task_id: str, number: int) -> None:
        started_s = self._tasks[task_id].started_s
        if started_s is None:
            started_s = time.monotonic() - self._began_s
        self._tell(task_id, Step.STARTED, attempts=number, started_s=started_s)

    def _end(self, task_id: str, **ended: Any) -> None:
        started_s = self._tasks[task_id].started_s
        duration_s = 0.0 if started_s is None else time.monotonic() - self._began_s - started_s
        self._tell(task_id, Step.ENDED, duration_s=duration_s, **ended)
        self._running.pop(task_id, None)
        self._ended.put_nowait(task_id)

    def _explain(self) -> None:
        """Say of the tasks that the end of the workflow stopped, or kept from beginning, why."""
        for task_id, task in self._tasks.items():
            if task.error is None and task.status is not TaskStatus.OK:
                self._tasks[task_id] = replace(task, error=self._reason)

    def _tell(self, task_id: str, step: Step, **changed: Any) -> None:
        task = self._tasks[task_id] = replace(self._tasks[task_id], **changed)
        if self._observer is not None:
            try:
                self._observer(Progress(step, task))
            except Exception as error:  # noqa: BLE001 - who looks on must not disturb
                _guard.contain("telling of a workflow's progress", error)


def _failed(failure: BaseException) -> dict[str, Any]:
    """What a task's result says of the exception that ended its last attempt."""
    error_type = failure.error_type if isinstance(failure, TaskFailed) else type_name(failure)
    is_late = isinstance(failure, TimeoutError)
    return {
        "status": TaskStatus.TIMEOUT if is_late else TaskStatus.ERROR,
        "error": message_of(failure) or error_type,
        "error_type": error_type,
    }


class _OutOfTime(TimeoutError):
    """The workflow's own timeout."""
