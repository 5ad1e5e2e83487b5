"""Scaling advice: the goldens of the Kubernetes documentation, limits and stabilization."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_processor import scale
from bmad_processor.metric_types import CPU_USAGE, MEMORY_USAGE
from bmad_processor.model import PartitionKey, ScalingAction, ScalingHint
from bmad_processor.settings import SECOND, EngineSettings, ScalingRules
from bmad_processor.state import Scaling

KEY = PartitionKey("agent", "", "Architect")
RULES = ScalingRules(cpu_threshold=0.5, memory_threshold=0.8, min_instances=1, max_instances=100)
SETTINGS = EngineSettings(stabilization_ns=300 * SECOND)


class Autoscaler:
    """One agent's advice over time."""

    def __init__(self, rules: ScalingRules = RULES) -> None:
        self.rules = rules
        self.scaling = Scaling()

    def at(self, seconds: int, current: int, **usage: float) -> ScalingHint | None:
        names = {"cpu": CPU_USAGE, "memory": MEMORY_USAGE}
        return scale.advise(
            KEY, self.scaling, {names[name]: value for name, value in usage.items()}, current=current,
            rules=self.rules, at_ns=seconds * SECOND, settings=SETTINGS,
        )  # fmt: skip

    def desired_at(self, seconds: int, current: int, **usage: float) -> int:
        self.at(seconds, current, **usage)
        return self.scaling.desired


@pytest.mark.parametrize(
    ("current", "value", "target", "desired"),
    [
        (1, 0.200, 0.100, 2),  # "if the current metric value is 200m, and the desired value is 100m": doubled
        (4, 0.050, 0.100, 2),  # "if the current value is instead 50m": halved
        (3, 0.055, 0.050, 3),  # within the tolerance of 10 %
        (3, 0.0451, 0.050, 3),
        (3, 0.0561, 0.050, 4),
        (3, 0.0449, 0.050, 3),  # ceil(2.69)
        (10, 0.0449, 0.050, 9),
        (3, 0.90, 0.30, 9),
        (2, 0.0, 0.75, 0),
        (7, 0.75, 0.75, 7),
    ],
)
def test_desired_is_current_times_value_by_target(current: int, value: float, target: float, desired: int) -> None:
    assert scale.propose(current, value, target, tolerance_ratio=0.1) == desired


@given(st.integers(1, 50), st.integers(1, 50), st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.75, 0.8]))
def test_rounding_noise_adds_no_instance(current: int, factor: int, target: float) -> None:
    assert scale.propose(current, target * factor, target, tolerance_ratio=0.0) == current * factor


@pytest.mark.parametrize(
    ("current", "reporting", "value", "desired"),
    [
        (2, 1, 1.0, 2),  # the second one has just started: idle until it says otherwise
        (3, 1, 1.0, 3),
        (3, 2, 1.0, 4),
        (4, 2, 0.25, 2),  # down as if all were like those that report
        (2, 3, 1.0, 4),  # more than there are: one of them is gone
    ],
)
def test_instances_that_do_not_report_are_idle_going_up(
    current: int, reporting: int, value: float, desired: int
) -> None:
    assert scale.propose(current, value, 0.5, tolerance_ratio=0.1, reporting=reporting) == desired


def test_up_at_once_with_reason_and_evidence() -> None:
    hint = Autoscaler().at(0, 2, cpu=1.0, memory=0.4)
    assert hint is not None
    assert (hint.action, hint.current, hint.desired) == (ScalingAction.SCALE_UP, 2, 4)
    assert hint.reason == "cpu_usage 100.0% of target 50.0% on 2 instances: 4 needed"
    assert hint.evidence == {CPU_USAGE: 1.0, MEMORY_USAGE: 0.4}


def test_the_highest_metric_wins() -> None:
    assert Autoscaler().desired_at(0, 4, cpu=0.1, memory=1.6) == 8
    assert Autoscaler().desired_at(0, 4, cpu=1.5, memory=0.1) == 8


@pytest.mark.parametrize(("current", "desired"), [(1, 5), (2, 6), (4, 8), (10, 20)])
def test_up_at_most_twofold_or_by_four(current: int, desired: int) -> None:
    assert Autoscaler().desired_at(0, current, cpu=50.0) == desired


def test_limits_of_the_profile() -> None:
    rules = ScalingRules(cpu_threshold=0.5, min_instances=2, max_instances=3)
    up = Autoscaler(rules).at(0, 2, cpu=5.0)
    assert up is not None
    assert (up.desired, up.reason.endswith("limited to max_instances 3")) == (3, True)
    below = Autoscaler(rules).at(0, 1, cpu=0.5)
    assert below is not None
    assert (below.desired, below.reason.endswith("kept at min_instances 2")) == (2, True)


def test_down_only_to_the_highest_advice_of_the_window() -> None:
    agent = Autoscaler()
    assert agent.desired_at(0, 2, cpu=1.0) == 4
    assert agent.desired_at(60, 4, cpu=0.75) == 6
    assert agent.desired_at(120, 6, cpu=0.1) == 6
    assert agent.desired_at(359, 6, cpu=0.1) == 6
    assert "held at 6 for 300 s" in agent.scaling.reason
    assert agent.desired_at(360, 6, cpu=0.1) == 2


def test_nothing_goes_down_before_it_was_watched_for_the_window() -> None:
    agent = Autoscaler()
    assert agent.at(0, 3, cpu=0.05) is None
    assert agent.desired_at(299, 3, cpu=0.05) == 3
    hint = agent.at(300, 3, cpu=0.05)
    assert hint is not None
    assert (hint.action, hint.desired) == (ScalingAction.SCALE_DOWN, 1)


def test_a_peak_is_forgotten_only_after_the_window() -> None:
    agent = Autoscaler()
    advice = [agent.desired_at(t, 4, cpu=2.0 if t == 100 else 0.5) for t in range(0, 500, 50)]
    assert advice == [4, 4, *[8] * 6, 4, 4]


def test_missing_data_holds() -> None:
    agent = Autoscaler()
    agent.at(0, 2, cpu=1.0)
    before = agent.scaling.desired, agent.scaling.reason
    assert agent.at(5, 2) is None
    assert agent.at(10, 0, cpu=0.1) is None, "nobody there to scale"
    assert (agent.scaling.desired, agent.scaling.reason) == before


def test_the_same_advice_is_given_once() -> None:
    agent = Autoscaler()
    assert agent.at(0, 2, cpu=1.0) is not None
    assert agent.at(5, 2, cpu=1.0) is None
    assert agent.at(10, 4, cpu=0.5) is None, "reached: no new advice"
    assert agent.scaling.action == ScalingAction.MAINTAIN


def test_without_targets_there_is_no_advice() -> None:
    assert Autoscaler(ScalingRules(cpu_threshold=None, memory_threshold=None)).at(0, 2, cpu=9.0) is None


@given(st.lists(st.tuples(st.integers(1, 120), st.integers(1, 12), st.floats(0, 3)), min_size=1, max_size=40))
@settings(max_examples=150, deadline=None)
def test_advice_is_the_highest_of_the_window(steps: list[tuple[int, int, float]]) -> None:
    agent = Autoscaler()
    seconds = 0
    given_advice: list[tuple[int, int]] = []
    for pause, current, usage in steps:
        seconds += pause
        proposed = min(scale.propose(current, usage, 0.5, tolerance_ratio=0.1), max(2 * current, current + 4))
        given_advice += [(seconds, current), (seconds, proposed)] if not given_advice else [(seconds, proposed)]
        highest = max(n for t, n in given_advice if t > seconds - 300)
        assert agent.desired_at(seconds, current, cpu=usage) == min(max(highest, 1), 100)
