"""Every story in this folder is told as it is written, also when the engine restarts all the time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bmad_processor.fields import parse_duration
from bmad_processor.model import AlertEvent, ScalingHint

from .player import BEGIN_NS, Played, play, scope
from .story import HERE, load

STORIES = sorted(HERE.glob("*.yaml"))


def clock(time_ns: int) -> str:
    """Nanoseconds since the beginning as a story writes them: ``1h5m10s``."""
    seconds = (time_ns - BEGIN_NS) // 1_000_000_000
    hours, minutes = divmod(seconds // 60, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds % 60, "s"))
    return "".join(f"{n}{unit}" for n, unit in parts if n) or "0s"


def told_event(event: AlertEvent) -> dict[str, Any]:
    alert = event.alert
    return {
        "at": clock(event.time_ns),
        str(event.kind): alert.level.label,
        "agent": scope(alert.key),
        "metric": alert.metric_type,
        "note": alert.reason.note,
        "message": alert.message,
    }


def told_hint(hint: ScalingHint) -> dict[str, Any]:
    return {
        "at": clock(hint.time_ns),
        "agent": scope(hint.key),
        "current": hint.current,
        "desired": hint.desired,
        "action": str(hint.action),
    }


def compare(told: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Only the fields a story gives, but every row."""
    wanted = [row | {"at": clock(parse_duration(row["at"]) + BEGIN_NS)} for row in expected]
    shown = [{key: row.get(key) for key in want} for row, want in zip(told, wanted, strict=False)]
    assert shown + told[len(wanted) :] == wanted


def baselines(played: Played) -> dict[str, float]:
    return {
        f"{scope(partition.key)}/{name}": learned.mean
        for partition in played.state.partitions.values()
        for name, learned in partition.baselines.items()
    }


@pytest.mark.parametrize("restarts_always", [False, True], ids=["steady", "restarting"])
@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path, restarts_always: bool) -> None:
    story = load(path)
    played = play(story, restarts_always=restarts_always)
    compare([told_event(event) for event in played.events], story.expect)
    compare([told_hint(hint) for hint in played.hints], story.hints)
    learned = baselines(played)
    assert {name: learned[name] for name in story.baselines} == pytest.approx(story.baselines, rel=1e-3)
    assert played.state.counters == story.counters
    ids = [event.event_id for event in played.events]
    assert len(set(ids)) == len(ids)


def test_there_are_stories() -> None:
    assert len(STORIES) >= 12
