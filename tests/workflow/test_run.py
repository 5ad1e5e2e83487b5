"""What runs when, and what becomes of failures: on real agents, with real (short) times."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from bmad_otel import current_task
from bmad_otel.testing import Telemetry
from bmad_otel.workflow import (
    Progress,
    Step,
    TaskStatus,
    Workflow,
    WorkflowResult,
    WorkflowRun,
    WorkflowTask,
    arun_workflow,
    run_workflow,
)

Agent = Callable[[WorkflowTask, dict[str, Any]], Any]


def task(task_id: str, *needed: str, **more: Any) -> WorkflowTask:
    """A task of an agent of the same name."""
    return WorkflowTask(task_id, task_id, f"do {task_id}", needed, **more)


def statuses(result: WorkflowResult) -> dict[str, str]:
    return {task_id: found.status.value for task_id, found in result.tasks.items()}


def says(value: Any) -> Agent:
    return lambda _task, _context: value


def fails(error: BaseException) -> Agent:
    def agent(_task: WorkflowTask, _context: dict[str, Any]) -> None:
        raise error

    return agent


DIAMOND = Workflow("diamond", (task("top"), task("left", "top"), task("right", "top"), task("end", "left", "right")))


def test_a_task_sees_the_results_of_those_it_depends_on_and_the_callers_context() -> None:
    seen: list[dict[str, Any]] = []

    def end(of: WorkflowTask, context: dict[str, Any]) -> str:
        seen.append(context)
        return of.task

    agents = {"top": says(1), "left": says(2), "right": says(3), "end": end}
    result = run_workflow(DIAMOND, agents, context={"goal": "owls"})
    assert result.status is TaskStatus.OK
    assert result.tasks["end"].result == "do end"
    [context] = seen
    assert context == {
        "goal": "owls", "workflow": "diamond", "workflow_id": result.workflow_id, "task_id": "end", "attempt": 1,
        "inputs": {"left": 2, "right": 3},
    }  # fmt: skip


def test_what_one_task_does_to_its_context_no_other_sees() -> None:
    def vandal(_task: WorkflowTask, context: dict[str, Any]) -> None:
        context.clear()

    result = run_workflow(
        Workflow("w", (task("a"), task("b", "a"))), {"a": vandal, "b": lambda _, c: c["goal"]}, context={"goal": 7}
    )
    assert result.tasks["b"].result == 7


def test_tasks_that_depend_on_nothing_of_each_other_run_at_the_same_time() -> None:
    both_there = threading.Barrier(2, timeout=20)

    def meet(_task: WorkflowTask, _context: dict[str, Any]) -> None:
        both_there.wait()

    result = run_workflow(DIAMOND, {"top": says(1), "left": meet, "right": meet, "end": says(1)})
    assert result.status is TaskStatus.OK


def test_coroutines_and_plain_functions_run_side_by_side() -> None:
    async def patient(_task: WorkflowTask, _context: dict[str, Any]) -> str:
        await asyncio.wait_for(asyncio.to_thread(met.wait, 20), 20)
        return "met"

    met = threading.Event()
    result = run_workflow(Workflow("w", (task("a"), task("b"))), {"a": patient, "b": lambda _task, _context: met.set()})
    assert (result.status, result.tasks["a"].result) == (TaskStatus.OK, "met")


def test_no_more_threads_work_at_once_than_max_parallel_allows() -> None:
    lock = threading.Lock()
    running = 0
    seen: list[int] = []

    def works(_task: WorkflowTask, _context: dict[str, Any]) -> None:
        nonlocal running
        with lock:
            running += 1
            seen.append(running)
        time.sleep(0.02)
        with lock:
            running -= 1

    tasks = tuple(WorkflowTask(f"t{i}", "a", "x") for i in range(8))
    assert run_workflow(Workflow("w", tasks, max_parallel=2), {"a": works}).status is TaskStatus.OK
    assert (len(seen), max(seen)) == (8, 2)


def test_a_run_runs_once() -> None:
    run = WorkflowRun(Workflow("w", (task("a"),)), {"a": says(1)})
    assert asyncio.run(run.run()).status is TaskStatus.OK
    with pytest.raises(RuntimeError, match="runs once"):
        asyncio.run(run.run())


def test_every_kind_of_function_is_a_task() -> None:
    class Echo:
        async def __call__(self, _task: WorkflowTask, _context: dict[str, Any]) -> str:
            return "object"

    async def stream(_task: WorkflowTask, _context: dict[str, Any]) -> Any:
        yield 1
        await asyncio.sleep(0)
        yield 2

    def rows(_task: WorkflowTask, _context: dict[str, Any]) -> Any:
        yield from (3, 4)

    async def late() -> str:
        return "late"

    agents = {"a": Echo(), "b": stream, "c": rows, "d": lambda _task, _context: late()}
    result = run_workflow(Workflow("w", tuple(task(name) for name in agents)), agents)
    assert [found.result for found in result.tasks.values()] == ["object", [1, 2], [3, 4], "late"]


def test_what_depends_on_a_failure_is_skipped_and_says_so_and_the_rest_goes_on() -> None:
    workflow = Workflow("w", (task("a"), task("b", "a"), task("c", "b"), task("d"), task("e", "d")))
    agents = {name: says(name) for name in "bcde"} | {"a": fails(ValueError("no plan"))}
    result = run_workflow(workflow, agents)
    assert statuses(result) == {"a": "error", "b": "skipped", "c": "skipped", "d": "ok", "e": "ok"}
    assert result.status is TaskStatus.ERROR
    assert (result.tasks["a"].error, result.tasks["a"].error_type) == ("no plan", "ValueError")
    assert (result.tasks["b"].error, result.tasks["c"].error) == ("a did not succeed", "b did not succeed")
    assert (result.tasks["b"].attempts, result.tasks["b"].started_s) == (0, None)


def test_a_denied_task_is_a_failed_one_and_leaves_nothing_running(bmad_telemetry: Telemetry) -> None:
    """Defect 40: the original ignored a denial, and then never ended the task's tracking."""
    denied = PermissionError("the policy denies it")
    result = run_workflow(DIAMOND, {"top": fails(denied)} | {name: says(0) for name in ("left", "right", "end")})
    assert statuses(result) == {"top": "error", "left": "skipped", "right": "skipped", "end": "skipped"}
    [span] = bmad_telemetry.tasks("top")
    assert (span.outcome, span.error_type) == ("error", "PermissionError")
    assert bmad_telemetry.value("bmad.agent.task.active", **{"gen_ai.agent.name": "top"}) == 0


@pytest.mark.parametrize("is_async", [True, False])
def test_an_attempt_that_takes_too_long_is_a_timeout(bmad_telemetry: Telemetry, is_async: bool) -> None:
    free = threading.Event()

    async def waits(_task: WorkflowTask, _context: dict[str, Any]) -> None:
        await asyncio.sleep(60)

    def blocks(_task: WorkflowTask, _context: dict[str, Any]) -> None:
        free.wait(60)

    began_s = time.monotonic()
    result = run_workflow(Workflow("w", (task("a", timeout_s=0.05),)), {"a": waits if is_async else blocks})
    free.set()
    assert time.monotonic() - began_s < 20  # the function that blocks is not waited for
    assert (result.tasks["a"].status, result.tasks["a"].error) == (TaskStatus.TIMEOUT, "no result within 0.05 s")
    [span] = bmad_telemetry.tasks("a")
    assert (span.outcome, span.error_type) == ("timeout", "TimeoutError")
    assert bmad_telemetry.value("bmad.agent.task.active", **{"gen_ai.agent.name": "a"}) == 0


def test_a_failed_attempt_is_tried_again_and_each_is_a_span(bmad_telemetry: Telemetry) -> None:
    numbers: list[int] = []

    def flaky(_task: WorkflowTask, context: dict[str, Any]) -> int:
        numbers.append(context["attempt"])
        if len(numbers) < 3:
            raise ConnectionError(f"attempt {len(numbers)}")
        return len(numbers)

    steps: list[Progress] = []
    result = run_workflow(
        Workflow("w", (task("a", retries=5, retry_delay_s=0.05),)), {"a": flaky}, observer=steps.append
    )
    found = result.tasks["a"]
    assert (found.status, found.attempts, found.result, found.error, numbers) == (TaskStatus.OK, 3, 3, None, [1, 2, 3])
    assert found.duration_s >= 0.1
    assert [step.step for step in steps] == [
        Step.STARTED, Step.RETRYING, Step.STARTED, Step.RETRYING, Step.STARTED, Step.ENDED,
    ]  # fmt: skip
    assert [step.task.error for step in steps if step.step is Step.RETRYING] == ["attempt 1", "attempt 2"]
    assert bmad_telemetry.tree() == (
        "invoke_workflow w: ok\n"
        "  invoke_agent a (do a): error ConnectionError\n"
        "  invoke_agent a (do a): error ConnectionError\n"
        "  invoke_agent a (do a): ok"
    )


def test_the_last_of_the_attempts_decides() -> None:
    result = run_workflow(Workflow("w", (task("a", retries=2, retry_delay_s=0),)), {"a": fails(ValueError("never"))})
    assert (result.tasks["a"].attempts, result.tasks["a"].error) == (3, "never")


def test_a_task_that_waits_for_its_next_attempt_holds_no_place() -> None:
    workflow = Workflow("w", (task("a", retries=1, retry_delay_s=0.3), task("b")), max_parallel=1)
    order: list[str] = []

    def agent(of: WorkflowTask, context: dict[str, Any]) -> None:
        order.append(of.id)
        if of.id == "a" and context["attempt"] == 1:
            raise ValueError

    assert run_workflow(workflow, {"a": agent, "b": agent}).status is TaskStatus.OK
    assert order == ["a", "b", "a"]


def test_with_fail_fast_the_first_failure_ends_everything(bmad_telemetry: Telemetry) -> None:
    async def waits(_task: WorkflowTask, _context: dict[str, Any]) -> None:
        await asyncio.sleep(60)

    workflow = Workflow("w", (task("a"), task("b"), task("c", "b")), fail_fast=True)
    result = run_workflow(workflow, {"a": fails(ValueError("no")), "b": waits, "c": says(0)})
    assert statuses(result) == {"a": "error", "b": "cancelled", "c": "skipped"}
    reason = "a failed, and the workflow ends with the first failure"
    assert (result.tasks["b"].error, result.tasks["c"].error) == (reason, reason)
    assert bmad_telemetry.task("b").outcome == "cancelled"


def test_a_workflow_that_takes_too_long_is_ended(bmad_telemetry: Telemetry) -> None:
    async def waits(_task: WorkflowTask, _context: dict[str, Any]) -> None:
        await asyncio.sleep(60)

    workflow = Workflow("w", (task("a"), task("b", "a"), task("c", "b")), timeout_s=0.2)
    result = run_workflow(workflow, {"a": says(1), "b": waits, "c": says(1)})
    assert result.status is TaskStatus.TIMEOUT
    assert statuses(result) == {"a": "ok", "b": "cancelled", "c": "skipped"}
    assert result.tasks["b"].error == result.tasks["c"].error == "the workflow was not done within 0.2 s"
    assert bmad_telemetry.task(task="w").outcome == "timeout"


def test_a_cancelled_run_cancels_what_runs_and_tells_how_it_stood(bmad_telemetry: Telemetry) -> None:
    async def scenario() -> WorkflowRun:
        began = asyncio.Event()

        async def waits(_task: WorkflowTask, _context: dict[str, Any]) -> None:
            began.set()
            await asyncio.sleep(60)

        run = WorkflowRun(Workflow("w", (task("a"), task("b", "a"))), {"a": waits, "b": says(1)})
        running = asyncio.create_task(run.run())
        await began.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return run

    result = asyncio.run(scenario()).result()
    assert result.status is TaskStatus.CANCELLED
    assert statuses(result) == {"a": "cancelled", "b": "skipped"}
    assert {found.error for found in result.tasks.values()} == {"the workflow was cancelled"}
    assert bmad_telemetry.tree() == "invoke_workflow w: cancelled\n  invoke_agent a (do a): cancelled"


@pytest.mark.parametrize("is_async", [True, False])
def test_an_agent_that_gives_up_or_exits_ends_only_its_task(is_async: bool) -> None:
    async def cancels(_task: WorkflowTask, _context: dict[str, Any]) -> None:
        raise asyncio.CancelledError

    async def exits(_task: WorkflowTask, _context: dict[str, Any]) -> None:
        raise SystemExit(3)

    agents = {"a": cancels, "b": exits if is_async else fails(SystemExit(3)), "c": says(1)}
    result = run_workflow(Workflow("w", (task("a"), task("b"), task("c"))), agents)
    assert statuses(result) == {"a": "cancelled", "b": "error", "c": "ok"}
    assert result.tasks["a"].error == "the agent cancelled it"
    assert "3" in (result.tasks["b"].error or "")


def test_ids_are_unique_however_many_workflows_start_in_a_second() -> None:
    """Defect 42: ids of the original had a resolution of one second."""

    async def many() -> list[WorkflowResult]:
        workflow = Workflow("w", (task("a"),))
        return list(await asyncio.gather(*(arun_workflow(workflow, {"a": says(1)}) for _ in range(50))))

    assert len({result.workflow_id for result in asyncio.run(many())}) == 50


def test_an_observer_that_raises_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BMAD_OTEL_RAISE_INTERNAL", raising=False)

    def observer(_progress: Progress) -> None:
        raise RuntimeError("no terminal")

    result = run_workflow(Workflow("w", (task("a"),)), {"a": says(1)}, observer=observer)
    assert result.status is TaskStatus.OK


def test_the_report_is_json_and_has_the_keys_of_bmads_result() -> None:
    def spends(_task: WorkflowTask, _context: dict[str, Any]) -> object:
        current_task().record_usage(input_tokens=10, output_tokens=4, model="small")
        current_task().record_usage(input_tokens=1, output_tokens=1, model="large")
        return object()

    workflow = Workflow("w", (task("product-owner"), task("test", "product-owner"), task("late", "test")))
    agents = {"ProductOwner": spends, "TestEngineer": fails(ValueError("red")), "late": says(1)}
    result = run_workflow(workflow, agents)
    report = json.loads(json.dumps(result.as_dict()))
    assert report["tasks"]["product-owner"]["agent"] == "ProductOwner"
    assert report["status"] == "error"
    integrated = json.loads(json.dumps(result.as_integrated()))
    assert list(integrated) == [
        "workflow_id", "status", "agent_results", "tracing_data", "policy_decisions", "cost_analysis",
        "performance_metrics", "enterprise_data", "error_details", "execution_time",
    ]  # fmt: skip
    assert integrated["status"] == "failed"
    assert integrated["error_details"] == "test: red; late: test did not succeed"
    assert integrated["execution_time"] == result.duration_s > 0
    assert integrated["performance_metrics"]["TestEngineer"]["failed"] == 1
    assert integrated["performance_metrics"]["late"] == {"tasks": 0, "failed": 0, "attempts": 0, "duration_s": 0.0}
    cost = integrated["cost_analysis"]
    assert {key: cost[key] for key in ("input_tokens", "output_tokens", "calls")} == {
        "input_tokens": 11, "output_tokens": 5, "calls": 2,
    }  # fmt: skip
    assert cost["by_model"]["small"] == {"input_tokens": 10, "output_tokens": 4, "calls": 1}
    assert list(cost["by_agent"]) == ["ProductOwner"]
