"""What all receivers of a collector share: one decoder, and what it has read and the engine does not have yet.

Stepping the engine costs more than reading a small request, and no more for many requests together. So what is read
is held for at most `HOLD_S`, or until it is `MAX_HELD` spans, and then handed over as one batch that arrives then.
For the engine it has arrived then: what depends on arrival (lateness, the early grid, when an agent was first and last
heard of) moves by that much, and nothing else does (``tests/laws/test_holding_laws.py``).
Metrics are not held: they are few, and hold many spans' worth already. Nothing runs while nothing comes: the thread
that hands over waits for the first request after the last time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from bmad_processor.agent_names import is_cleaned
from bmad_processor.decode import Decoder
from bmad_processor.model import Sample

_LOG: Final = logging.getLogger("bmad_otel.collector")

HOLD_S: Final = 0.05
"""A fifth of what may pass between a span and its alert; twenty steps a second cost nothing."""

_LATENESS_SHARE: Final = 0.05
"""What is held for long arrives late, and where nothing may be late nothing is held."""

MAX_HELD: Final = 8192
"""Spans and samples. About 1 MB, and a step of some ten milliseconds."""


class SampleSink(Protocol):
    """Where what is decoded goes: an engine, or the way to several."""

    def take(self, now_ns: int, samples: tuple[Sample, ...]) -> None:
        """Samples that arrived at ``now_ns``; called from several threads, by one at a time."""
        ...


class Intake:
    """Pipelines use `decoder` and `count` with `lock` held, and tell `held` afterwards. Anybody may call `flush`.

    ``host`` may be changed at any time; while it is None, what was read is dropped at the next flush.
    """

    def __init__(
        self,
        host: SampleSink | None,
        *,
        interval_ns: int,
        max_agents: int = 10_000,
        lateness_ns: int | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """Of the engine's ``lateness_ns`` at most a twentieth is used up by holding; None: as much as is liked."""
        self._share_s = _share_of(lateness_ns)
        self.host = host
        self.lock = threading.Lock()
        """Of the decoder and the counters. Decoding holds the interpreter lock anyway."""
        self.decoder = Decoder(interval_ns=interval_ns, max_agents=max_agents)
        self._made_for = (interval_ns, max_agents)
        self._clock = clock
        self._counters: dict[str, int] = {}
        self._handing_over = threading.Lock()  # batches reach the engine in the order in which they came
        self._holds_some = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def count(self, name: str, n: int) -> None:
        """Adds to a counter. With `lock` held."""
        self._counters[name] = self._counters.get(name, 0) + n

    def counters(self) -> dict[str, int]:
        """A copy, in order of names: of everything that was read up to now."""
        self.flush()
        with self.lock:
            return dict(sorted(self._counters.items()))

    def held(self, *, at_once: bool) -> None:
        """After something was kept: sees to it that the engine gets it soon, or now. Without `lock`."""
        if at_once or not self._share_s or self.decoder.n_waiting >= MAX_HELD:
            self.flush()
        elif not self._holds_some.is_set():
            if self._thread is None:
                self._start()
            self._holds_some.set()

    def flush(self) -> None:
        """Hands over what is held. Afterwards the engine has everything that was acknowledged before the call."""
        with self._handing_over:
            with self.lock:
                samples = self.decoder.take()
                host = self.host
                if n_cleaned := sum([is_cleaned(sample.key.name) for sample in samples]):
                    self.count("cleaned_agent_names", n_cleaned)
            if host is None or not samples:
                return
            try:
                host.take(self._clock(), samples)
            except Exception:  # noqa: BLE001 - a bug of ours is nobody else's
                # whose spans they were has his acknowledgement, and those of the next requests are none the worse
                _LOG.exception("internal error: %d samples were not judged", len(samples))

    def change(self, *, interval_ns: int, max_agents: int, lateness_ns: int | None) -> None:
        """As made with these from now on. Called while no request is inside."""
        self._share_s = _share_of(lateness_ns)
        if self._made_for == (interval_ns, max_agents):
            return
        self.flush()
        with self.lock:
            self._made_for = (interval_ns, max_agents)
            self.decoder = Decoder(interval_ns=interval_ns, max_agents=max_agents)

    def new_token_senders(self) -> list[tuple[str, str]]:
        """As `Decoder.new_token_senders`."""
        with self.lock:
            return self.decoder.new_token_senders()

    def all_token_senders(self) -> list[tuple[str, str]]:
        """As `Decoder.all_token_senders`."""
        with self.lock:
            return self.decoder.all_token_senders()

    def told_token_senders(self, senders: Iterable[tuple[str, str]], time_ns: int) -> list[Sample]:
        """As `Decoder.told_token_senders`."""
        with self.lock:
            return self.decoder.told_token_senders(senders, time_ns)

    def shed(self) -> None:
        """Empties the decoder's caches, for want of memory. What is held goes to the engine first."""
        self.flush()
        with self.lock:
            if not self.decoder.n_waiting:
                interval_ns, max_agents = self._made_for
                self.decoder = Decoder(interval_ns=interval_ns, max_agents=max_agents)

    def stop(self) -> None:
        """Hands over what is held, when no more comes. Safe to call twice."""
        self._stopping.set()
        self._holds_some.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _start(self) -> None:
        with self.lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="bmad-intake", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._holds_some.wait()
            if self._stopping.wait(min(HOLD_S, self._share_s)):
                return
            self._holds_some.clear()  # before the flush: what comes from now on is of the next time
            self.flush()


def _share_of(lateness_ns: int | None) -> float:
    return HOLD_S if lateness_ns is None else lateness_ns / 1e9 * _LATENESS_SHARE
