"""The commit order. What is said is committed before it is said.

1. **step** The engine changes its state in memory and returns outputs (`EngineHost.take`, `collect` here).
2. **write** One transaction: some partitions, each with all of its alerts, history and hints so far, and the
   notification log with every event as unsent (`Store.commit`).
3. **send** The events go to the exporters and the console (`Announcer.announce`).
4. **mark** Each event whose delivery was confirmed is marked as sent (`Store.mark_sent`, from the exporter's thread).

Killed before 2: the panes since the last commit are learned again from what senders report next, and nothing had been
said. Between 2 and 4: the event is sent at the next start with the same event id. After 4: never again.

A partition is never written without what was said about it, nor the other way round. Nothing else ties partitions to
each other, so those with news are written at once and by themselves, the others when it is their turn, in parts of
bounded size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from bmad_processor.model import Outputs, PartitionKey, Step
from bmad_processor.state import EngineState
from bmad_processor.state_json import dump_partition
from bmad_processor.store import Commit, Store

from .announce import Announcer


@dataclass(frozen=True, slots=True)
class Pending:
    """A commit ready to be written, and what to take back should writing fail."""

    commit: Commit
    names: tuple[str, ...]
    news: dict[str, Outputs]


MAX_PARTITIONS: Final = 200
MAX_TEXT: Final = 256 * 1024
"""A part is about this large: a few milliseconds of encoding, with the engine's lock held."""

_MAX_HISTORY: Final = 10_000
"""Points of history kept while the store cannot be written; alerts, events and hints are few and all kept."""


def _nothing(_: str) -> None:
    pass


class Committer:
    """Collects what steps changed, carries out 2 and 3. All but `commit`: with the engine's lock held."""

    def __init__(self, store: Store, announcer: Announcer, *, on_step: Callable[[str], None] | None = None) -> None:
        self._store = store
        self._announcer = announcer
        self._on_step = on_step or _nothing
        self._waiting: dict[str, None] = {}
        """Partitions to write, also those to be removed."""
        self._round: dict[str, None] = {}
        """Those of them that belong to the round under way."""
        self._urgent: dict[str, None] = {}
        """Those about which there is something to say."""
        self._removed: set[str] = set()
        self._news: dict[str, Outputs] = {}
        self.n_dropped_history = 0
        """Points of history given up because the store could not be written for long."""

    def collect(self, step: Step) -> None:
        """After 1: remembers what has to be written."""
        self._waiting.update(dict.fromkeys(step.changed))
        if step.removed:
            self._waiting.update(dict.fromkeys(step.removed))
            self._removed |= step.removed
        if self._removed:
            self._removed -= step.changed
        new = step.outputs
        for event in new.events:
            self._urgent_news(event.alert.key).events.append(event)
        for hint in new.hints:
            self._urgent_news(hint.key).hints.append(hint)
        for alert in new.alerts:
            self._news_of(alert.key).alerts.append(alert)
        last = history = None
        for point in new.history:
            if point.key is not last:  # those of one judgement come together
                last = point.key
                history = self._news_of(last).history
            if history is not None:
                history.append(point)

    @property
    def is_urgent(self) -> bool:
        """Whether there is something to say."""
        return bool(self._urgent)

    def begin_round(self) -> None:
        """Everything that is to be written now, is to be written by the end of this round."""
        self._round.update(self._waiting)

    def take(self, state: EngineState, *, urgent_only: bool = False) -> Pending | None:
        """The next part: what is urgent first, then what belongs to the round. None when there is nothing."""
        names: list[str] = []
        partitions: dict[str, str] = {}
        size = 0
        for source in (self._urgent,) if urgent_only else (self._urgent, self._round):
            for name in list(islice(source, MAX_PARTITIONS - len(names))):
                if size > MAX_TEXT:
                    break
                for queue in (self._urgent, self._round, self._waiting):
                    queue.pop(name, None)
                names.append(name)
                partition = state.partitions.get(name)
                if partition is not None:
                    text = partitions[name] = dump_partition(partition)
                    size += len(text)
        if not names:
            return None
        removed = frozenset(self._removed.intersection(names))
        self._removed -= removed
        news = {name: self._news.pop(name) for name in names if name in self._news}
        commit = Commit(
            now_ns=state.now_ns,
            partitions=partitions,
            removed=removed,
            counters=dict(state.counters),
            alerts=[alert for new in news.values() for alert in new.alerts],
            events=[event for new in news.values() for event in new.events],
            hints=[hint for new in news.values() for hint in new.hints],
            history=[point for new in news.values() for point in new.history],
        )
        return Pending(commit, tuple(names), news)

    def commit(self, pending: Pending) -> None:
        """2 and 3. Raises StoreError when nothing was written; then nothing was said either."""
        self._on_step("step")
        self._store.commit(pending.commit)
        self._on_step("write")
        if pending.commit.events or pending.commit.hints:
            self._announcer.announce(pending.commit.events, pending.commit.hints)
            self._on_step("send")

    def give_back(self, pending: Pending) -> None:
        """Undoes `take` after a failed write, in front of what came since; the round is over."""
        self._round.clear()
        self._waiting = dict.fromkeys(pending.names) | self._waiting
        self._removed |= pending.commit.removed
        urgent = [name for name, new in pending.news.items() if new.events or new.hints]
        self._urgent = dict.fromkeys(urgent) | self._urgent
        for name, old in pending.news.items():
            newer = self._news.get(name, Outputs())
            self._news[name] = Outputs(
                old.events + newer.events, old.alerts + newer.alerts, old.hints + newer.hints,
                old.history + newer.history,
            )  # fmt: skip
        self._bound_history()

    def _bound_history(self) -> None:
        excess = sum([len(new.history) for new in self._news.values()]) - _MAX_HISTORY
        if excess <= 0:
            return
        share = max(1, _MAX_HISTORY // len(self._news))
        for new in self._news.values():
            n = len(new.history) - share
            if n > 0:
                del new.history[:n]
                self.n_dropped_history += n

    def _urgent_news(self, key: PartitionKey) -> Outputs:
        self._urgent[str(key)] = None
        return self._news_of(key)

    def _news_of(self, key: PartitionKey) -> Outputs:
        name = str(key)
        news = self._news.get(name)
        if news is None:
            news = self._news[name] = Outputs()
            self._waiting[name] = None
        return news
