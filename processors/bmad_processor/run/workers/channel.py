"""Frames over a socket pair between two processes of one run: version, kind, length, bytes, and perhaps a socket."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import deque
from enum import IntEnum
from typing import Final

VERSION: Final = 1
"""Of everything that goes between processes: a package that is upgraded while its collector runs must not start a
worker that understands something else."""

_HEAD: Final = struct.Struct("!BBI")

_MAX_BYTES: Final = 256 * 2**20
"""A longer frame is a mistake of ours; profiles of 10,000 agents are 20 MiB."""

_CHUNK: Final = 256 * 1024


class Kind(IntEnum):
    """What a frame holds."""

    CONTROL = 1
    """JSON; see `control`."""
    CONFIG = 2
    """The checked configuration, pickled, once from supervisor to worker, as `multiprocessing` would."""
    SAMPLES = 3
    """See `samples`."""
    MARK = 4
    """A number: everything that was acknowledged before that mark was set lies before this frame."""
    SENDERS = 5
    """Senders that have the token metric; see `decode.model_calls.TokenSenders`."""


class ChannelError(Exception):
    """The other side speaks another version."""


def frame(kind: Kind, data: bytes) -> bytes:
    """The bytes of one frame."""
    return _HEAD.pack(VERSION, kind, len(data)) + data


class Channel:
    """One end of a socket pair. Sending is thread-safe; one thread receives."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()
        self._buffer = bytearray()
        self._fds: deque[int] = deque()

    def send(self, data: bytes, passed: socket.socket | None = None) -> None:
        """One or several frames, whole or OSError, and then never anything again: half a frame cannot be continued. A
        socket that is ``passed`` arrives before their last byte."""
        with self._sending:
            try:
                if passed is not None:
                    n = socket.send_fds(self._sock, [data[:1]], [passed.fileno()])
                    data = data[n:]
                self._sock.sendall(data)
            except OSError:
                self.end()
                raise

    def receive(self) -> tuple[Kind, bytes] | None:
        """The next frame; None when the other side has ended. Raises ChannelError."""
        while True:
            if len(self._buffer) >= _HEAD.size:
                version, kind, length = _HEAD.unpack_from(self._buffer)
                if version != VERSION or length > _MAX_BYTES:
                    raise ChannelError(f"frame of version {version} with {length} bytes, expected version {VERSION}")
                end = _HEAD.size + length
                if len(self._buffer) >= end:
                    data = bytes(memoryview(self._buffer)[_HEAD.size : end])
                    del self._buffer[:end]
                    return Kind(kind), data
            try:
                read, fds, _, _ = socket.recv_fds(self._sock, _CHUNK, 4)
            except OSError:
                return None
            self._fds.extend(fds)
            if not read:
                return None
            self._buffer += read

    def take_socket(self) -> socket.socket:
        """The socket that came with the frame received last."""
        return socket.socket(fileno=self._fds.popleft())

    def end(self) -> None:
        """Both sides find that this connection has ended; safe to call twice."""
        with contextlib.suppress(OSError):  # ended by the other side already
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends it and gives the descriptor back, by the thread that receives; safe to call twice."""
        self.end()
        with self._sending:  # a descriptor in use must not become another file's
            self._sock.close()
        while self._fds:
            socket.close(self._fds.popleft())
