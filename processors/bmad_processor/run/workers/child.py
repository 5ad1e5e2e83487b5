"""One worker process as its supervisor sees it: started, spoken to, waited for."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import IO, Any, Final

from .channel import Channel, ChannelError, Kind
from .control import ANSWER, Questions, message

_MODULE: Final = "bmad_processor.run.workers.worker"

_SEND_TIMEOUT: Final = struct.pack("@ll", 5, 0)
"""Seconds and microseconds in which a worker reads nothing at all."""

_KILL_S: Final = 5.0
"""After SIGKILL only the kernel is waited for."""


class Child:
    """A process that runs from construction on. ``start`` is the frame it is told first, ``keeps`` are descriptors that
    it holds until it ends."""

    def __init__(self, worker: int, start: bytes, keeps: Sequence[int]) -> None:
        self.worker = worker
        ours, theirs = socket.socketpair()
        # one that hangs must not hang whoever asks it something; without a connection it is replaced
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _SEND_TIMEOUT)
        with theirs:
            # -P: a module in the directory where the command was typed must not take the place of a library's. A
            # session of its own: the keyboard's signals are for the supervisor, which stops everybody in order.
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", _MODULE, str(theirs.fileno())],
                pass_fds=(theirs.fileno(), *keeps),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        self._channel = Channel(ours)
        self.questions = Questions(self._channel)
        # not inherited: this process may have put something of its own in the place of its streams (a bounded log)
        streams: tuple[tuple[IO[bytes] | None, Callable[[], Any]], ...] = (
            (self._process.stdout, lambda: sys.stdout),
            (self._process.stderr, lambda: sys.stderr),
        )
        self._relays = [
            threading.Thread(target=_relay, args=stream, name=f"bmad-worker-{worker}-output", daemon=True)
            for stream in streams
        ]
        for relay in self._relays:
            relay.start()
        with contextlib.suppress(OSError):  # ended already: `messages` says so
            self._channel.send(start)

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, do: str, *, passed: socket.socket | None = None, **content: Any) -> None:
        """One message, perhaps with a socket. A worker that has ended hears nothing."""
        with contextlib.suppress(OSError):
            self._channel.send(message(do=do, **content), passed)

    def next_message(self) -> dict[str, Any] | None:
        """The next one that is no answer; None when the worker has ended. Raises ChannelError."""
        while (received := self._channel.receive()) is not None:
            kind, data = received
            if kind is not Kind.CONTROL:
                raise ChannelError(f"a worker sends no {kind.name}")
            content: dict[str, Any] = json.loads(data)
            if content["is"] != ANSWER:
                return content
            self.questions.answered(content)
        return None

    def wait(self, timeout_s: float) -> int:
        """The exit code of the process, killed when it has not ended by itself in time; nothing of it is left then."""
        self.questions.end()
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.wait(_KILL_S)
        for relay in self._relays:
            relay.join(_KILL_S)
        self._channel.close()
        return code

    def kill(self) -> None:
        """At once."""
        self._process.kill()


def _relay(source: IO[bytes], target: Callable[[], Any]) -> None:
    """Lines of a worker become lines of this process."""
    with source:
        for line in source:
            # a stream that is closed, or a disk that is full, must not stop the worker that says something
            with contextlib.suppress(OSError, ValueError):
                stream = target()
                stream.write(line.decode("utf-8", "replace"))
                stream.flush()
