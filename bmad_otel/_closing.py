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

from bmad_otel._delivery.ledger import ITEMS, Reason
from bmad_otel._providers import Signal

_logger = logging.getLogger("bmad_otel")

_RESERVED = 0.2
"""Share of the time for closing in which nothing is waited for any more: half of it for the disk, which takes 16 MiB in
a tenth of a second, half for a machine that is busy."""


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
            _logger.warning("bmad_otel: flushing or ending failed: %s", error)
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
    """Flush every signal, all at once; True if each was done within ``timeout_s``, and nothing was given up by it."""
    deadline_s = time.monotonic() + timeout_s
    lost_before = [_lost(closer.signal) for closer in closers]
    jobs = [closer.submit(closer.signal.flush) for closer in closers]
    are_done = all(job.ended.wait(max(0.0, deadline_s - time.monotonic())) for job in jobs)
    return are_done and all(job.ok for job in jobs) and [_lost(c.signal) for c in closers] == lost_before


def close_all(closers: Sequence[Closer], timeout_s: float) -> None:
    """Flush and end every signal, all at once, within ``timeout_s``; what was lost is counted and said once.

    Senders stop waiting for the receiver a little before the end, so that the rest can be put on the disk or counted.
    """
    deadline_s = time.monotonic() + timeout_s
    for closer in closers:
        if closer.signal.sender is not None:
            closer.signal.sender.close_by(deadline_s - _RESERVED * timeout_s)
    jobs = [closer.submit(closer.signal.close) for closer in closers]
    for job, closer in zip(jobs, closers, strict=True):
        is_late = not job.ended.wait(max(0.0, deadline_s - _RESERVED / 2 * timeout_s - time.monotonic()))
        if is_late and closer.signal.sender is not None:
            closer.signal.sender.stop()
    for job, closer in zip(jobs, closers, strict=True):
        if not job.ended.wait(max(0.0, deadline_s - time.monotonic())) and closer.signal.sender is not None:
            closer.signal.sender.ledger.drop(closer.signal.waiting(), Reason.SHUTDOWN_TIMEOUT)
    _say_losses([closer.signal for closer in closers], timeout_s)


def _lost(signal: Signal) -> int:
    ledger = None if signal.sender is None else signal.sender.ledger
    return 0 if ledger is None else ledger.spooled + sum(ledger.dropped().values())


def _say_losses(signals: Sequence[Signal], timeout_s: float) -> None:
    lost, kept = [], []
    for signal in signals:
        if signal.sender is None:
            continue
        ledger, items = signal.sender.ledger, ITEMS[signal.name]
        dropped = ledger.dropped()
        if dropped:
            lost.append(f"{items}: " + ", ".join(f"{count} {reason}" for reason, count in dropped.items()))
        if ledger.spooled:
            kept.append(f"{items}: {ledger.spooled}")
    if lost:
        _logger.warning("bmad_otel: dropped in this run, with %.1f s to end: %s", timeout_s, "; ".join(lost))
    if kept:
        _logger.info("bmad_otel: left on the disk in this run: %s", "; ".join(kept))
