"""The two clocks every time of the SDK is read from, in one place so that a test can put its own in theirs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """Both clocks, in nanoseconds: ``unix_ns`` since the epoch, ``monotonic_ns`` since any fixed moment.

    Attributes instead of methods: the hot path calls what they hold, without a frame of ours in between.
    """

    __slots__ = ("monotonic_ns", "unix_ns")

    def __init__(
        self, unix_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self.unix_ns = unix_ns
        self.monotonic_ns = monotonic_ns


clock = Clock()
"""What the SDK reads: ``clock.unix_ns()``, ``clock.monotonic_ns()``. The object stays the same, so it may be imported
by name; its attributes must be looked up at each reading, or a module would keep the real clocks in a test."""


@contextmanager
def use(other: Clock) -> Iterator[None]:
    """Read the clocks of ``other`` in this whole process until the end, then the earlier ones again."""
    earlier = clock.unix_ns, clock.monotonic_ns
    clock.unix_ns, clock.monotonic_ns = other.unix_ns, other.monotonic_ns
    try:
        yield
    finally:
        clock.unix_ns, clock.monotonic_ns = earlier
