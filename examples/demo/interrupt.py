"""Ctrl-C, SIGTERM and a closed terminal as something the demo looks at, never as an exception from nowhere.

An exception raised by a signal handler can hit any line, the clean-up included. Here a signal only leaves a byte in a
pipe; every wait of the demo is `Interrupt.wait`, which ends at once when there is one.
"""

from __future__ import annotations

import os
import select
import signal
import time
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """The signals that ask the demo to end. `install` takes them over for the rest of the process."""

    def __init__(self) -> None:
        self.signal: int | None = None
        """The first one that came."""
        self._readable, self._writable = os.pipe()
        os.set_blocking(self._writable, False)

    def install(self) -> None:
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    @staticmethod
    def ignore() -> None:
        """From now on: all is done, and the interpreter, ending, would give the signals their deadly default back."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    @property
    def exit_code(self) -> int | None:
        """What a shell expects of a program that a signal ended: 130 for Ctrl-C. None: no signal came."""
        return None if self.signal is None else 128 + self.signal

    def wait(self, seconds: float) -> bool:
        """Waits; at most until a signal. Returns whether one has come, now or before."""
        if self.signal is None and seconds > 0:
            deadline = time.monotonic() + seconds
            while self.signal is None and (left := deadline - time.monotonic()) > 0:
                select.select([self._readable], [], [], left)
        return self.signal is not None

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal = number
            os.write(self._writable, b"!")
