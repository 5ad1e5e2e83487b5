"""Ending signals side by side under one deadline, even while the interpreter exits.

Plain shutdown of the OpenTelemetry SDK waits for each signal in turn, for spans up to 30 s whatever the caller wants.
Here every signal has a parked daemon thread that does the waiting; the caller leaves at the deadline. The threads are
started early because an exiting interpreter starts no more of them.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from bmad_otel._providers import Signal

_logger = logging.getLogger("bmad_otel")


class _Job:
    """A call to make on the signal's thread, and how it went: ``ok`` is None until it has ended."""

    def __init__(self, work: Callable[[], bool | None]) -> None:
        self._work = work
        self.ended = threading.Event()
        self.ok: bool | None = None

    def run(self) -> None:
        try:
            self.ok = self._work() is not False
        except Exception as error:  # noqa: BLE001 - exporters and providers raise what they like
            self.ok = False
            _logger.warning("bmad_otel: flushing failed: %s", error)
        finally:
            self.ended.set()


class Closer:
    """One signal and the thread that ends it."""

    def __init__(self, signal: Signal) -> None:
        self.signal = signal
        self.start()

    def start(self) -> None:
        """Start the thread; again in a forked child, which has none."""
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=f"bmad-otel-{self.signal.name}", daemon=True).start()

    def submit(self, work: Callable[[], bool | None]) -> _Job:
        """Have ``work`` done on the thread, after what is already waiting."""
        job = _Job(work)
        self._jobs.put(job)
        return job

    def _work(self) -> None:
        jobs = self._jobs
        while True:
            jobs.get().run()


def flush_all(closers: Sequence[Closer], timeout_s: float) -> bool:
    """Flush every signal, all at once; True if each was done within ``timeout_s``."""
    return _all([(closer, closer.signal.flush) for closer in closers], timeout_s)


def close_all(closers: Sequence[Closer], timeout_s: float) -> bool:
    """Flush and end every signal, all at once; True if each was done within ``timeout_s``."""
    return _all([(closer, closer.signal.close) for closer in closers], timeout_s)


def _all(work: Sequence[tuple[Closer, Callable[[], bool | None]]], timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    jobs = [(closer.signal.name, closer.submit(task)) for closer, task in work]
    late = [name for name, job in jobs if not job.ended.wait(max(0.0, deadline_s - time.monotonic()))]
    if late:
        _logger.warning(
            "bmad_otel: %s not delivered within %.1f s; what was still queued is lost if the program ends now",
            " and ".join(late),
            timeout_s,
        )
    return all(job.ok is True for _, job in jobs)
