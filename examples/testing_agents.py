"""Testing an agent by what it reports: python -m pytest examples/testing_agents.py

The fixtures `bmad_telemetry` and `bmad_clock` come with bmad-otel; nothing is to be configured, no collector is needed.
"""

import pytest

from bmad_otel import track_task, track_tool
from bmad_otel.testing import ManualClock, Telemetry


class Planner:
    """What is tested. It asks its sources in turn until one has an answer."""

    def __init__(self, *sources: dict[str, str]) -> None:
        self.sources = sources

    @track_task
    def plan(self, goal: str) -> str:
        for source in self.sources:
            try:
                return self.search(source, goal)
            except KeyError:
                continue
        raise LookupError(goal)

    @track_tool
    def search(self, source: dict[str, str], goal: str) -> str:
        return source[goal]


def test_the_second_source_is_asked_when_the_first_knows_nothing(bmad_telemetry: Telemetry) -> None:
    assert Planner({}, {"owls": "p. 7"}).plan("owls") == "p. 7"
    assert bmad_telemetry.tree() == (
        "invoke_agent Planner (plan): ok\n"  #
        "  execute_tool search: error KeyError\n"
        "  execute_tool search: ok"
    )


def test_a_goal_nobody_knows_is_an_error_of_the_plan(bmad_telemetry: Telemetry) -> None:
    with pytest.raises(LookupError):
        Planner({}).plan("owls")
    plan = bmad_telemetry.task("Planner", "plan")
    assert (plan.outcome, plan.error_type) == ("error", "LookupError")
    assert [child.task for child in plan.children] == ["search"]
    assert bmad_telemetry.histogram("gen_ai.invoke_agent.duration", outcome="error").count == 1


def test_durations_are_what_the_clock_says(bmad_telemetry: Telemetry, bmad_clock: ManualClock) -> None:
    class SlowSource(dict[str, str]):
        def __missing__(self, goal: str) -> str:
            bmad_clock.advance(2.5)
            return f"an answer about {goal}"

    Planner(SlowSource()).plan("owls")
    assert bmad_telemetry.task(task="search").duration_s == 2.5
    assert bmad_telemetry.histogram("gen_ai.execute_tool.duration", tool="search").sum == 2.5
