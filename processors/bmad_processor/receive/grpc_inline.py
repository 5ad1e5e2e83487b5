"""Unary calls are handled when their request is there: by the thread that receives, or by one of several workers.

grpcio's server hands each call to a pool of threads; the worker asks for the request, sleeps until the receiving thread
has it, and is woken. Two changes of thread under one interpreter lock cost more than reading the request: 220 us a call
against 135 us here, for requests of 50 kB and handlers that only answer. So the pool asks for the request itself
and runs the handler when it is there, in the receiving thread. An executor that merely runs what it is given would wait
in the receiving thread for that same thread.

A consumer that may wait for a disk gets workers. They are given calls whose request has arrived: grpcio's own would
each wait for the body of a call, so that a few senders that never send one would hold up everybody.

What it needs of grpcio's insides is checked first, and whatever is handed in that is not a unary call goes to a
worker thread as ever: with a grpcio whose insides are others, everything does.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from grpc import _server
from grpc._cython import cygrpc

_LOG: Final = logging.getLogger("bmad_otel.collector")


SLOW_S: Final = 0.25
"""A request that takes longer to arrive no longer counts as one of those: a slow sender must not hold up the others."""

MAX_RECEIVING: Final = 64
"""Slow ones included, while there is memory. Beyond it the slowest is cancelled when it has had its time."""

PATIENCE_S: Final = 10.0

_NEEDED: Final = (
    "_unary_response_in_pool", "_receive_message", "_is_rpc_state_active", "_abort", "_RECEIVE_MESSAGE_TOKEN",
    "_CLOSED", "_EMPTY_FLAGS", "_Context", "_status",
)  # fmt: skip


def is_possible() -> bool:
    """Whether this grpcio has the insides that are needed."""
    return hasattr(cygrpc, "ReceiveMessageOperation") and all(hasattr(_server, name) for name in _NEEDED)


class _Call:
    """A call whose request is asked for, or will be. As far as grpcio looks it is a future."""

    __slots__ = ("_done", "_work", "behavior", "deserializer", "event", "held_bytes", "serializer", "since_s", "state")

    def __init__(self, work: Callable[..., None], args: Any) -> None:
        """As `grpc.server` gives them to its pool: ``work`` runs the first of ``args`` with the others."""
        self._work = work
        _, self.event, self.state, self.behavior, _, self.deserializer, self.serializer = args
        self.since_s = 0.0
        self.held_bytes = 0
        """Of its request, once that is there."""
        self._done: Callable[[Any], None] | None = None

    def add_done_callback(self, done: Callable[[Any], None]) -> None:
        self._done = done

    def answer(self, request: bytes) -> None:
        """What grpcio does with a handler of bytes, without what it does for observers and interceptors: 15 us less."""
        event, state, deserializer, serializer = self.event, self.state, self.deserializer, self.serializer
        behavior = self.behavior
        if deserializer is None and serializer is None:
            try:
                response = behavior(request, _server._Context(event, state, None))
            except Exception as error:  # noqa: BLE001 - what it means to the client, grpcio knows

                def behavior(_: bytes, __: Any, error: Exception = error) -> bytes:
                    raise error
            else:
                _server._status(event, state, response)
                return
        self._work(_server._unary_response_in_pool, event, state, behavior, lambda: request, deserializer, serializer)

    def finish(self) -> None:
        if self._done is not None:
            self._done(self)


class CountingPool(ThreadPoolExecutor):
    """A pool for `grpc.server` that knows how many calls wait or are in work."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, thread_name_prefix="otlp-grpc")
        self._counted = threading.Lock()
        self._in_hand = 0

    @property
    def in_hand(self) -> int:
        """Calls given to it that have not ended, however they end."""
        return self._in_hand

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As of every pool."""
        future = super().submit(fn, *args, **kwargs)
        with self._counted:
            self._in_hand += 1
        future.add_done_callback(self._left)
        return future

    def _left(self, _: Future[Any]) -> None:
        with self._counted:
            self._in_hand -= 1


class ReceivingPool(CountingPool):
    """The pool that asks for requests itself. grpcio's own thread calls it, and without ``threads`` does the work."""

    def __init__(
        self,
        threads: int = 0,
        *,
        most: Callable[[int], int] = lambda _: 16,
        has_memory: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``most`` requests are received at once beside so many bytes of requests that are in work; the others wait in
        their senders, so what is in memory stays bounded.
        ``has_memory`` says whether another one may be beside those that are slow."""
        super().__init__(threads or 1)  # one is for what is not a unary call
        self._has_workers = threads > 0
        self._most = most
        self._has_memory = has_memory
        self._clock = clock
        self._lock = threading.Lock()
        self._receiving: dict[_Call, None] = {}
        """Oldest first."""
        self._waiting: deque[_Call] = deque()
        self._working = 0
        """Received, and with a worker or on the way to one."""
        self._held_bytes = 0
        """Of these."""
        self._timer: threading.Timer | None = None

    @property
    def in_hand(self) -> int:
        """See `CountingPool`."""
        # of a call with a worker the base class knows, too
        return len(self._waiting) + len(self._receiving) + self._in_hand

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Asks for the request of a unary call and comes back; runs anything else in the thread."""
        if len(args) != 7 or args[0] is not _server._unary_response_in_pool:
            return super().submit(fn, *args, **kwargs)
        call = _Call(fn, args)
        with self._lock:
            self._waiting.append(call)
        self._receive_next()
        return call  # type: ignore[return-value]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As of every pool; grpcio itself has ended all calls before."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
        super().shutdown(wait, cancel_futures=cancel_futures)

    def _receive_next(self) -> None:
        """Asks for the requests there is room for; looks again later while others wait."""
        now_s = self._clock()
        while True:
            with self._lock:
                if not self._waiting:
                    return
                if not self._has_room(now_s):
                    if self._timer is None:
                        self._timer = threading.Timer(SLOW_S, self._look_again)
                        self._timer.daemon = True
                        self._timer.start()
                    return
                call = self._waiting.popleft()
                call.since_s = now_s
                self._receiving[call] = None
            self._receive(call)

    def _look_again(self) -> None:
        with self._lock:
            self._timer = None
        self._receive_next()

    def _has_room(self, now_s: float) -> bool:
        receiving, most = self._receiving, self._most(self._held_bytes)
        if not most or (self._has_workers and self._working >= self._max_workers):
            return False
        if len(receiving) < most:
            return True
        if len(receiving) >= MAX_RECEIVING or not self._has_memory():
            oldest = next(iter(receiving), None)
            if oldest is not None and now_s - oldest.since_s > PATIENCE_S:
                oldest.event.call.cancel()
            return False
        return sum([now_s - call.since_s < SLOW_S for call in receiving]) < most

    def shed(self) -> None:
        """Cancels what is slow to arrive, for want of memory."""
        now_s = self._clock()
        with self._lock:
            slow = [call for call in self._receiving if now_s - call.since_s >= SLOW_S]
        for call in slow:
            call.event.call.cancel()

    def _receive(self, call: _Call) -> None:
        state = call.state
        take = _server._receive_message(state, call.event.call, call.deserializer)

        def received(event: Any) -> Any:
            is_with_worker = False
            try:
                try:
                    result = take(event)
                finally:
                    self._arrived(call)
                # without a request the call may end any moment, which only this thread knows: not for a worker
                if result[0] is None and not (self._has_workers and call.state.request is not None):
                    _handle(call)
                elif result[0] is None:
                    with contextlib.suppress(RuntimeError):  # shut down, and grpcio has ended the call
                        CountingPool.submit(self, self._work_off, call)
                        is_with_worker = True
                return result
            finally:
                if not is_with_worker:
                    self._done(call)

        with state.condition:
            if _server._is_rpc_state_active(state):
                call.event.call.start_server_batch((cygrpc.ReceiveMessageOperation(_server._EMPTY_FLAGS),), received)
                state.due.add(_server._RECEIVE_MESSAGE_TOKEN)
                return
        # given up by its sender while it waited: grpcio has ended it, and an event that ends it once more would end the
        # thread that receives
        with self._lock:
            del self._receiving[call]
        call.finish()

    def _work_off(self, call: _Call) -> None:
        try:
            _handle(call)
        finally:
            self._done(call)

    def _arrived(self, call: _Call) -> None:
        """In one step: there is no moment in which it counts neither as being received nor by its bytes."""
        request = call.state.request
        with self._lock:
            del self._receiving[call]
            self._working += 1
            call.held_bytes = len(request) if isinstance(request, bytes) else 0
            self._held_bytes += call.held_bytes

    def _done(self, call: _Call) -> None:
        with self._lock:
            self._working -= 1
            self._held_bytes -= call.held_bytes
        call.finish()
        self._receive_next()


def _handle(call: _Call) -> None:
    state = call.state
    request, state.request = state.request, None
    try:
        if request is not None:
            call.answer(request)
        elif state.client is _server._CLOSED:
            with state.condition:
                _server._abort(
                    state, call.event.call, cygrpc.StatusCode.unimplemented,
                    b"a unary call has exactly one request",
                )  # fmt: skip
    except Exception:  # noqa: BLE001 - the thread receives for everybody
        _LOG.exception("internal error while handling a call over gRPC")
