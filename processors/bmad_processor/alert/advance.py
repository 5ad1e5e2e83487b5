"""Moves one series through the lifecycle and says what is to be announced.

Announced are three things: fired, escalated (above every level said in this episode) and resolved. A level that falls
while the alert stays open is only recorded.
"""

from __future__ import annotations

from bmad_processor.model import AlertEventKind, Level, Verdict
from bmad_processor.settings import EngineSettings
from bmad_processor.state import Condition

from .lifecycle import Event, Status, move


def advance(
    condition: Condition, verdict: Verdict | None, at_ns: int, settings: EngineSettings
) -> AlertEventKind | None:
    """One pane end. ``verdict`` None means that the series had nothing to judge.

    Changes ``condition`` in place and returns what to announce, if anything. Never raises for any sequence of verdicts.
    """
    is_cooldown_over = at_ns >= condition.silent_until_ns
    if condition.status == Status.COOLDOWN and is_cooldown_over:
        _apply(condition, Event.COOLDOWN_OVER, None, at_ns, settings)
    status = Status(condition.status)
    if verdict is None:
        is_stale = at_ns - condition.last_data_ns >= settings.no_data_after_ns
        if status in (Status.FIRING, Status.MUTED) and is_stale:
            return _apply(condition, Event.NO_DATA, None, at_ns, settings)
        return None
    level = _effective_level(status, condition, verdict)
    if level is None:
        event = Event.CLEAR
    elif status is Status.MUTED and is_cooldown_over:
        event = Event.COOLDOWN_OVER
    elif status is not Status.INACTIVE and (condition.said_level is None or level > condition.said_level):
        event = Event.WORSE
    else:
        event = Event.BREACH
    return _apply(condition, event, level, at_ns, settings)


def unsaid_above(condition: Condition | None, at_ns: int) -> Level | None:
    """The level above which a breach would be announced; None: every level would be."""
    if condition is None or condition.status == Status.INACTIVE:
        return None
    if condition.status in (Status.COOLDOWN, Status.MUTED) and at_ns >= condition.silent_until_ns:
        return None
    return condition.said_level


def _effective_level(status: Status, condition: Condition, verdict: Verdict) -> Level | None:
    """The breached level; while open, an already reached one is kept until its clear threshold is passed."""
    if status not in (Status.FIRING, Status.MUTED) or condition.level is None:
        return verdict.level
    if verdict.level is not None and verdict.level > condition.level:
        return verdict.level
    return None if verdict.held_level is None else min(condition.level, verdict.held_level)


def _apply(
    condition: Condition, event: Event, level: Level | None, at_ns: int, settings: EngineSettings
) -> AlertEventKind | None:
    """Takes one step of the table with its consequences."""
    before = Status(condition.status)
    after = move(before, event)
    condition.status = after
    is_open = before in (Status.FIRING, Status.MUTED)
    if after in (Status.FIRING, Status.MUTED):
        if not is_open:
            condition.started_ns = at_ns
        condition.level = level
        if after is Status.MUTED:
            return None
        if before is not Status.FIRING:
            condition.said_level = level
            return AlertEventKind.FIRED
        if event is Event.WORSE:
            condition.said_level = level
            return AlertEventKind.ESCALATED
        return None
    condition.level = None
    if before is Status.FIRING:
        condition.silent_until_ns = at_ns + settings.cooldown_ns
        return AlertEventKind.RESOLVED
    if after is Status.INACTIVE:
        condition.said_level = None
    return None
