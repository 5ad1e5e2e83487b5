"""What a store must do: keep one commit whole, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bmad_processor.model import Alert, AlertEvent, HistoryPoint, ScalingHint
from bmad_processor.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything one commit changes. Written in one transaction."""

    now_ns: int
    """The engine's clock at the commit."""
    partitions: Mapping[str, str] = field(default_factory=dict)
    """Key (`str(PartitionKey)`) to the JSON text of `state.dump_partition`."""
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
    """Key to JSON text; every one was read by `state.load_partition` without complaint."""
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
