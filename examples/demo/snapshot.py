"""What the collector knows at one moment, read from its JSON API and from nowhere else.

The only module that knows the API's keys. Values are in base units, as the rest of the demo wants them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

PATIENCE_S: Final = 2.0
"""An answer that takes longer is not waited for: the picture has to go on."""

LEVELS: Final = ("info", "warning", "critical", "emergency")

Numbers = dict[str, int]


@dataclass(frozen=True, slots=True)
class AgentRow:
    name: str
    instances: int
    rate: float | None
    """Finished tasks per second."""
    response_s: float | None
    """95th percentile."""
    baseline_s: float | None
    """What the collector has learned to be a normal response time; None until it is warm."""
    error_ratio: float | None
    cpu_ratio: float | None
    """CPU seconds per second, mean of the instances."""


@dataclass(frozen=True, slots=True)
class AlertRow:
    alert_id: str
    agent: str
    metric: str
    level: str
    is_firing: bool
    started_s: float
    """Seconds since the epoch."""
    resolved_s: float | None
    message: str
    reason: str

    @property
    def lasted(self) -> str:
        """How long it has been firing, empty while it still is."""
        return "" if self.resolved_s is None else f"after {self.resolved_s - self.started_s:.0f} s"


@dataclass(frozen=True, slots=True)
class HintRow:
    agent: str
    current: int
    desired: int
    action: str
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    agents: tuple[AgentRow, ...] = ()
    alerts: tuple[AlertRow, ...] = ()
    """Newest first."""
    hints: tuple[HintRow, ...] = ()
    received: Numbers = field(default_factory=dict)
    """Items taken and refused by the receivers, since the collector started."""
    unused: Numbers = field(default_factory=dict)
    """Items the engine could not use, by reason."""
    exporters: dict[str, Numbers] = field(default_factory=dict)
    """By exporter: items sent and given up."""

    def firing(self, agent: str) -> list[AlertRow]:
        """The alerts of an agent that are firing, worst first."""
        found = [alert for alert in self.alerts if alert.agent == agent and alert.is_firing]
        return sorted(found, key=lambda alert: LEVELS.index(alert.level), reverse=True)

    def desired(self, agent: str) -> int | None:
        """How many instances the collector advises."""
        return next((hint.desired for hint in self.hints if hint.agent == agent), None)


class ApiDown(Exception):
    """The collector does not answer at the moment."""


class Api:
    """The collector's JSON API."""

    def __init__(self, url: str) -> None:
        # trust_env: a proxy for the world outside has no business between two processes of one machine
        self._client = httpx2.Client(base_url=url, timeout=PATIENCE_S, trust_env=False)

    def is_up(self) -> bool:
        """Whether the collector serves requests."""
        try:
            self._ask("/healthz")
        except ApiDown:
            return False
        return True

    def read(self) -> Snapshot:
        """Everything the demo shows. Raises ApiDown."""
        agents = self._ask("/api/v1/agents")["agents"]
        alerts = self._ask("/api/v1/alerts?limit=1000")["alerts"]
        hints = self._ask("/api/v1/scaling")["hints"]
        dropped = self._ask("/api/v1/system-summary")["dropped"]
        status = self._ask("/api/v1/status")
        return Snapshot(
            agents=tuple(sorted(map(_agent_row, agents), key=lambda row: row.name)),
            alerts=tuple(map(_alert_row, alerts)),
            hints=tuple(map(_hint_row, hints)),
            received=status["intake"],
            unused=dropped,
            exporters=status["exporters"],
        )

    def close(self) -> None:
        self._client.close()

    def _ask(self, path: str) -> dict[str, Any]:
        try:
            response = self._client.get(path)
            response.raise_for_status()
            answer: dict[str, Any] = response.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise ApiDown(f"{path}: {error!r}") from error
        return answer


def _agent_row(row: dict[str, Any]) -> AgentRow:
    return AgentRow(
        name=row["name"],
        instances=row["instances"],
        rate=row["rate"],
        response_s=row["p95_s"],
        baseline_s=row["baseline_response_s"],
        error_ratio=_ratio(row["error_rate"]),
        cpu_ratio=_ratio(row["cpu_usage"]),
    )


def _alert_row(row: dict[str, Any]) -> AlertRow:
    return AlertRow(
        alert_id=row["alert_id"],
        agent=row["agent_name"],
        metric=row["metric_type"],
        level=row["level"],
        is_firing=not row["resolved"],
        started_s=row["timestamp"],
        resolved_s=row["resolution_time"],
        message=row["message"],
        reason=_reason(row["reason"]),
    )


def _reason(reason: dict[str, Any]) -> str:
    parts = [reason["rule"], f"n={reason['n']}"]
    # the last part of ``package.module.Error`` says enough in a line
    errors = sorted({exemplar["error"].rpartition(".")[2] for exemplar in reason["exemplars"] if exemplar["error"]})
    if errors:
        parts.append("errors: " + ", ".join(errors))
    if reason["note"]:
        parts.append(reason["note"])
    return "; ".join(parts)


def _hint_row(row: dict[str, Any]) -> HintRow:
    return HintRow(row["agent_name"], row["current"], row["desired"], row["action"], row["reason"])


def _ratio(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
