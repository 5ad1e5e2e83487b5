"""The alert lifecycle: its table, and that no sequence of verdicts can leave it."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_processor import alert
from bmad_processor.alert import TRANSITIONS, Event, Status
from bmad_processor.model import AlertEventKind, Level, Verdict
from bmad_processor.settings import SECOND, EngineSettings
from bmad_processor.state import Condition

SETTINGS = EngineSettings(cooldown_ns=60 * SECOND, no_data_after_ns=30 * SECOND)
FIRED, ESCALATED, RESOLVED = AlertEventKind.FIRED, AlertEventKind.ESCALATED, AlertEventKind.RESOLVED
W, C, E = Level.WARNING, Level.CRITICAL, Level.EMERGENCY


def verdict(level: Level | None, held: Level | None = None) -> Verdict:
    return Verdict("cpu_usage", 0.5, 9, level, None, held if held is not None else level, None, None)


def run(*levels: Level | Verdict | None, step_s: int = 5) -> list[AlertEventKind | None]:
    """What is said for a verdict at every step; None stands for within bounds."""
    condition = Condition()
    said = []
    for n, level in enumerate(levels, start=1):
        condition.last_data_ns = n * step_s * SECOND
        given_verdict = level if isinstance(level, Verdict) else verdict(level)
        said.append(alert.advance(condition, given_verdict, n * step_s * SECOND, SETTINGS))
    return said


def test_every_status_can_be_reached_and_left() -> None:
    reached = {Status.INACTIVE}
    while more := {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached:
        reached |= more
    assert reached == set(Status)
    for status in Status:
        assert any(before is status and after is not status for (before, _), after in TRANSITIONS.items())
    assert {event for _, event in TRANSITIONS} == set(Event)


@pytest.mark.parametrize(("status", "event"), list(product(Status, Event)))
def test_what_is_not_in_the_table_is_refused(status: Status, event: Event) -> None:
    if (status, event) in TRANSITIONS:
        assert alert.move(status, event) is TRANSITIONS[status, event]
    else:
        with pytest.raises(ValueError, match="cannot happen"):
            alert.move(status, event)


def test_each_level_is_said_once() -> None:
    assert run(W, W, C, C, E, C, W, E, None) == [FIRED, None, ESCALATED, None, ESCALATED, None, None, None, RESOLVED]


def test_an_episode_that_starts_at_the_top_says_one_thing() -> None:
    assert run(E, C, W, E, None) == [FIRED, None, None, None, RESOLVED]


def test_the_cooldown_is_silent_unless_it_gets_worse() -> None:
    assert run(W, None, W, None, W, W) == [FIRED, RESOLVED, None, None, None, None]
    assert run(W, None, W, C, None) == [FIRED, RESOLVED, None, FIRED, RESOLVED]
    assert run(C, None, W, C, E) == [FIRED, RESOLVED, None, None, FIRED]


def test_what_lasts_longer_than_the_cooldown_is_said() -> None:
    said = run(W, None, *[W] * 12)
    assert said == [FIRED, RESOLVED, *[None] * 11, FIRED]


def test_after_the_cooldown_a_new_episode_begins() -> None:
    assert run(C, None, *[None] * 11, W) == [FIRED, RESOLVED, *[None] * 11, FIRED]


def test_the_clear_margin_holds_an_alert_and_opens_none() -> None:
    held = verdict(None, W)
    assert run(held, W, held, held, W, None) == [None, FIRED, None, None, None, RESOLVED]


def test_silence_resolves() -> None:
    condition = Condition()
    at_ns = 100 * SECOND
    condition.last_data_ns = at_ns
    assert alert.advance(condition, verdict(W), at_ns, SETTINGS) is FIRED
    assert alert.advance(condition, None, at_ns + 29 * SECOND, SETTINGS) is None
    assert alert.advance(condition, None, at_ns + 30 * SECOND, SETTINGS) is RESOLVED
    assert alert.advance(condition, None, at_ns + 31 * SECOND, SETTINGS) is None


levels = st.none() | st.sampled_from(Level)
steps = st.tuples(st.none() | st.tuples(levels, levels), st.integers(0, 40), st.booleans())


@given(st.lists(steps, max_size=60))
@settings(max_examples=300, deadline=None)
def test_no_sequence_of_verdicts_raises(
    sequence: list[tuple[tuple[Level | None, Level | None] | None, int, bool]],
) -> None:
    condition = Condition()
    at_ns = 0
    is_announced = False
    highest: Level | None = None
    for given_levels, seconds, has_data in sequence:
        at_ns += seconds * SECOND
        if has_data:
            condition.last_data_ns = at_ns
        found = None if given_levels is None else Verdict("cpu_usage", 0, 1, given_levels[0], 0, given_levels[1], 0, 0)
        said = alert.advance(condition, found, at_ns, SETTINGS)
        match said:
            case AlertEventKind.FIRED:
                assert not is_announced
                is_announced, highest = True, condition.level
            case AlertEventKind.ESCALATED:
                assert is_announced
                assert highest is not None
                assert condition.level is not None
                assert condition.level > highest
                highest = condition.level
            case AlertEventKind.RESOLVED:
                assert is_announced
                is_announced = False
        assert (condition.status == Status.FIRING) is is_announced
        assert (condition.level is not None) is (condition.status in (Status.FIRING, Status.MUTED))
