"""What has happened so far, gathered from one snapshot after the other: the alerts' and the hint's course."""

from __future__ import annotations

from dataclasses import dataclass

from .snapshot import LEVELS, AlertRow, Snapshot


@dataclass(frozen=True, slots=True)
class HintStep:
    elapsed_s: float
    desired: int
    reason: str


@dataclass(frozen=True, slots=True)
class Episode:
    """One alert from its beginning to, if it has come, its end."""

    worst: AlertRow
    """As it was when its level was highest."""
    latest: AlertRow


class Chronicle:
    """Remembers; `learn` returns what is new as lines to print."""

    def __init__(self, scaled_agent: str) -> None:
        self._scaled_agent = scaled_agent
        self.episodes: dict[str, Episode] = {}
        """Every alert ever seen by its id, in the order of their beginning."""
        self.hint_course: list[HintStep] = []

    def learn(self, snapshot: Snapshot, elapsed_s: float) -> list[str]:
        """What ``snapshot`` says that was not known."""
        news = []
        for alert in sorted(snapshot.alerts, key=lambda alert: alert.started_s):
            known = self.episodes.get(alert.alert_id)
            is_worse = known is not None and LEVELS.index(alert.level) > LEVELS.index(known.worst.level)
            if known is None or is_worse:
                news.append(f"ALERT {'now ' * is_worse}{alert.level}: {alert.agent}: {alert.message} | {alert.reason}")
            if not alert.is_firing and (known is None or known.latest.is_firing):
                news.append(f"RESOLVED: {alert.agent}: {alert.message} | {alert.lasted}")
            worst = alert if known is None or is_worse else known.worst
            self.episodes[alert.alert_id] = Episode(worst, alert)
        return news + self._learn_hint(snapshot, elapsed_s)

    def _learn_hint(self, snapshot: Snapshot, elapsed_s: float) -> list[str]:
        hint = next((hint for hint in snapshot.hints if hint.agent == self._scaled_agent), None)
        if hint is None:
            return []
        if self.hint_course and self.hint_course[-1].desired == hint.desired:
            return []
        is_first = not self.hint_course
        self.hint_course.append(HintStep(elapsed_s, hint.desired, hint.reason))
        if is_first and hint.desired == hint.current:
            return []
        wanted = "1 instance" if hint.desired == 1 else f"{hint.desired} instances"
        return [f"HINT: {hint.agent} needs {wanted}, has {hint.current} | {hint.reason}"]
