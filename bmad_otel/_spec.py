"""What a decorator was told about a function: computed at decoration, asked at each call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bmad_otel import _guard, semconv
from bmad_otel._labels import OVERFLOW_AGENT, AttributeValue, Labels
from bmad_otel._state import state
from bmad_otel._task import Task
from bmad_otel.semconv import Operation

TaskId = str | Callable[..., str]
"""An id, or a function of the call's own arguments that returns it."""

_MAX_ID_LENGTH: Final = 256
"""Characters of a task or workflow id on a span."""


class Spec:
    """One decorated function. `start` begins a task of it; the agent's name is found like this, first hit wins:

    1. ``agent`` given to the decorator;
    2. for a function whose first parameter is called ``self`` or ``cls``: the attribute ``agent_name`` of that object,
       when it is a non-empty string;
    3. the name of that object's class, or of the class itself;
    4. ``owner``: the class around the function, or the first part of its qualified name. A tool or workflow that is a
       plain function has none: it works on the account of the agent that calls it.
    """

    __slots__ = (
        "_agent",
        "_extra",
        "_has_receiver",
        "_labels",
        "_operation",
        "_owner",
        "_task",
        "_task_id",
        "_workflow_id",
    )

    def __init__(
        self,
        *,
        operation: Operation,
        task: str,
        agent: str | None,
        owner: str | None,
        has_receiver: bool,
        task_id: TaskId | None,
        workflow_id: TaskId | None,
        extra: Mapping[str, AttributeValue],
    ) -> None:
        self._operation = operation
        self._task = task
        self._agent = agent
        self._owner = owner
        self._has_receiver = has_receiver and agent is None
        self._task_id = task_id
        self._workflow_id = workflow_id
        self._extra = extra
        self._labels: dict[str | None, Labels] = {}

    def start(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Task | None:
        """Begin a task for a call with these arguments.

        None when it is not to be tracked: nobody set a provider, after `shutdown`, or because our own code failed.
        """
        try:
            instruments = state.instruments or state.open()
            if instruments.closed or (instruments.idle and not instruments.wakes_up()):
                return None
            agent = _name_of(args[0]) if self._has_receiver and args else self._agent or self._owner
            labels = self._labels.get(agent) or self._label(agent)
            ids = None
            if self._task_id is not None or self._workflow_id is not None:
                ids = self._ids(args, kwargs)
            return Task(state, instruments, labels, ids)
        except Exception as error:  # noqa: BLE001 - the program we observe goes on whatever happened here
            _guard.contain("starting a task", error)
            return None

    def _label(self, agent: str | None) -> Labels:
        metric_agent = None if agent is None else state.agents.admit(agent)
        labels = Labels(self._operation, agent, self._task, metric_agent=metric_agent, extra=self._extra)
        if metric_agent != OVERFLOW_AGENT:  # an overflow of names is not kept, or it would fill this dict
            self._labels[agent] = labels
        return labels

    def _ids(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, AttributeValue]:
        ids: dict[str, AttributeValue] = {}
        for key, source in ((semconv.TASK_ID, self._task_id), (semconv.WORKFLOW_ID, self._workflow_id)):
            if source is None:
                continue
            try:
                value = source if isinstance(source, str) else source(*args, **kwargs)
                if value is not None:
                    ids[key] = str(value)[:_MAX_ID_LENGTH]
            except Exception as error:  # noqa: BLE001 - the task is tracked without the id
                _guard.contain(f"finding {key}", error)
        return ids


def _name_of(receiver: Any) -> str:
    owner = receiver if isinstance(receiver, type) else type(receiver)
    try:
        name = receiver.agent_name
    except Exception:  # noqa: BLE001 - usually AttributeError; a property of the agent may raise anything
        return owner.__name__
    return name if isinstance(name, str) and name else owner.__name__
