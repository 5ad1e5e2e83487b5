"""A store that cannot be written for a while: nothing is said before it is written, and what waits is bounded."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bmad_processor.errors import StoreError
from bmad_processor.model import HistoryPoint, Outputs, PartitionKey, ScalingAction, ScalingHint, Step
from bmad_processor.run.announce import Announcer
from bmad_processor.run.commit import Committer, Pending
from bmad_processor.settings import EngineSettings
from bmad_processor.state import EngineState
from bmad_processor.store import Commit, Loaded

KEY = PartitionKey("agent", "", "Architect")


class DiskFull:
    """A store that refuses every write until there is room."""

    def __init__(self) -> None:
        self.has_room = False
        self.written: list[Commit] = []

    def load(self) -> Loaded:
        return Loaded({}, {}, 0, [])

    def commit(self, commit: Commit) -> None:
        if not self.has_room:
            raise StoreError("disk full")
        self.written.append(commit)

    def mark_sent(self, event_ids: Sequence[str], time_ns: int) -> None: ...

    def save_settings(self, settings: EngineSettings, time_ns: int) -> None: ...

    def close(self) -> None: ...


def step(n: int) -> Step:
    hint = ScalingHint(KEY, n, 1, n, 1, 9, ScalingAction.SCALE_UP, "more")
    history = [HistoryPoint(KEY, "throughput", n * 1000 + i, 1.0, 1) for i in range(1000)]
    return Step(Outputs(hints=[hint], history=history), frozenset({str(KEY)}), frozenset(), None)


def took(committer: Committer, state: EngineState) -> Pending | None:
    committer.begin_round()
    return committer.take(state)


def test_what_could_not_be_written_waits_in_order_and_bounded() -> None:
    store = DiskFull()
    announcer = Announcer(store, events_to=[], gauges_to=[], console=None)
    steps: list[str] = []
    committer = Committer(store, announcer, on_step=steps.append)
    state = EngineState()
    for n in range(15):
        committer.collect(step(n))
        pending = took(committer, state)
        assert pending is not None
        with pytest.raises(StoreError):
            committer.commit(pending)
        committer.give_back(pending)
    assert set(steps) == {"step"}, "nothing was said"

    store.has_room = True
    pending = took(committer, state)
    assert pending is not None
    committer.commit(pending)
    (written,) = store.written
    assert [hint.desired for hint in written.hints] == list(range(15))
    assert [point.time_ns for point in written.history] == list(range(5000, 15000)), "the newest ten thousand"
    assert committer.n_dropped_history == 5000
    assert took(committer, state) is None
