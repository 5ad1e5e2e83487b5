"""Tells callbacks of alerts, in a thread of its own: a slow or failing one holds up nothing but itself."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from bmad_otel import _guard
from bmad_otel.monitor._types import PerformanceAlert

Callback = Callable[[PerformanceAlert], Any]

MAX_WAITING: Final = 1000
"""Calls that wait; the oldest is dropped for the next."""

TIMEOUT_S: Final = 10.0
"""A callback that takes longer is left to itself, and the calls that wait get another thread."""


class Callbacks:
    """The callbacks of one monitor and the calls that wait."""

    def __init__(self, *, timeout_s: float = TIMEOUT_S) -> None:
        self.callbacks: list[Callback] = []
        self.dropped: dict[str, int] = {}
        """``callback_alerts``: a callback was not told of an alert; ``callback_errors``: it raised;
        ``callback_timeouts``: it took too long."""
        self._timeout_s = timeout_s
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Callback, PerformanceAlert]] = deque()
        self._worker: object = None
        """Whoever works now; one that finds another here has been left to itself."""
        self._busy: tuple[Callback, float] | None = None
        self._stuck: list[Callback] = []
        """Those left to themselves; they are told nothing until they return."""

    def after_fork_in_child(self) -> None:
        """What waits is the parent's to tell; its thread does not exist here."""
        self._begin_anew()

    def tell(self, alert: PerformanceAlert) -> None:
        """Tell every callback of ``alert``, soon."""
        with self._changed:
            for callback in self.callbacks:
                if len(self._waiting) >= MAX_WAITING:
                    self._waiting.popleft()
                    self._count("callback_alerts")
                self._waiting.append((callback, alert))
            self._look_after()

    def watch(self) -> None:
        """Give the calls that wait another thread if the present one is stuck. Called now and then."""
        with self._changed:
            self._look_after()

    def wait(self, timeout_s: float) -> bool:
        """Whether nothing waits and nobody is being called, now or within ``timeout_s`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and self._worker is None, timeout_s)

    def _look_after(self) -> None:
        """Called with the lock held."""
        if self._busy is not None and time.monotonic() - self._busy[1] > self._timeout_s:
            self._stuck.append(self._busy[0])
            self._count("callback_timeouts")
            _guard.warn_once(
                "alert callback",
                "bmad_otel: an alert callback takes longer than %g s; it is told nothing more until it returns",
                self._timeout_s,
            )
            self._worker = self._busy = None
        if self._worker is None and self._waiting:
            me = self._worker = object()
            threading.Thread(target=self._work, args=(me,), name="bmad-alert-callbacks", daemon=True).start()

    def _work(self, me: object) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    # a thread for each burst of alerts: they are rare, and no thread waits when a program ends
                    self._worker = None
                    self._changed.notify_all()
                    return
                callback, alert = self._waiting.popleft()
                if callback in self._stuck:
                    self._count("callback_alerts")
                    continue
                self._busy = callback, time.monotonic()
            self._call(callback, alert)
            with self._changed:
                if self._worker is not me:
                    self._stuck.remove(callback)
                    return
                self._busy = None

    def _call(self, callback: Callback, alert: PerformanceAlert) -> None:
        try:
            result = callback(alert)
            if inspect.isawaitable(result):
                asyncio.run(_finish(result, self._timeout_s))
        except BaseException as error:  # noqa: BLE001 - also a SystemExit of a callback ends no thread of ours
            self._count("callback_errors")
            if isinstance(error, Exception):
                _guard.report("calling an alert callback", error)

    def _count(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


async def _finish(result: Awaitable[Any], timeout_s: float) -> None:
    await asyncio.wait_for(result, timeout_s)
