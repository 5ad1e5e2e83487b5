"""Keeps N workers running: starts them, connects each with each, starts a dead one again, stops them all."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from bmad_processor.errors import StartError

from .channel import ChannelError
from .child import Child
from .control import COMMIT, FAILED, LISTEN, LISTENING, PEER, PREPARED, RELOAD, STOP

_LOG: Final = logging.getLogger("bmad_otel.collector")

_START_S: Final = 60.0
"""Half a second on an idle machine; reading a large store on a busy one takes longer."""

_QUICK_S: Final = 10.0
"""A worker that ends sooner after its start has not been of use."""

_MAX_QUICK: Final = 5
"""So many in a row, and starting it again does not help."""

_BACKOFF_S: Final = (0.0, 0.2, 0.5, 1.0, 2.0)
"""Before the first, second ... start after a quick death."""

_EXIT_S: Final = 15.0
"""A worker whose connection has ended is on its way out."""

_KILL_AFTER_S: Final = 1.0
"""A worker gets so much more than it was told to take; who stops a collector waits for a little longer than that."""

_CATCH_UP_S: Final = 15.0
"""For what has changed while a worker was starting."""


class _Place:
    """One worker number and who has it."""

    def __init__(self, worker: int) -> None:
        self.worker = worker
        self.child: Child | None = None
        self.is_prepared = False
        self.is_listening = False
        self.told = b""
        """What the one that runs was told first."""
        self.n_starts = 0
        self.last_end = ""


class Supervisor:
    """Runs a worker for each of ``starts``, the frames that they are told first. ``keeps`` are descriptors that workers
    hold while they run. ``on_give_up`` is called once when a worker cannot be kept running.
    """

    def __init__(self, starts: Sequence[bytes], *, keeps: Sequence[int], on_give_up: Callable[[], None]) -> None:
        self._starts = list(starts)
        self._keeps = tuple(keeps)
        self._on_give_up = on_give_up
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._places = [_Place(worker) for worker in range(len(starts))]
        self._complaint = ""
        self._is_open = False
        self._is_stopping = threading.Event()
        self._stop_at_s = 0.0
        self._threads = [
            threading.Thread(target=self._keep, args=(place,), name=f"bmad-worker-{place.worker}", daemon=True)
            for place in self._places
        ]
        self._pool = ThreadPoolExecutor(4 * len(starts), thread_name_prefix="bmad-ask")
        self._marks = threading.Condition()
        self._n_begun = self._n_ended = 0
        self._is_asking = False
        self._is_complete = False

    # Life -------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Returns when all of them listen. Raises StartError with what the first one complained about."""
        for thread in self._threads:
            thread.start()
        self._await("is_prepared")
        with self._lock:
            self._is_open = True
            children = [place.child for place in self._places]
        for child in children:
            if child is not None:
                child.tell(LISTEN)
        self._await("is_listening")

    def _await(self, what: str) -> None:
        with self._lock:
            is_settled = self._news.wait_for(
                lambda: self._complaint or all(getattr(place, what) for place in self._places), _START_S
            )
            if self._complaint:
                raise StartError(self._complaint)
            if not is_settled:
                raise StartError(f"workers did not start within {_START_S:g} s")

    def stop(self, timeout_s: float) -> None:
        """Asks all of them to end within ``timeout_s``; then kills. Safe to call twice, and when `start` failed."""
        with self._lock:
            self._stop_at_s = self._stop_at_s or time.monotonic() + timeout_s + _KILL_AFTER_S
            self._is_stopping.set()
            children = [place.child for place in self._places if place.child is not None]
        for child in children:
            child.tell(STOP, within_s=timeout_s)
        for thread in self._threads:
            if thread.ident is None:
                continue
            thread.join(max(0.0, self._stop_at_s - time.monotonic()))
            if thread.is_alive():
                self._kill_all()
                thread.join()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _kill_all(self) -> None:
        with self._lock:
            children = [place.child for place in self._places if place.child is not None]
        for child in children:
            _LOG.error("worker %d has not ended in time and is killed", child.worker)
            child.kill()

    def replace_starts(self, starts: Sequence[bytes]) -> None:
        """What workers that are started from now on are told first."""
        with self._lock:
            self._starts = list(starts)

    # Questions --------------------------------------------------------------------------------------------------------

    def ask_all(
        self, do: str, timeout_s: float, *, behind: Sequence[bytes] | None = None, **content: Any
    ) -> dict[int, Any]:
        """The answer of every worker; None for one that has none in time or does not run. ``behind`` is a frame for
        each of them that belongs to the question."""
        with self._lock:
            children = {place.worker: place.child for place in self._places if place.is_prepared and place.child}
        asked = {
            worker: self._pool.submit(
                child.questions.ask, do, timeout_s, behind=b"" if behind is None else behind[worker], **content
            )
            for worker, child in children.items()
        }
        return dict.fromkeys(range(len(self._places))) | {worker: answer.result() for worker, answer in asked.items()}

    def commit_now(self, timeout_s: float) -> bool:
        """Waits until all that was acknowledged before is committed by the worker that owns it; False when that takes
        longer, or a worker does not run. Questions that come together share a round.
        """
        deadline = time.monotonic() + timeout_s
        with self._marks:
            wanted = self._n_begun + 1  # the round that runs now, if any, began before this question
            while self._n_ended < wanted:
                left_s = deadline - time.monotonic()
                if left_s <= 0 or self._is_stopping.is_set():
                    return False
                if self._is_asking:
                    self._marks.wait(left_s)
                    continue
                self._is_asking = True
                self._n_begun += 1
                self._marks.release()
                try:
                    answers = self.ask_all(COMMIT, left_s, mark=self._n_begun, within_s=left_s)
                finally:
                    self._marks.acquire()
                    self._is_asking = False
                    self._is_complete = all(answer is True for answer in answers.values())
                    self._n_ended = self._n_begun
                    self._marks.notify_all()
            return self._is_complete

    def reload(self, starts: Sequence[bytes], timeout_s: float) -> str:
        """All workers run by these from now on, those that are started later included; why not, or empty. Then they run
        by what they ran by before.
        """
        with self._lock:
            if not self._news.wait_for(lambda: all(place.is_listening for place in self._places), timeout_s):
                return "a worker is being started again"
            before, self._starts = self._starts, list(starts)
        answers = self.ask_all(RELOAD, timeout_s, behind=starts)
        why = next((answer for answer in answers.values() if answer), "")
        if why:
            self.replace_starts(before)
            self.ask_all(RELOAD, timeout_s, behind=before)
        return str(why)

    def is_ready(self) -> bool:
        """Whether every worker listens."""
        with self._lock:
            return all(place.is_listening for place in self._places) and not self._is_stopping.is_set()

    def workers(self) -> list[dict[str, Any]]:
        """Number, process, whether it listens, how often it was started again and how it ended last."""
        with self._lock:
            return [
                {
                    "worker": place.worker,
                    "pid": None if place.child is None else place.child.pid,
                    "is_listening": place.is_listening,
                    "restarts": max(0, place.n_starts - 1),
                    "last_end": place.last_end,
                }
                for place in self._places
            ]

    # One worker -------------------------------------------------------------------------------------------------------

    def _keep(self, place: _Place) -> None:
        """Runs in a thread of its own: worker after worker of one number."""
        n_quick = 0
        while not self._is_stopping.is_set():
            began_s = time.monotonic()
            why = self._run(place)
            if self._is_stopping.is_set():
                return
            lived_s = time.monotonic() - began_s
            n_quick = n_quick + 1 if lived_s < _QUICK_S else 1
            with self._lock:
                was_open = self._is_open
                if not was_open:
                    self._complaint = self._complaint or why
                    self._news.notify_all()
                    return
            _LOG.error("worker %d has ended after %.1f s: %s", place.worker, lived_s, why)
            if n_quick >= _MAX_QUICK:
                _LOG.critical(
                    "worker %d has ended %d times in a row within %g s of its start: the collector ends",
                    place.worker, n_quick, _QUICK_S,
                )  # fmt: skip
                self._on_give_up()
                return
            self._is_stopping.wait(_BACKOFF_S[n_quick - 1])

    def _run(self, place: _Place) -> str:
        """One worker from its start to its end; how it ended, in words."""
        complaint = ""
        with self._lock:
            if self._is_stopping.is_set():
                return ""
            try:
                place.told = self._starts[place.worker]
                child = place.child = Child(place.worker, place.told, self._keeps)
            except OSError as error:
                return f"it cannot be started: {error.strerror}"
            place.n_starts += 1
        try:
            while (said := child.next_message()) is not None:
                if said["is"] == PREPARED:
                    self._connect(place, child)
                elif said["is"] == LISTENING:
                    with self._lock:
                        place.is_listening = True
                        self._news.notify_all()
                    if place.n_starts > 1:
                        _LOG.info("worker %d runs again", place.worker)
                elif said["is"] == FAILED:
                    complaint = str(said["why"])
        except ChannelError as error:
            complaint = str(error)
            child.kill()
        with self._lock:
            place.is_prepared = place.is_listening = False
        left_s = self._stop_at_s - time.monotonic() if self._is_stopping.is_set() else _EXIT_S
        code = child.wait(max(0.0, left_s))
        with self._lock:
            place.child = None
            place.last_end = complaint or _words(code)
        return place.last_end

    def _connect(self, place: _Place, child: Child) -> None:
        """A worker is prepared: it gets a connection to every other one that is, and listens when all do."""
        with self._lock:
            for other in self._places:
                if other is not place and other.is_prepared and other.child is not None:
                    one, two = socket.socketpair()
                    with one, two:
                        child.tell(PEER, worker=other.worker, passed=one)
                        other.child.tell(PEER, worker=place.worker, passed=two)
            place.is_prepared = True
            if self._is_open:
                child.tell(LISTEN)
                if place.told != (now := self._starts[place.worker]):  # changed since it was started
                    place.told = now
                    self._pool.submit(child.questions.ask, RELOAD, _CATCH_UP_S, behind=now)
            self._news.notify_all()


def _words(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"
