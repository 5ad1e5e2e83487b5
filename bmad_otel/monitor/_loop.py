"""The thread of `start_monitoring`: collects shortly before each interval ends, judges when it has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from bmad_otel import _guard
from bmad_otel._clock import clock

COLLECT_AHEAD_S: Final = 0.1
"""Collecting takes milliseconds; what it finds must count for the interval that is about to end."""

STOP_TIMEOUT_S: Final = 2.0
"""How long `stop` waits for a collection that is under way. The thread ends a little later otherwise."""


class Loop:
    """One thread, until `stop`."""

    def __init__(self, interval_s: float, collect: Callable[[], None], judge: Callable[[], None]) -> None:
        self.interval_s = interval_s
        self._collect = collect
        self._judge = judge
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bmad-monitor", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it runs; in a forked child it does not."""
        return self._thread.is_alive() and not self._stopping.is_set()

    def stop(self) -> None:
        """End the thread. Safe to call twice, and from a callback."""
        self._stopping.set()
        if self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        while True:
            if self._stopping.wait(self._left_s() - COLLECT_AHEAD_S):
                return
            self._do(self._collect)
            if self._stopping.wait(COLLECT_AHEAD_S):
                return
            self._do(self._judge)

    def _left_s(self) -> float:
        """Until the interval ends, on the grid of the engine; the one after, if it ends too soon to collect for it."""
        interval_ns = round(self.interval_s * 1e9)
        left_s = (interval_ns - clock.unix_ns() % interval_ns) / 1e9
        return left_s if left_s > COLLECT_AHEAD_S else left_s + self.interval_s

    @staticmethod
    def _do(step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - monitoring goes on
            _guard.report("monitoring", error)
