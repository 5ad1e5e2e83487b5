"""A workflow is one trace; each attempt one sample of its agent, counted once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bmad_otel import current_task, instrument_agent, track_task, track_tool
from bmad_otel.testing import Telemetry
from bmad_otel.workflow import Workflow, WorkflowTask, run_workflow


def chain(*tasks: tuple[str, str]) -> Workflow:
    """Tasks t0, t1, ... of (agent, task), one after the other."""
    found = [WorkflowTask(f"t{i}", agent, task, (f"t{i - 1}",) if i else ()) for i, (agent, task) in enumerate(tasks)]
    return Workflow("release", tuple(found))


def test_one_trace_under_canonical_names_with_ids(bmad_telemetry: Telemetry) -> None:
    """Defects 43 and 59: seven tasks were seven traces, under names that no profile had."""
    names = ["product-owner", "architect", "backend", "frontend", "test", "security", "devops"]
    agents = {name: lambda _task, _context: None for name in names}
    result = run_workflow(chain(*((name, "work") for name in names)), agents)
    assert {span.trace_id for span in bmad_telemetry.spans} == {result.trace_id}
    workflow = bmad_telemetry.task(task="release")
    assert workflow.attributes["bmad.workflow.id"] == result.workflow_id
    assert [span.agent for span in workflow.children] == [
        "ProductOwner", "Architect", "BackendDeveloper", "FrontendDeveloper", "TestEngineer", "SecurityDeveloper",
        "DevOpsInfra",
    ]  # fmt: skip
    assert [span.attributes["bmad.task.id"] for span in workflow.children] == [
        f"{result.workflow_id}_t{i}" for i in range(7)
    ]
    assert {span.attributes["bmad.workflow.id"] for span in workflow.children} == {result.workflow_id}
    assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration", agent="ProductOwner").count == 1
    assert bmad_telemetry.histogram("gen_ai.invoke_workflow.duration").count == 1


@instrument_agent
class Instrumented:
    def plan(self, context: dict[str, Any]) -> str:
        return self.search(context["goal"])

    @track_tool
    def search(self, goal: str) -> str:
        return f"about {goal}"


class Decorated:
    agent_name = "ProductOwnerAgent"

    @track_task(usage=lambda result: {"prompt_tokens": len(result), "completion_tokens": 1, "model": "m"})
    async def write(self, goal: str) -> str:
        return goal

    @track_task(detect_failure=lambda result: result.get("error"))
    def check(self) -> dict[str, str]:
        return {"error": "nothing to check"}

    @track_task
    def judge(self) -> str:
        current_task().fail("not convincing", error_type="weak")
        return "done"


def test_tracked_methods_are_counted_once_and_keep_their_decorators_options(bmad_telemetry: Telemetry) -> None:
    tasks = (
        WorkflowTask("plan", "architect", "plan"),
        WorkflowTask("write", "product-owner", "write"),
        WorkflowTask("check", "product-owner", "check"),
        WorkflowTask("judge", "product-owner", "judge"),
    )
    agents = {"Architect": Instrumented(), "ProductOwner": Decorated()}
    result = run_workflow(Workflow("w", tasks, max_parallel=1), agents, context={"goal": "owls"})
    assert bmad_telemetry.tree() == (
        "invoke_workflow w: error task_error\n"
        "  invoke_agent Architect (plan): ok\n"
        "    execute_tool search: ok\n"
        "  invoke_agent ProductOwner (write): ok\n"
        "  invoke_agent ProductOwner (check): error task_error\n"
        "  invoke_agent ProductOwner (judge): error weak"
    )
    assert [task.status.value for task in result.tasks.values()] == ["ok", "ok", "error", "error"]
    assert (result.tasks["check"].error, result.tasks["judge"].error) == ("nothing to check", "not convincing")
    assert result.tasks["judge"].error_type == "weak"
    assert bmad_telemetry.task(task="write").attributes["gen_ai.usage.input_tokens"] == 4
    assert result.tasks["write"].tokens["m"].input_tokens == 4
    assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration", agent="Architect").count == 1


def test_tokens_are_counted_wherever_in_the_task_they_are_told(bmad_telemetry: Telemetry) -> None:
    @track_tool
    def model_call() -> None:
        current_task().record_usage(input_tokens=1, output_tokens=2, model="m")

    async def agent(_task: WorkflowTask, context: dict[str, Any]) -> None:
        model_call()
        await asyncio.to_thread(model_call)
        if context["attempt"] == 1:
            raise ConnectionError

    workflow = Workflow("w", (WorkflowTask("a", "a", "x", retries=1, retry_delay_s=0), WorkflowTask("b", "b", "x")))
    result = run_workflow(workflow, {"a": agent, "b": lambda _task, _context: None})
    assert (result.tasks["a"].tokens["m"].calls, result.tasks["a"].tokens["m"].output_tokens) == (4, 8)
    assert result.tasks["b"].tokens == {}
    # what is told outside of a workflow counts for none
    current_task().record_usage(input_tokens=1)


def test_cpu_time_of_a_function_in_its_thread_is_the_agents(bmad_telemetry: Telemetry) -> None:
    def busy(_task: WorkflowTask, _context: dict[str, Any]) -> None:
        end_s = time.thread_time() + 0.1
        while time.thread_time() < end_s:
            pass

    run_workflow(chain(("backend", "work")), {"backend": busy})
    assert bmad_telemetry.value("bmad.agent.cpu.time", **{"gen_ai.agent.name": "BackendDeveloper"}) >= 0.09


def test_a_coroutine_that_holds_up_the_others_shows_as_lag_of_its_agent(bmad_telemetry: Telemetry) -> None:
    async def blocks(_task: WorkflowTask, _context: dict[str, Any]) -> None:
        time.sleep(0.12)  # as twelve public coroutines of the BMAD agents do

    run_workflow(chain(("backend", "work")), {"backend": blocks})
    lag = bmad_telemetry.histogram("bmad.agent.event_loop.lag", **{"gen_ai.agent.name": "BackendDeveloper"})
    assert (lag.count, lag.sum >= 0.12) == (1, True)


def test_a_workflow_started_within_a_task_is_part_of_its_trace(bmad_telemetry: Telemetry) -> None:
    @track_task(agent="Orchestrator")
    def orchestrate() -> str | None:
        return run_workflow(chain(("backend", "work")), {"backend": lambda _task, _context: None}).trace_id

    assert orchestrate() == bmad_telemetry.task("Orchestrator").trace_id
    assert bmad_telemetry.task("BackendDeveloper").parent == bmad_telemetry.task(task="release")


def test_arguments_and_results_are_recorded_when_asked_for(bmad_telemetry: Telemetry) -> None:
    class Agent:
        @track_task(capture=True)
        def write(self, goal: str) -> str:
            return f"about {goal}"

    run_workflow(chain(("backend", "write")), {"backend": Agent()}, context={"goal": "owls"})
    found = bmad_telemetry.task("BackendDeveloper").attributes
    assert (found["bmad.task.arguments"], found["bmad.task.result"]) == ('{"goal":"owls"}', '"about owls"')


WITHOUT = """
from bmad_otel.workflow import Workflow, WorkflowTask, run_workflow
from tests.workflow.test_telemetry import Decorated

tasks = (WorkflowTask("write", "product-owner", "write"), WorkflowTask("check", "product-owner", "check"))
result = run_workflow(Workflow("w", tasks), {"product-owner": Decorated()}, context={"goal": "owls"})
assert result.trace_id is None
assert (result.tasks["write"].result, result.tasks["write"].tokens["m"].input_tokens) == ("owls", 4)
assert (result.tasks["check"].status, result.tasks["check"].error) == ("error", "nothing to check")
"""


def test_without_any_telemetry_workflows_run_all_the_same() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
