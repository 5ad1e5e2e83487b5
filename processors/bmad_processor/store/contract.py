"""What a store must do: keep one commit whole, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from bmad_processor.model import Alert, AlertEvent, HistoryPoint, Level, ScalingHint
from bmad_processor.settings import EngineSettings
from bmad_processor.state import Partition


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything one commit changes. Written in one transaction."""

    now_ns: int
    """The engine's clock at the commit."""
    partitions: Mapping[str, str] = field(default_factory=dict)
    """Key (`str(PartitionKey)`) to the JSON text of `state_json.dump_partition`."""
    removed: frozenset[str] = frozenset()
    """Keys of forgotten partitions; their hints and history go with them, their alerts stay."""
    counters: Mapping[str, int] = field(default_factory=dict)
    """All counters of the engine, not differences."""
    alerts: Sequence[Alert] = ()
    events: Sequence[AlertEvent] = ()
    """Entered into the notification log as unsent."""
    hints: Sequence[ScalingHint] = ()
    history: Sequence[HistoryPoint] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a store had at the start."""

    partitions: dict[str, str]
    """Key to JSON text; every one was read by `state_json.load_partition` without complaint."""
    counters: dict[str, int]
    now_ns: int
    """The engine's clock at the last commit, 0 in an empty store."""
    unsent: list[AlertEvent]
    """Events whose delivery was never confirmed, oldest first."""
    quarantined: int = 0
    """Damaged rows that this load moved aside."""


class Store(Protocol):
    """Used from one thread at a time or several: every call is whole. All raise StoreError."""

    def load(self) -> Loaded:
        """The state at the last commit."""
        ...

    def commit(self, commit: Commit) -> None:
        """Writes ``commit`` in one transaction; when it returns, it is there after a crash of the process."""
        ...

    def mark_sent(self, event_ids: Sequence[str], time_ns: int) -> None:
        """Notes that the delivery of these events was confirmed. Unknown ids are ignored."""
        ...

    def save_settings(self, settings: EngineSettings, time_ns: int) -> None:
        """Keeps the settings beside the state, so that summaries know thresholds when no collector runs."""
        ...

    def close(self) -> None:
        """Releases the store; safe to call twice."""
        ...


class Snapshot(Protocol):
    """One point in time of an engine's state and of what it said: what every question is answered from."""

    def settings(self) -> EngineSettings: ...
    def started_ns(self) -> int | None: ...
    def now_ns(self) -> int: ...
    def counters(self) -> dict[str, int]: ...
    def partition_keys(self) -> list[str]: ...
    def partition(self, key: str) -> Partition | None: ...
    def partitions(self) -> list[Partition]: ...

    def alerts(
        self,
        *,
        partition_key: str | None = None,
        agent_name: str | None = None,
        level: Level | None = None,
        status: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Alerts in the form of `codec.alert_to_dict`: firing ones first, then the newest."""
        ...

    def has_alerts(self, agent_name: str) -> bool: ...

    def history(self, partition_key: str, metric_type: str, limit: int) -> list[tuple[int, float, int]]:
        """The newest ``limit`` points as (time_ns, value in base units, n), oldest first."""
        ...

    def metric_types(self, partition_key: str) -> list[str]: ...
    def hints(self) -> list[dict[str, Any]]: ...
    def hint_log(self, limit: int) -> list[dict[str, Any]]: ...


class Reader(Protocol):
    """Where questions go."""

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """A consistent view, valid inside the context. Raises StoreError when there is nothing to look into."""
        ...
