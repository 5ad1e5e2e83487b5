"""Runs workflows of agents: tasks with dependencies, in parallel where these allow it, as one trace.

    from bmad_otel.workflow import Workflow, WorkflowTask, run_workflow

    plan = Workflow("release", (
        WorkflowTask("build", "BackendDeveloper", "build_api"),
        WorkflowTask("test", "TestEngineer", "run_tests", depends_on=("build",), timeout_s=60, retries=1),
    ))
    result = run_workflow(plan, {"BackendDeveloper": backend, "TestEngineer": tester})

`definition` is what a workflow is made of, `agents` finds whom to call, `call` is one attempt, `run` the order of them
all, `result` how it went. The span of the workflow is `track_workflow`'s, those of the attempts are `track_task`'s.
"""

from bmad_otel.workflow.agents import MissingAgents
from bmad_otel.workflow.call import TaskFailed
from bmad_otel.workflow.definition import Fault, Workflow, WorkflowError, WorkflowTask, faults_of, stages, width
from bmad_otel.workflow.result import TaskResult, TaskStatus, WorkflowResult
from bmad_otel.workflow.run import Progress, Step, WorkflowRun, arun_workflow, run_workflow

__all__ = [
    "run_workflow",
    "arun_workflow",
    "WorkflowRun",
    "Workflow",
    "WorkflowTask",
    "faults_of",
    "stages",
    "width",
    "WorkflowResult",
    "TaskResult",
    "TaskStatus",
    "Progress",
    "Step",
    "WorkflowError",
    "MissingAgents",
    "Fault",
    "TaskFailed",
]
