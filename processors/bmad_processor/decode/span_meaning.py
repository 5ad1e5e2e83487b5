"""Which spans are agent tasks, whoever wrote them.

====================================  ====================================================  ==========================
instrumentation                       a span is a task when                                 agent name
====================================  ====================================================  ==========================
GenAI conventions (bmad-otel, Logfire ``gen_ai.operation.name`` is ``invoke_agent``/``plan``  ``gen_ai.agent.name``
and Pydantic AI, LangGraph, ...)
OpenInference                         ``openinference.span.kind`` is ``AGENT``              ``agent.name``
OpenLLMetry (Traceloop)               ``traceloop.span.kind`` is ``agent``                  ``traceloop.entity.name``
====================================  ====================================================  ==========================

A task span that names no agent belongs to the agent called like its service. Tool calls and model calls inside a task
are not tasks: their time is already in the task's. Of model calls the tokens count (`model_calls`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bmad_otel import semconv
from bmad_otel.semconv import Operation, Outcome
from bmad_processor.agent_names import canonical, clean

from .model_calls import MODEL_ATTRIBUTES

_OPENINFERENCE_KIND: Final = "openinference.span.kind"
_OPENINFERENCE_AGENT: Final = "agent.name"
_TRACELOOP_KIND: Final = "traceloop.span.kind"
_TRACELOOP_ENTITY: Final = "traceloop.entity.name"

WANTED: Final = (
    semconv.GEN_AI_OPERATION_NAME, semconv.GEN_AI_AGENT_NAME, semconv.TASK_NAME, semconv.ERROR_TYPE,
    semconv.TASK_OUTCOME, _OPENINFERENCE_KIND, _OPENINFERENCE_AGENT, _TRACELOOP_KIND, _TRACELOOP_ENTITY,
    *MODEL_ATTRIBUTES,
)  # fmt: skip

_TASK_OPERATIONS: Final = frozenset({Operation.INVOKE_AGENT, Operation.PLAN})
_FAILED_OUTCOMES: Final = frozenset({Outcome.ERROR, Outcome.TIMEOUT})


@dataclass(frozen=True, slots=True, eq=False)
class TaskMeaning:
    """One kind of task span. Many spans share one; compared by identity, which the decoder makes unique."""

    agent: str
    """Canonical name; empty when the span names none."""
    task: str
    error: str
    """`error.type`, ``_OTHER`` when the span failed without saying how, empty when it succeeded."""


def is_task_operation(operation: str | None) -> bool:
    """Whether this value of `gen_ai.operation.name` marks an agent task."""
    return operation in _TASK_OPERATIONS


def understand(found: dict[str, str], *, has_error_status: bool) -> TaskMeaning | None:
    """Meaning of a span with these attributes, None when it is not an agent task."""
    if is_task_operation(found.get(semconv.GEN_AI_OPERATION_NAME)):
        name = found.get(semconv.GEN_AI_AGENT_NAME, "")
    elif found.get(_OPENINFERENCE_KIND, "").upper() == "AGENT":
        name = found.get(_OPENINFERENCE_AGENT) or found.get(semconv.GEN_AI_AGENT_NAME, "")
    elif found.get(_TRACELOOP_KIND) == "agent":
        name = found.get(_TRACELOOP_ENTITY) or found.get(semconv.GEN_AI_AGENT_NAME, "")
    else:
        return None
    error = error_of(found, has_error_status=has_error_status)
    return TaskMeaning(canonical(name), clean(found.get(semconv.TASK_NAME, "")), clean(error))


def error_of(found: dict[str, str], *, has_error_status: bool) -> str:
    """`error.type` of a failed task, ``_OTHER`` when it does not say, empty for a task that did not fail.

    `error.type` alone is a failure too, except when the outcome says otherwise (cancelled, closed early).
    """
    if has_error_status or found.get(semconv.TASK_OUTCOME) in _FAILED_OUTCOMES:
        return found.get(semconv.ERROR_TYPE) or "_OTHER"
    return "" if semconv.TASK_OUTCOME in found else found.get(semconv.ERROR_TYPE, "")
