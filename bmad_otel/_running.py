"""The tasks running now, counted when somebody looks instead of at every start and end."""

from __future__ import annotations

from typing import Protocol


class Running(Protocol):
    """What an observation needs to know of a running task."""

    @property
    def agent(self) -> str | None: ...
    @property
    def started_ns(self) -> int: ...


class RunningTasks:
    """The register. Adding and removing are single dict operations, so the hot path takes no lock.

    An agent stays known after its last task: an idle agent reports 0, and a value that was high comes down again.
    """

    __slots__ = ("tasks",)

    def __init__(self) -> None:
        self.tasks: dict[Running, bool] = {}

    def by_agent(self, now_ns: int, agents: set[str]) -> dict[str, tuple[int, int]]:
        """For each of ``agents`` the number of running tasks and the age of the oldest in nanoseconds.

        ``now_ns`` is read from the clock that stamped ``started_ns``, `time.perf_counter_ns`.
        """
        result = dict.fromkeys(agents, (0, 0))
        for task in self.tasks.copy():
            agent = task.agent
            if agent is not None:
                count, oldest_ns = result.get(agent, (0, 0))
                result[agent] = (count + 1, max(oldest_ns, now_ns - task.started_ns))
        return result
