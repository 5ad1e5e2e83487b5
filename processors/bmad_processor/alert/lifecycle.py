"""The alert lifecycle as a table. `docs/reference/alert-lifecycle.md` is drawn from it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Where one series stands."""

    INACTIVE = "inactive"
    """Within bounds, nothing to remember."""
    FIRING = "firing"
    """Out of bounds and announced."""
    COOLDOWN = "cooldown"
    """Resolved a short while ago."""
    MUTED = "muted"
    """Out of bounds again during the cooldown, not announced."""


class Event(StrEnum):
    """What can happen to it at a pane end; early, after bad news, only what is announced."""

    BREACH = "breach"
    """Out of bounds, at most at the level announced before."""
    WORSE = "worse"
    """Out of bounds above every level announced in the last episode."""
    CLEAR = "clear"
    """Back within bounds."""
    NO_DATA = "no_data"
    """No data for `no_data_after`."""
    COOLDOWN_OVER = "cooldown_over"


TRANSITIONS: Final[dict[tuple[Status, Event], Status]] = {
    (Status.INACTIVE, Event.BREACH): Status.FIRING,
    (Status.INACTIVE, Event.CLEAR): Status.INACTIVE,
    (Status.FIRING, Event.BREACH): Status.FIRING,
    (Status.FIRING, Event.WORSE): Status.FIRING,
    (Status.FIRING, Event.CLEAR): Status.COOLDOWN,
    (Status.FIRING, Event.NO_DATA): Status.COOLDOWN,
    (Status.COOLDOWN, Event.BREACH): Status.MUTED,
    (Status.COOLDOWN, Event.WORSE): Status.FIRING,
    (Status.COOLDOWN, Event.CLEAR): Status.COOLDOWN,
    (Status.COOLDOWN, Event.COOLDOWN_OVER): Status.INACTIVE,
    (Status.MUTED, Event.BREACH): Status.MUTED,
    (Status.MUTED, Event.WORSE): Status.FIRING,
    (Status.MUTED, Event.CLEAR): Status.COOLDOWN,
    (Status.MUTED, Event.NO_DATA): Status.COOLDOWN,
    (Status.MUTED, Event.COOLDOWN_OVER): Status.FIRING,
}


def move(status: Status, event: Event) -> Status:
    """The next status. Raises ValueError for an event that cannot happen there; nothing changes then."""
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise ValueError(f"{event} cannot happen to a {status} alert") from None
