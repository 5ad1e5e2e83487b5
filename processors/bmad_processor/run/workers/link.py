"""From one worker to another: what is to be sent waits in a bounded buffer while the other is away or behind."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from .channel import Channel, ChannelError, Kind, frame

_LOG: Final = logging.getLogger("bmad_otel.collector")

MAX_BYTES: Final = 16 * 2**20
"""Samples of about 100,000 requests and agents: a worker is away for seconds."""

_PATIENCE_S: Final = 1.0
"""A worker that is there but behind holds its senders back so long, as a single engine does; then it drops."""


class Link:
    """The way to worker ``peer``. ``on_frame`` is called with what it sends, from a thread of this link."""

    def __init__(self, peer: int, on_frame: Callable[[int, Kind, bytes], None], on_change: Callable[[], None]) -> None:
        self.peer = peer
        self._on_frame = on_frame
        self._on_change = on_change
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._n_bytes = 0
        self._channel: Channel | None = None
        self._is_closed = False
        self._n_dropped = 0
        self._n_sent = 0
        self._sender = threading.Thread(target=self._send, name=f"bmad-to-worker-{peer}", daemon=True)
        self._sender.start()

    @property
    def is_connected(self) -> bool:
        """Whether the other worker is there."""
        with self._lock:
            return self._channel is not None

    def connect(self, channel: Channel) -> None:
        """A connection to the worker, which was started just now or anew."""
        with self._lock:
            old, self._channel = self._channel, channel
            self._wake.notify_all()
        if old is not None:
            old.end()
        threading.Thread(
            target=self._receive, args=(channel,), name=f"bmad-from-worker-{self.peer}", daemon=True
        ).start()

    def put(self, kind: Kind, data: bytes, *, n_samples: int = 0) -> None:
        """Sends a frame when its turn comes. Without room it waits for a worker that is there, then drops it."""
        message = frame(kind, data)
        deadline = time.monotonic() + _PATIENCE_S
        with self._lock:
            while self._n_bytes + len(message) > MAX_BYTES and n_samples:
                left_s = deadline - time.monotonic()
                if self._channel is None or self._is_closed or left_s <= 0:
                    self._n_dropped += n_samples
                    return
                self._room.wait(left_s)
            self._waiting.append((message, n_samples))
            self._n_bytes += len(message)
            self._wake.notify_all()

    def counters(self) -> tuple[int, int, int]:
        """Samples sent, dropped, and waiting."""
        with self._lock:
            return self._n_sent, self._n_dropped, sum(n for _, n in self._waiting)

    def close(self, timeout_s: float) -> None:
        """Ends connection and threads when all is sent, or after ``timeout_s``; what waits then is lost and counted."""
        with self._lock:
            self._room.wait_for(lambda: not self._waiting or self._channel is None, timeout_s)
            self._is_closed = True
            channel, self._channel = self._channel, None
            self._n_dropped += sum(n for _, n in self._waiting)
            self._waiting.clear()
            self._wake.notify_all()
            self._room.notify_all()
        if channel is not None:
            channel.end()
        self._sender.join()

    def _send(self) -> None:
        while True:
            with self._lock:
                self._wake.wait_for(lambda: self._is_closed or (self._channel is not None and self._waiting))
                if self._is_closed:
                    return
                channel, (message, n_samples) = self._channel, self._waiting[0]
                assert channel is not None
            try:
                channel.send(message)
            except OSError:
                # not whole at the other side, which uses no part of it: it goes to the next one of that number
                self._lost(channel)
                continue
            with self._lock:
                if not self._waiting:  # closed meanwhile
                    return
                self._waiting.popleft()
                self._n_bytes -= len(message)
                self._n_sent += n_samples
                self._room.notify_all()

    def _receive(self, channel: Channel) -> None:
        try:
            while (message := channel.receive()) is not None:
                self._on_frame(self.peer, *message)
        except ChannelError as error:
            _LOG.error("worker %d cannot be understood: %s", self.peer, error)
        except Exception:  # noqa: BLE001 - a thread has nobody above it, and the other worker is started anew
            _LOG.exception("what worker %d sent could not be used", self.peer)
        self._lost(channel)
        channel.close()

    def _lost(self, channel: Channel) -> None:
        channel.end()
        with self._lock:
            if self._channel is channel:
                self._channel = None
            self._room.notify_all()
        self._on_change()
