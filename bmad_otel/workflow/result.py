"""How a workflow went: of each task, and in all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from bmad_otel._content import Capture, result_text
from bmad_otel._spending import Tokens

MAX_RESULT_CHARS: Final = 20_000
"""Of one task's result in JSON: what is beyond is cut, so a report stays a report."""


class TaskStatus(StrEnum):
    """How a task, or the whole, ended."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    """It never began: what it needs did not succeed, or the workflow ended before."""


FAILURES: Final = frozenset({TaskStatus.ERROR, TaskStatus.TIMEOUT, TaskStatus.CANCELLED})

_INTEGRATED_STATUS: Final = {TaskStatus.OK: "completed", TaskStatus.CANCELLED: "cancelled"}
"""The words of the older BMAD orchestrator; everything else is ``failed`` there."""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One task. ``started_s`` counts from the start of the workflow and is None for a task that never began;
    ``duration_s`` goes from the first attempt's start to the last one's end. ``result`` is what the agent returned."""

    id: str
    agent: str
    task: str
    status: TaskStatus
    attempts: int = 0
    started_s: float | None = None
    duration_s: float = 0.0
    result: Any = None
    error: str | None = None
    error_type: str | None = None
    tokens: Mapping[str | None, Tokens] = field(default_factory=dict)
    """By model, of all attempts, as far as the agent told of them (`TaskHandle.record_usage`)."""

    def as_dict(self) -> dict[str, Any]:
        """JSON values (see `json_value`)."""
        return {
            "agent": self.agent,
            "task": self.task,
            "status": self.status.value,
            "attempts": self.attempts,
            "started_s": self.started_s,
            "duration_s": self.duration_s,
            "result": json_value(self.result),
            "error": self.error,
            "error_type": self.error_type,
        }


@dataclass(frozen=True, slots=True)
class WorkflowResult:
    """The whole. ``trace_id`` is 32 hex digits, None when nothing was recorded. ``status`` is OK when every task is."""

    workflow_id: str
    name: str
    trace_id: str | None
    status: TaskStatus
    tasks: Mapping[str, TaskResult]
    duration_s: float

    def as_dict(self) -> dict[str, Any]:
        """JSON values of everything."""
        return {
            "workflow_id": self.workflow_id,
            "name": self.name,
            "trace_id": self.trace_id,
            "status": self.status.value,
            "tasks": {task_id: task.as_dict() for task_id, task in self.tasks.items()},
            "duration_s": self.duration_s,
            "cost_analysis": self._spent(),
        }

    def as_integrated(self) -> dict[str, Any]:
        """The same under the keys of BMAD's ``IntegratedWorkflowResult``, as far as there is something real to say:
        what this product has no part in, ``policy_decisions`` and ``enterprise_data``, is empty."""
        failed = {task.id: task.error for task in self.tasks.values() if task.status is not TaskStatus.OK}
        return {
            "workflow_id": self.workflow_id,
            "status": _INTEGRATED_STATUS.get(self.status, "failed"),
            "agent_results": {task_id: task.as_dict() for task_id, task in self.tasks.items()},
            "tracing_data": {"trace_id": self.trace_id},
            "policy_decisions": [],
            "cost_analysis": self._spent(),
            "performance_metrics": self._performance(),
            "enterprise_data": {},
            "error_details": "; ".join(f"{task_id}: {error}" for task_id, error in failed.items()) or None,
            "execution_time": self.duration_s,
        }

    def _performance(self) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {}
        for task in self.tasks.values():
            agent = found.setdefault(task.agent, {"tasks": 0, "failed": 0, "attempts": 0, "duration_s": 0.0})
            agent["tasks"] += task.status is not TaskStatus.SKIPPED
            agent["failed"] += task.status in FAILURES
            agent["attempts"] += task.attempts
            agent["duration_s"] += task.duration_s
        return found

    def _spent(self) -> dict[str, Any]:
        total = Tokens()
        by_agent: dict[str, Tokens] = {}
        by_model: dict[str, Tokens] = {}
        for task in self.tasks.values():
            for model, tokens in task.tokens.items():
                total.add(tokens)
                by_agent.setdefault(task.agent, Tokens()).add(tokens)
                by_model.setdefault(model or "", Tokens()).add(tokens)
        return {
            **_tokens(total),
            "by_agent": {name: _tokens(tokens) for name, tokens in by_agent.items()},
            "by_model": {name: _tokens(tokens) for name, tokens in by_model.items()},
        }


def _tokens(tokens: Tokens) -> dict[str, int]:
    return {"input_tokens": tokens.input_tokens, "output_tokens": tokens.output_tokens, "calls": tokens.calls}


def json_value(value: object) -> Any:
    """``value`` in JSON values as a captured result is shown: bounded, without secrets, objects by their fields."""
    return json.loads(result_text(value, Capture(max_length=MAX_RESULT_CHARS, max_items=1000, max_string=2000)))
