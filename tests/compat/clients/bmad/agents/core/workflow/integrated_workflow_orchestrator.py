"""A workflow executor that forgets to end the tracking of a task it denies."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum

from integrations.opentelemetry.opentelemetry_tracing import BMADTracer, TracingConfig

from bmad.agents.core.agent.agent_performance_monitor import get_performance_monitor


class WorkflowStatus(Enum):
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass
class Task:
    id: str
    agent: str
    command: str


@dataclass
class Result:
    workflow_id: str
    status: WorkflowStatus
    agent_results: dict = field(default_factory=dict)
    error_details: str | None = None


class IntegratedWorkflowOrchestrator:
    def __init__(self):
        self.performance_monitor = get_performance_monitor()
        self.tracer = BMADTracer(config=TracingConfig(service_name="workflow"))
        self.denied = set()
        self.failing = set()
        self.tasks = [
            Task("create-story", "product-owner", "create-story"),
            Task("design-system", "architect", "design"),
            Task("run-tests", "test", "run-tests"),
        ]

    async def execute_integrated_workflow(self, workflow_name, context=None):
        result = Result(f"{workflow_name}_1", WorkflowStatus.COMPLETED)
        for task in self.tasks:
            done = await self._execute_task_with_integrations(task, result.workflow_id, context or {}, "enhanced", None)
            result.agent_results[task.id] = done
            if done["status"] == "failed":
                result.status, result.error_details = WorkflowStatus.FAILED, done["error"]
                break
        return result

    async def _execute_task_with_integrations(self, task, workflow_id, context, integration_level, parent_span):
        task_id = f"{workflow_id}_{task.id}"
        self.performance_monitor.start_task_tracking(task.agent, task_id)
        with self.tracer.start_span(f"task.{task.id}", parent=parent_span) as span:
            span.set_attribute("task.id", task.id)
            if task.id in self.denied:
                return {"status": "failed", "error": "Policy violation: denied"}
            try:
                await self._execute_agent_task(task, context)
            except ValueError as error:
                span.record_exception(error)
                self.performance_monitor.end_task_tracking(task.agent, task_id, success=False)
                return {"status": "failed", "error": str(error)}
        self.performance_monitor.end_task_tracking(task.agent, task_id, success=True)
        return {"status": "completed"}

    async def _execute_agent_task(self, task, context):
        await asyncio.sleep(0)
        if task.id in self.failing:
            raise ValueError(f"{task.id} cannot be done")
        return {"output": task.id}
