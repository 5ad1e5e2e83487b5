"""Tasks that a program starts and ends by name, maybe on different threads: each a real task of the SDK."""

from __future__ import annotations

from typing import Final

from bmad_otel import _guard, semconv
from bmad_otel._clock import clock
from bmad_otel._handle import TaskHandle
from bmad_otel._labels import MAX_NAME_LENGTH, Labels
from bmad_otel._state import state
from bmad_otel._task import Task
from bmad_otel.semconv import Operation

MAX_OPEN: Final = 10_000
"""Tasks open at a time; as many as run at once in a large program. The oldest is given up for the next."""

MAX_AGE_S: Final = 3_600.0
"""A task open for longer was forgotten: started tasks that never end are a leak of the program."""

TASK: Final = "task"
"""Name of a tracked task. Its id is on the span alone: ids are as many as tasks, and metrics must not be."""

_MAX_ID_LENGTH: Final = 256


class OpenTasks:
    """The register, by agent and id."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Task | None] = {}
        """In order of their start; None stands for one that is not tracked."""
        self._labels: dict[str, Labels] = {}
        self.dropped: dict[str, int] = {}
        """What did not end as it should: ``unknown_task``, ``restarted``, ``expired``, ``too_many_open``."""

    def start(self, agent: str, task_id: str) -> TaskHandle:
        """Begin the task; one of the same agent and id that is still open is given up."""
        key = (agent, task_id)
        task = self._begin(agent, task_id)
        opened = self._open
        if key in opened or len(opened) >= MAX_OPEN:
            self._make_room(key)
        opened[key] = task  # one step for the interpreter, as is `pop` below: no lock
        return TaskHandle(task)

    def end(self, agent: str, task_id: str, *, success: bool) -> bool:
        """End the task; False if there is none of this agent and id."""
        try:
            task = self._open.pop((agent, task_id))
        except KeyError:
            self._count("unknown_task")
            return False
        if task is not None:
            task.end_here()
            if not success:
                TaskHandle(task).fail()
            task.succeed()  # or fails, if that was said of it
        return True

    def expire(self) -> None:
        """Give up what has been open for longer than `MAX_AGE_S`."""
        oldest_ns = clock.monotonic_ns() - int(MAX_AGE_S * 1e9)
        for key, task in self._open.copy().items():
            if task is not None and task.started_ns > oldest_ns:
                break
            self._give_up(key, "expired")

    def agents(self) -> set[str]:
        """The agents that have started a task."""
        return set(self._labels)

    def after_fork_in_child(self) -> None:
        """The parent's tasks are the parent's to end."""
        self._open.clear()

    def _begin(self, agent: str, task_id: str) -> Task | None:
        try:
            instruments = state.instruments or state.open()
            if instruments.rests and not instruments.wakes_up():
                return None
            labels = self._labels.get(agent)
            if labels is None or labels.names is not state.agents:
                labels = self._label(agent)
            attributes = labels.span.copy()
            attributes[semconv.TASK_ID] = task_id if len(task_id) <= _MAX_ID_LENGTH else task_id[:_MAX_ID_LENGTH]
            return Task(state, instruments, labels, attributes)
        except Exception as error:  # noqa: BLE001 - the program we observe goes on whatever happened here
            _guard.contain("starting a task", error)
            return None

    def _label(self, agent: str) -> Labels:
        metric_agent = state.agents.admit(agent)
        labels = Labels(
            Operation.INVOKE_AGENT, agent, TASK, metric_agent=metric_agent, extra={}, outcomes={}, names=state.agents
        )
        if metric_agent == agent[:MAX_NAME_LENGTH]:  # an overflow of names is not kept, or it would fill this dict
            self._labels[agent] = labels
        return labels

    def _make_room(self, key: tuple[str, str]) -> None:
        if key in self._open:
            self._give_up(key, "restarted")
        elif len(self._open) >= MAX_OPEN:
            oldest = next(iter(self._open.copy()), None)
            if oldest is not None:
                self._give_up(oldest, "too_many_open")

    def _give_up(self, key: tuple[str, str], reason: str) -> None:
        try:
            task = self._open.pop(key)
        except KeyError:
            return  # ended by another thread in the meantime
        self._count(reason)
        if task is not None:
            task.abandon()

    def _count(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
