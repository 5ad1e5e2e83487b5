"""The script of the minute, as data: at which second what happens to the agents' world.

Seconds are those of the full demo, `SCRIPT_S` long and counted from the moment everything is up; a shorter run plays
the same script faster (`Pace`), with windows to match.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

SCRIPT_S: Final = 55.0
"""Length of the script; start and end of the processes make a minute of it."""

AROUND_S: Final = 5.0
"""What the start and the end take on an ordinary machine."""


class Event(Enum):
    """What the conductor can do to the world. None of it touches an agent or what is measured."""

    IDEAS_POUR_IN = auto()
    """ProductOwner collects hundreds of ideas each time: ranking them takes longer and longer."""
    BACKLOG_GROOMED = auto()
    REVIEWS_POUR_IN = auto()
    """Files for QualityGuardian arrive faster than one instance likes."""
    REVIEWS_CALM_DOWN = auto()
    BACKLOG_FILE_LOST = auto()
    """The service answers HTTP 500."""
    BACKLOG_SERVICE_CRASHES = auto()
    """Connections are refused."""
    BACKLOG_RESTORED = auto()


@dataclass(frozen=True, slots=True)
class Phase:
    at_s: float
    title: str
    what: str
    event: Event | None = None


PHASES: Final = (
    Phase(0, "calm", "All agents at their usual work; the collector learns what is normal."),
    Phase(11, "slow service", "Ideas pour in; the backlog service ranks all of them for every answer.",
          Event.IDEAS_POUR_IN),
    Phase(19, "service well again", "The backlog is groomed; answers are fast again.", Event.BACKLOG_GROOMED),
    Phase(20, "rush of work", "Files to review arrive many times faster than before.", Event.REVIEWS_POUR_IN),
    Phase(29, "failing service", "The backlog's data file is gone: HTTP 500.", Event.BACKLOG_FILE_LOST),
    Phase(31, "rush over", "Files to review arrive as slowly as at first.", Event.REVIEWS_CALM_DOWN),
    Phase(32, "crashed service", "The backlog service has crashed: connection refused.",
          Event.BACKLOG_SERVICE_CRASHES),
    Phase(36, "recovery", "File restored, service started; alerts resolve when their windows are clean.",
          Event.BACKLOG_RESTORED),
)  # fmt: skip

CALM_LOAD: Final = 0.06
RUSH_LOAD: Final = 0.65
"""CPU seconds of review work that arrive per second. The target of QualityGuardian's profile is 0.20 per instance."""

IDEAS_PER_CALL: Final = 600
GROOMED_SIZE: Final = 40


@dataclass(frozen=True, slots=True)
class Pace:
    """The script and the collector's windows for a run of a given length."""

    seconds: float

    @property
    def script_s(self) -> float:
        return max(10.0, self.seconds - AROUND_S)

    @property
    def factor(self) -> float:
        """Length of this script by that of the full one."""
        return self.script_s / SCRIPT_S

    @property
    def interval_s(self) -> int:
        """Monitoring interval: a second is the shortest there is."""
        return max(1, round(2 * self.factor))

    @property
    def window_s(self) -> int:
        """Evaluation window: ten seconds of the full script, in whole intervals, at least three."""
        return max(3, int(10 * self.factor / self.interval_s)) * self.interval_s

    @property
    def stabilization_s(self) -> int:
        return max(2, round(8 * self.factor))

    @property
    def ideas_per_call(self) -> int:
        """More at a time in a faster script, so that the service gets as slow."""
        return round(IDEAS_PER_CALL / self.factor)

    def phase_at(self, elapsed_s: float) -> int:
        """Index of the phase that is on."""
        passed = [i for i, phase in enumerate(PHASES) if phase.at_s * self.factor <= elapsed_s]
        return passed[-1] if passed else 0
