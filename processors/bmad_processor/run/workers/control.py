"""What supervisor and worker say to each other: JSON objects over one channel, questions with a number to answer to."""

from __future__ import annotations

import itertools
import json
import threading
import time
from typing import Any, Final

from .channel import Channel, Kind, frame

# From supervisor to worker, under the key "do":
PEER: Final = "peer"
"""A connection to worker ``worker`` comes with this."""
LISTEN: Final = "listen"
COMMIT: Final = "commit"
"""Answered when everything acknowledged before is committed: mark ``mark``, within ``within_s``."""
STATUS: Final = "status"
HEALTH: Final = "health"
"""As `self_telemetry.Health.troubles`, a list for each."""
PROFILES: Final = "profiles"
"""Judge by the profiles of ``settings`` (`store.settings_codec`) from now on."""
RELOAD: Final = "reload"
"""Run by the configuration of the CONFIG frame behind this from now on. The answer is why not, or empty."""
STOP: Final = "stop"
"""End within ``within_s``."""

# From worker to supervisor, under the key "is":
PREPARED: Final = "prepared"
"""Has its part of the store and all that it needs, and does not listen yet."""
LISTENING: Final = "listening"
FAILED: Final = "failed"
"""Could not start, ``why``, or the collector cannot run with what it was given; it ends."""
ANSWER: Final = "answer"
"""To question ``id``: ``value``, or ``error``."""


def message(**content: Any) -> bytes:
    """The frame of one message."""
    return frame(Kind.CONTROL, json.dumps(content).encode())


class Questions:
    """Questions that wait for their answers."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._answers: dict[int, dict[str, Any] | None] = {}
        self._is_ended = False

    def ask(self, do: str, timeout_s: float, *, behind: bytes = b"", **content: Any) -> Any:
        """The answer's value; None when there is none in time, or the other side has ended. ``behind`` is a frame that
        belongs to the question. Raises RuntimeError with what the other side complained about."""
        deadline = time.monotonic() + timeout_s
        with self._lock:
            number = next(self._numbers)
            self._answers[number] = None
        try:
            self._channel.send(message(do=do, id=number, **content) + behind)
            with self._lock:
                while (answer := self._answers[number]) is None and not self._is_ended:
                    left_s = deadline - time.monotonic()
                    if left_s <= 0:
                        return None
                    self._news.wait(left_s)
        except OSError:
            return None
        finally:
            with self._lock:
                del self._answers[number]
        if answer is not None and "error" in answer:
            raise RuntimeError(str(answer["error"]))
        return None if answer is None else answer.get("value")

    def answered(self, answer: dict[str, Any]) -> None:
        """An answer came; one that nobody waits for any more is left alone."""
        with self._lock:
            if answer["id"] in self._answers:
                self._answers[answer["id"]] = answer
                self._news.notify_all()

    def end(self) -> None:
        """The other side has ended: nobody waits any longer."""
        with self._lock:
            self._is_ended = True
            self._news.notify_all()
