"""BMAD's workflow executor: one trace for a run, each of its tasks a task of its agent."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from bmad_otel import _guard, track_task, track_workflow
from bmad_otel._handle import TaskHandle
from bmad_otel._labels import MAX_NAME_LENGTH
from bmad_otel.compat._bmad.patches import Patches
from bmad_otel.compat._bmad.report import BmadReport
from bmad_otel.monitor import PerformanceMonitor
from bmad_otel.monitor._names import canonical


def instrument(module: ModuleType, patches: Patches, report: BmadReport) -> None:
    """`IntegratedWorkflowOrchestrator`: a run is ``invoke_workflow``, a task ``invoke_agent``."""
    owner = getattr(module, "IntegratedWorkflowOrchestrator", None)
    wanted: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
        "execute_integrated_workflow": _running_workflow,
        "_execute_task_with_integrations": lambda original: _running_task(original, patches),
    }
    for name, make in wanted.items():
        where = f"{module.__name__}.IntegratedWorkflowOrchestrator.{name}"
        if owner is None or name not in vars(owner):
            report.missing.append(where)
        else:
            patches.wrap(owner, name, make)
            report.wrapped.append(where)


class TrackedMonitor:
    """A monitor for which the tasks of a workflow are tracked already: it is asked everything else.

    BMAD ends the tracking of a task on some of the ways out of it only; the span around the task ends on all of them.
    After `Patches.undo` the monitor tracks again.
    """

    def __init__(self, monitor: PerformanceMonitor, patches: Patches) -> None:
        self._monitor = monitor
        self._patches = patches

    def __getattr__(self, name: str) -> Any:
        return getattr(self._monitor, name)

    def start_task_tracking(self, agent_name: str, task_id: str) -> None:
        """Done by the span around the task."""
        if not self._patches.is_on:
            self._monitor.start_task_tracking(agent_name, task_id)

    def end_task_tracking(self, agent_name: str, task_id: str, success: bool = True) -> None:
        """Done by the span around the task."""
        if not self._patches.is_on:
            self._monitor.end_task_tracking(agent_name, task_id, success)


def _running_workflow(original: Callable[..., Any]) -> Callable[..., Any]:
    async def execute_integrated_workflow(self: Any, workflow_name: Any, *args: Any, **kwargs: Any) -> Any:
        async with track_workflow(name=_name(workflow_name)) as run:
            result = await original(self, workflow_name, *args, **kwargs)
            _look_at_workflow(run, result)
            return result

    return execute_integrated_workflow


def _running_task(original: Callable[..., Any], patches: Patches) -> Callable[..., Any]:
    async def _execute_task_with_integrations(self: Any, task: Any, workflow_id: Any, *args: Any, **kwargs: Any) -> Any:
        agent = canonical(_name(getattr(task, "agent", None)))
        name = getattr(task, "command", None) or getattr(task, "id", None)
        task_id = f"{workflow_id}_{getattr(task, 'id', '')}"
        tracker = track_task(name=_name(name), agent=agent, task_id=task_id, workflow_id=_name(workflow_id))
        _leave_tracking_to_us(self, patches)
        async with tracker as running:
            result = await original(self, task, workflow_id, *args, **kwargs)
            _look_at_task(running, result)
            return result

    return _execute_task_with_integrations


def _leave_tracking_to_us(orchestrator: Any, patches: Patches) -> None:
    try:
        monitor = vars(orchestrator).get("performance_monitor")
        if isinstance(monitor, PerformanceMonitor):
            orchestrator.performance_monitor = TrackedMonitor(monitor, patches)
    except Exception as error:  # noqa: BLE001 - the orchestrator is BMAD's
        _guard.contain("taking over the tracking of a workflow's tasks", error)


def _look_at_task(running: TaskHandle, result: Any) -> None:
    if isinstance(result, dict) and result.get("status") == "failed":
        running.fail(str(result.get("error") or ""))


def _look_at_workflow(run: TaskHandle, result: Any) -> None:
    try:
        if run.is_running and getattr(result, "workflow_id", None):
            run.span.set_attribute("bmad.workflow.id", str(result.workflow_id)[:MAX_NAME_LENGTH])
        status = getattr(getattr(result, "status", None), "value", None)
        if status == "failed":
            run.fail(str(getattr(result, "error_details", None) or ""))
    except Exception as error:  # noqa: BLE001 - the result is BMAD's
        _guard.contain("looking at a workflow's result", error)


def _name(given: object) -> str:
    return str(given or "").strip()[:MAX_NAME_LENGTH] or "unnamed"
