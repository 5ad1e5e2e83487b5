"""Runs a command as if it had been typed in this one's place: its input and output, its signals, its exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

_FORWARDED: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)

_FROM_KEYBOARD: Final = (signal.SIGINT, signal.SIGQUIT)

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
"""As shells have it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """``code`` is what a shell would say: 128 and the number of the signal for a command that one has ended."""

    code: int
    was_asked_to: bool
    """A signal that ends programs has come in the meantime."""


def run_command(command: Sequence[str], environ: Mapping[str, str], complain: Callable[[str], None]) -> Ended:
    """Runs ``command`` to its end. A command that cannot be run is told to ``complain`` and has a shell's code."""
    signals = _Signals()
    with _handled(signals.take):
        try:
            child = subprocess.Popen(list(command), env=dict(environ))  # noqa: S603  the user's own command
        except FileNotFoundError:
            complain(f"{command[0]}: command not found")
            return Ended(NOT_FOUND, was_asked_to=False)
        except OSError as error:
            complain(f"{command[0]}: {error.strerror}")
            return Ended(NOT_EXECUTABLE, was_asked_to=False)
        signals.begin(child)
        try:
            code = child.wait()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    return Ended(code if code >= 0 else 128 - code, was_asked_to=signals.was_asked_to_end)


class _Signals:
    """Hands signals on; those that come before the command has begun follow when it has."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []
        self.was_asked_to_end = False

    def begin(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        while self._early:
            child.send_signal(self._early.pop(0))

    def take(self, number: int, _: FrameType | None) -> None:
        self.was_asked_to_end = self.was_asked_to_end or number in _ENDING
        if self._child is None:
            self._early.append(number)
        elif number not in _FROM_KEYBOARD or not _is_in_foreground():
            # the keyboard's go to everybody in the foreground: the command has got them already
            self._child.send_signal(number)


def _is_in_foreground() -> bool:
    """Whether this process, and so the command, is what the keyboard of a terminal talks to."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Those signals go to ``handler`` that this process was not started to ignore (as by nohup)."""
    before = {n: signal.getsignal(n) for n in _FORWARDED if signal.getsignal(n) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            with contextlib.suppress(TypeError):  # None: installed by something else than Python
                signal.signal(number, previous)
