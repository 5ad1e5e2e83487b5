"""The commit order. What is said is committed before it is said.

1. **step** The engine changes its state in memory and returns outputs (`EngineHost.take`, `collect` here).
2. **write** One transaction: touched partitions, alerts, history, hints, and the notification log with every event as
   unsent (`Store.commit`).
3. **send** The events go to the exporters and the console (`Announcer.announce`).
4. **mark** Each event whose delivery was confirmed is marked as sent (`Store.mark_sent`, from the exporter's thread).

Killed before 2: the panes since the last commit are learned again from what senders report next, and nothing had been
said. Between 2 and 4: the event is sent at the next start with the same event id. After 4: never again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bmad_processor.model import Outputs, Step
from bmad_processor.state import EngineState
from bmad_processor.state_json import dump_partition
from bmad_processor.store import Commit, Store

from .announce import Announcer


@dataclass(frozen=True, slots=True)
class Pending:
    """A commit ready to be written, and the keys to mark again should writing fail."""

    commit: Commit
    changed: frozenset[str]


_MAX_HISTORY: Final = 10_000
"""Points of history kept while the store cannot be written; alerts, events and hints are few and all kept."""


def _nothing(_: str) -> None:
    pass


class Committer:
    """Collects what steps changed, carries out 2 and 3. `collect` and `take`: with the engine's lock held."""

    def __init__(self, store: Store, announcer: Announcer, *, on_step: Callable[[str], None] | None = None) -> None:
        self._store = store
        self._announcer = announcer
        self._on_step = on_step or _nothing
        self._changed: set[str] = set()
        self._removed: set[str] = set()
        self._outputs = Outputs()
        self.n_dropped_history = 0
        """Points of history given up because the store could not be written for long."""

    def collect(self, step: Step) -> None:
        """After 1: remembers what has to be written."""
        self._changed |= step.changed
        self._removed |= step.removed
        self._removed -= step.changed
        outputs, new = self._outputs, step.outputs
        outputs.events += new.events
        outputs.alerts += new.alerts
        outputs.hints += new.hints
        outputs.history += new.history

    def take(self, state: EngineState) -> Pending | None:
        """Takes a snapshot of everything to write, None when nothing changed."""
        if not self._changed and not self._removed:
            return None
        outputs, self._outputs = self._outputs, Outputs()
        changed, self._changed = frozenset(self._changed), set()
        removed, self._removed = frozenset(self._removed), set()
        partitions = {
            name: dump_partition(state.partitions[name]) for name in sorted(changed) if name in state.partitions
        }
        commit = Commit(
            now_ns=state.now_ns,
            partitions=partitions,
            removed=removed,
            counters=dict(state.counters),
            alerts=outputs.alerts,
            events=outputs.events,
            hints=outputs.hints,
            history=outputs.history,
        )
        return Pending(commit, changed)

    def commit(self, pending: Pending) -> None:
        """2 and 3. Raises StoreError when nothing was written; then nothing was said either."""
        self._on_step("step")
        self._store.commit(pending.commit)
        self._on_step("write")
        if pending.commit.events or pending.commit.hints:
            self._announcer.announce(pending.commit.events, pending.commit.hints)
            self._on_step("send")

    def give_back(self, pending: Pending) -> None:
        """Undoes `take` after a failed write, in front of what came since."""
        newer = self._outputs
        commit = pending.commit
        self._outputs = Outputs(list(commit.events), list(commit.alerts), list(commit.hints), list(commit.history))
        self._changed |= pending.changed
        self._removed |= commit.removed
        self._outputs.events += newer.events
        self._outputs.alerts += newer.alerts
        self._outputs.hints += newer.hints
        self._outputs.history += newer.history
        excess = len(self._outputs.history) - _MAX_HISTORY
        if excess > 0:
            del self._outputs.history[:excess]
            self.n_dropped_history += excess
