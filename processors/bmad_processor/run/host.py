"""Where the engine lives in a process: its state behind one lock, its clock, its commits.

`take` is called from receiver threads and only steps the engine. One thread of its own ticks the engine when it asked
to be woken, and commits (`commit`): at once when an alert changed, else at the commit interval.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bmad_processor import engine, window
from bmad_processor.errors import StoreError
from bmad_processor.model import Batch, Sample
from bmad_processor.settings import EngineSettings, Profiles
from bmad_processor.state import EngineState
from bmad_processor.state_json import load_partition
from bmad_processor.store import Store

from .announce import Announcer
from .commit import Committer

_LOG: Final = logging.getLogger("bmad_otel.collector")

_COMMIT_SHARE: Final = 10
"""A commit that took t is followed by this many t without one: committing stays below a tenth of the time."""


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
        self._state = EngineState()
        self._started_ns = 0
        self._settings_lock = threading.Lock()
        self._is_settings_unsaved = False
        self._committer = Committer(store, announcer, on_step=on_step)
        self._wake_at_ns: int | None = None
        self._is_urgent = False
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
                self._step(Batch(self._clock()))  # what became due in the meantime, and when to wake next
        self._thread.start()

    def take(self, now_ns: int, samples: tuple[Sample, ...]) -> None:
        """One batch from a receiver."""
        with self._lock:
            self._step(Batch(now_ns, samples))

    def _step(self, batch: Batch) -> None:
        """Called with the lock held."""
        step = engine.step(self._state, batch, self.settings)
        self._committer.collect(step)
        has_news = bool(step.outputs.events or step.outputs.hints)
        wake_at_ns = step.wake_at_ns
        is_earlier = wake_at_ns is not None and (self._wake_at_ns is None or wake_at_ns < self._wake_at_ns)
        self._is_urgent |= has_news
        self._wake_at_ns = wake_at_ns
        if has_news or is_earlier:
            self._wake.notify()

    def commit_now(self, timeout_s: float) -> bool:
        """Waits until all that was taken before is committed, so that who was told that telemetry is received finds it
        in the next answer. False when that takes longer, when nothing runs, or when commits are slow (10,000 agents).
        """
        with self._wake:
            if self._is_stopping or not self._thread.is_alive() or self._last_commit_s > _QUICK_COMMIT_S:
                return False
            self._n_asked = wanted = self._n_asked + 1
            self._is_urgent = True
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
        next_commit_s = time.monotonic() + self._interval_s
        while True:
            with self._wake:
                wait_s = self._wait_s(next_commit_s)
                if wait_s > 0:
                    self._wake.wait(wait_s)
                is_stopping = self._is_stopping
                now_ns = self._clock()
                is_awaited = self._wake_at_ns is not None and now_ns >= self._wake_at_ns
                if is_awaited or window.is_set_back(self._state, now_ns, self.settings):
                    self._step(Batch(now_ns))
                is_due = self._is_urgent or is_stopping or time.monotonic() >= next_commit_s
                pending = self._committer.take(self._state) if is_due else None
                self._is_urgent = self._is_urgent and not is_due
                gauges = self._announcer.gauges(self._state, self.settings) if is_due else ()
                n_asked = self._n_asked
            began_s = time.monotonic()
            if pending is not None:
                try:
                    self._committer.commit(pending)
                    self.trouble = ""
                    _LOG.debug(
                        "committed %d agents and hosts, %d alerts, %d events in %.1f ms",
                        len(pending.commit.partitions), len(pending.commit.alerts), len(pending.commit.events),
                        (time.monotonic() - began_s) * 1e3,
                    )  # fmt: skip
                except StoreError as error:
                    # kept in memory and written with the next commit; the database may be back by then
                    self.trouble = str(error)
                    _LOG.error("could not commit, will try again: %s", error)
                    with self._lock:
                        self._committer.give_back(pending)
            if is_due and self._is_settings_unsaved:
                with self._settings_lock:
                    self._save_settings()
            if is_due:
                ended_s = time.monotonic()
                next_commit_s = ended_s + max(self._interval_s, _COMMIT_SHARE * (ended_s - began_s))
                with self._lock:
                    self._last_commit_s = ended_s - began_s
                    self._n_done = n_asked
                    self._committed.notify_all()
            self._announcer.send_gauges(gauges)
            self._announcer.retry()
            if is_stopping:
                return

    def _wait_s(self, next_commit_s: float) -> float:
        """Seconds until there is something to do. Called with the lock held."""
        if self._is_stopping or self._is_urgent:
            return 0.0
        wait_s = next_commit_s - time.monotonic()
        if self._wake_at_ns is not None:
            wait_s = min(wait_s, (self._wake_at_ns - self._clock()) / 1e9)
        return wait_s
