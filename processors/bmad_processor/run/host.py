"""Where the engine lives in a process: its state behind one lock, its clock, its commits.

`take` is called from receiver threads and only steps the engine. One thread of its own judges what is due when the
engine asked to be woken, and commits (`commit`): at once what there is to say, everything else at the commit interval.
The lock is held for some milliseconds at a time, however many agents there are: judging, encoding and gauges go in
parts.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bmad_processor import engine, window
from bmad_processor.errors import StoreError
from bmad_processor.histogram import DURATION_BOUNDS_S, Histogram
from bmad_processor.model import Batch, Sample
from bmad_processor.settings import EngineSettings, Profiles
from bmad_processor.state import EngineState
from bmad_processor.state_json import load_partition
from bmad_processor.store import Store

from .announce import Announcer
from .commit import Committer, Pending

_LOG: Final = logging.getLogger("bmad_otel.collector")

_SHARE: Final = 10
"""A round of commits (or of gauges) that took t is followed by this many t without one: each stays below a tenth of the
time. What there is to say does not wait for that."""

_SLICE: Final = 100
"""Judgements with the lock held: about 5 ms."""

_SAMPLES: Final = 200
"""Samples with the lock held: a few milliseconds, a few more when their agents have to be judged first."""

_GAUGES: Final = 200
"""Agents whose gauges are made with the lock held."""

_PATIENCE_S: Final = 10.0
"""A round of commits waits this long for an engine that does not get done with judging."""

_MANY: Final = 1_000
_FREEZE_S: Final = 5.0
"""With this many agents, what lives long is taken out of the garbage collector's sight this often: a full collection
stops everything while it looks at every object, a second and more with ten thousand agents. The state is trees; it is
freed by counting references."""

_BREATH_S: Final = 0.0005
"""Between two parts of work that hold the lock: a lock that is released and taken again at once is passed to nobody."""

_QUICK_COMMIT_S: Final = 0.1
"""A commit that took longer is not made for a question: many questions would keep the engine from its work."""


class EngineHost:
    """Owns one engine. ``clock`` gives nanoseconds since the epoch; ``on_step`` is told the commit steps by name."""

    def __init__(
        self,
        settings: EngineSettings,
        store: Store,
        announcer: Announcer,
        *,
        commit_interval_ns: int,
        clock: Callable[[], int] = time.time_ns,
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings
        self._store = store
        self._announcer = announcer
        self._clock = clock
        self._interval_s = commit_interval_ns / 1e9
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._committed = threading.Condition(self._lock)
        self._n_asked = self._n_done = 0
        self._last_commit_s = 0.0
        self._round = _Round()
        self._state = EngineState()
        self._started_ns = 0
        self._settings_lock = threading.Lock()
        self._is_settings_unsaved = False
        self.commits: Final = Histogram(DURATION_BOUNDS_S)
        """How long writing took, in seconds, also when it failed."""
        self.n_failed_commits = 0
        self._committer = Committer(store, announcer, on_step=on_step)
        self._wake_at_ns: int | None = None
        self._next_gauges_s = 0.0
        self._next_freeze_s = 0.0
        self._is_stopping = False
        self.trouble = ""
        """Why the last commit failed; empty while commits succeed. Read without a lock."""
        self._thread = threading.Thread(target=self._run, name="bmad-engine", daemon=True)

    def start(self) -> None:
        """Restores the last commit, sends what was never confirmed, starts the thread. Raises StoreError."""
        loaded = self._store.load()
        partitions = [load_partition(text) for text in loaded.partitions.values()]
        self._state = engine.restore(partitions, now_ns=loaded.now_ns, counters=loaded.counters, settings=self.settings)
        self._started_ns = self._clock()
        self._store.save_settings(self.settings, self._started_ns)
        if loaded.unsent:
            _LOG.info("sending %d alert events whose delivery was not confirmed before", len(loaded.unsent))
            self._announcer.announce(loaded.unsent, ())
        if partitions:
            _LOG.info("continuing with %d agents and hosts", len(partitions))
            with self._lock:
                self._step(Batch(self._clock()), limit=0)  # when to wake next
        self._thread.start()

    def take(self, now_ns: int, samples: tuple[Sample, ...]) -> None:
        """One batch from a receiver. Splitting it changes nothing (a law of the engine) but how long others wait."""
        for begin in range(0, len(samples), _SAMPLES) or (0,):
            with self._lock:
                self._step(Batch(now_ns, samples[begin : begin + _SAMPLES]), limit=0)

    def _step(self, batch: Batch, *, limit: int) -> None:
        """Called with the lock held."""
        step = engine.step(self._state, batch, self.settings, limit=limit)
        self._committer.collect(step)
        wake_at_ns = step.wake_at_ns
        is_earlier = wake_at_ns is not None and (self._wake_at_ns is None or wake_at_ns < self._wake_at_ns)
        self._wake_at_ns = wake_at_ns
        if self._committer.is_urgent or is_earlier:
            self._wake.notify()

    def commit_now(self, timeout_s: float) -> bool:
        """Waits until all that was taken before is committed, so that who was told that telemetry is received finds it
        in the next answer. False when that takes longer, when nothing runs, or when commits are slow (10,000 agents).
        """
        with self._wake:
            if self._is_stopping or not self._thread.is_alive() or self._last_commit_s > _QUICK_COMMIT_S:
                return False
            self._n_asked = wanted = self._n_asked + 1
            self._wake.notify()
            return self._committed.wait_for(lambda: self._n_done >= wanted, timeout_s)

    def set_profiles(self, profiles: Profiles) -> None:
        """From the next step on everything is judged by ``profiles``; may be called from any thread.

        Nothing that was learned is lost: histories, baselines, open alerts and cooldowns stay, and an open alert is
        judged by the new thresholds at the next pane end. The store keeps the settings too; should it not be writable
        just now, they are written as soon as it is.
        """
        with self._settings_lock:
            with self._lock:
                self.settings = replace(self.settings, profiles=profiles)
            self._is_settings_unsaved = True
            self._save_settings()

    def set_settings(self, settings: EngineSettings, *, commit_interval_ns: int) -> None:
        """As `set_profiles` for everything but the profiles, which stay. The length of panes must be the same: what is
        open is cut into them."""
        with self._settings_lock:
            with self._wake:
                if settings.interval_ns != self.settings.interval_ns:
                    raise ValueError("panes of another length need another host")
                self.settings = replace(settings, profiles=self.settings.profiles)
                self._interval_s = commit_interval_ns / 1e9
                self._wake.notify()
            self._is_settings_unsaved = True
            self._save_settings()

    def _save_settings(self) -> None:
        """Called with the settings' lock held."""
        try:
            self._store.save_settings(self.settings, self._started_ns)
            self._is_settings_unsaved = False
        except StoreError as error:
            _LOG.error("could not keep the new profiles in the store, will try again: %s", error)

    def counters(self) -> dict[str, int]:
        """What the engine did not use, by reason, and its size."""
        with self._lock:
            return {
                **self._state.counters,
                "partitions": len(self._state.partitions),
                "dropped_history_points": self._committer.n_dropped_history,
            }

    def stop(self) -> None:
        """Ends the thread after a last commit. Safe to call twice, and when `start` failed."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        self._round.next_s = time.monotonic() + self._interval_s
        while True:
            with self._wake:
                wait_s = self._wait_s()
                if wait_s > 0:
                    self._wake.wait(wait_s)
                now_ns = self._clock()
                is_behind = self._judge(now_ns)
                pending = self._next_part(is_behind=is_behind)
                is_stopping = self._is_stopping and pending is None
            if pending is not None:
                is_stopping = not self._commit(pending) and self._is_stopping
            elif is_behind:
                time.sleep(_BREATH_S)
            else:
                self._end_round()
                self._freeze()
                self._send_gauges()
                self._announcer.retry()
            if is_stopping:
                return

    def _judge(self, now_ns: int) -> bool:
        """A part of what is due; whether anything is left. Called with the lock held."""
        if self._is_stopping and self._round.is_on:
            return False  # the last round has everything; what becomes due now is judged after the next start
        if window.is_set_back(self._state, now_ns, self.settings):
            self._step(Batch(now_ns), limit=_SLICE)
        elif self._wake_at_ns is not None and self._wake_at_ns <= (latest_ns := max(now_ns, self._state.now_ns)):
            self._step(Batch(latest_ns), limit=_SLICE)
        return self._wake_at_ns is not None and self._wake_at_ns <= self._state.now_ns

    def _next_part(self, *, is_behind: bool) -> Pending | None:
        """What to write now, if anything. Called with the lock held."""
        now_s, work = time.monotonic(), self._round
        if now_s < work.retry_s and not self._is_stopping:
            return None
        is_due = self._is_stopping or now_s >= work.next_s or self._n_asked > work.n_asked
        # what is about to be judged is not worth writing before
        is_worth_it = not is_behind or self._is_stopping or now_s >= work.next_s + _PATIENCE_S
        if is_due and is_worth_it and not work.is_on:
            self._committer.begin_round()
            work.begin(now_s, self._n_asked)
        return self._committer.take(self._state, urgent_only=not work.is_on or not is_worth_it)

    def _commit(self, pending: Pending) -> bool:
        """Whether it was written."""
        began_s = time.monotonic()
        try:
            self._committer.commit(pending)
            self.trouble = ""
            commit = pending.commit
            _LOG.debug(
                "committed %d agents and hosts, %d alerts, %d events in %.1f ms",
                len(commit.partitions), len(commit.alerts), len(commit.events), (time.monotonic() - began_s) * 1e3,
            )  # fmt: skip
        except StoreError as error:
            # kept in memory and written with a later commit; the database may be back by then
            self.trouble = str(error)
            self.n_failed_commits += 1
            _LOG.error("could not commit, will try again: %s", error)
            with self._lock:
                self._committer.give_back(pending)
                self._round.retry_s = time.monotonic() + self._interval_s
            return False
        finally:
            self.commits.observe(time.monotonic() - began_s)
        return True

    def _end_round(self) -> None:
        """All parts of a round were written, or one of them could not be."""
        work = self._round
        if not work.is_on:
            return
        if self._is_settings_unsaved:
            with self._settings_lock:
                self._save_settings()
        with self._lock:
            took_s = work.end(self._interval_s)
            self._last_commit_s = took_s
            self._n_done = work.n_asked
            self._committed.notify_all()

    def _freeze(self) -> None:
        now_s = time.monotonic()
        if now_s >= self._next_freeze_s and len(self._state.partitions) >= _MANY:
            self._next_freeze_s = now_s + _FREEZE_S
            gc.freeze()

    def _send_gauges(self) -> None:
        began_s = time.monotonic()
        if began_s < self._next_gauges_s:
            return
        with self._lock:
            if not self._announcer.wants_gauges(self._state, self.settings):
                return
            names = list(self._state.partitions)
        for begin in range(0, len(names), _GAUGES):
            with self._lock:
                known = self._state.partitions
                part = [known[name] for name in names[begin : begin + _GAUGES] if name in known]
                rows = self._announcer.gauges(part, self.settings)
            self._announcer.send_gauges(rows)
        self._next_gauges_s = time.monotonic() + _SHARE * (time.monotonic() - began_s)

    def _wait_s(self) -> float:
        """Seconds until there is something to do. Called with the lock held."""
        now_s, work = time.monotonic(), self._round
        if self._is_stopping or work.is_on:
            return 0.0
        can_write_s = max(0.0, work.retry_s - now_s)
        wait_s = max(work.next_s - now_s, can_write_s)
        if self._committer.is_urgent or self._n_asked > work.n_asked:
            wait_s = can_write_s
        if self._wake_at_ns is not None:
            wait_s = min(wait_s, (self._wake_at_ns - self._clock()) / 1e9)
        return wait_s


class _Round:
    """A round of commits: everything that had changed when it began, in parts."""

    def __init__(self) -> None:
        self.is_on = False
        self.n_asked = 0
        """Questions that had come when it began: at its end, all that they ask for is written."""
        self.next_s = 0.0
        """When the next one begins."""
        self.retry_s = 0.0
        """Nothing is written before: the store could not be."""
        self._began_s = 0.0

    def begin(self, now_s: float, n_asked: int) -> None:
        self.is_on, self.n_asked, self._began_s = True, n_asked, now_s

    def end(self, interval_s: float) -> float:
        """Returns how long it took."""
        now_s = time.monotonic()
        took_s = now_s - self._began_s
        self.is_on = False
        self.next_s = now_s + max(interval_s, _SHARE * took_s)
        return took_s
