"""One decoder for the three signals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, assert_never

from bmad_processor.model import Sample, Signal, TokenSample

from .collect import Collection
from .logs import decode_logs
from .metrics import MetricDecoder
from .model_calls import TokenSenders
from .resource import Senders
from .result import Decoded
from .spans import SpanDecoder
from .strindex import WARNING, has_indexed_values

MIN_BUDGET_BYTES: Final = 16 * 2**20
AGENT_BYTES: Final = 1536
"""What is remembered of spans, per generation: for an agent two kinds of span of 300 bytes, and what a dict needs."""


class Decoder:
    """Bytes of OTLP requests to samples. Keeps bounded caches; not thread-safe.

    `decode` does one request. Many requests are cheaper together: `collect` each, `keep` what is taken and `undo` the
    others, and `take` the samples of all of them now and then.
    """

    def __init__(self, *, interval_ns: int, max_agents: int = 10_000) -> None:
        """So many agents are known without being understood anew; more are, and cost more."""
        self._senders = senders = Senders()
        self._token_senders = TokenSenders()
        self._collection = Collection()
        self._spans = SpanDecoder(
            self._collection,
            interval_ns=interval_ns,
            senders=senders,
            budget_bytes=max(MIN_BUDGET_BYTES, max_agents * AGENT_BYTES),
        )
        self._metrics = MetricDecoder(senders=senders, token_senders=self._token_senders)
        self._tokens: list[TokenSample] = []
        self._ready: list[Sample] = []

    def decode(self, signal: Signal, body: bytes) -> Decoded:
        """Raises Malformed when the bytes are not a request of that signal. An empty body is an empty request."""
        decoded = self.collect(signal, body)
        self.keep(decoded)
        return replace(decoded, samples=self.take())

    def collect(self, signal: Signal, body: bytes, *, aside: bool = False) -> Decoded:
        """Reads a request. `keep` or `undo` it before the next, unless it is set ``aside``. Raises Malformed."""
        if aside and signal is Signal.TRACES:
            self._collection.is_apart = True
            try:
                decoded = replace(self._spans.collect(body), parts=self._collection.set_aside())
                return self._judged(signal, body, decoded, self._spans.tell_index())
            finally:
                self._collection.is_apart = False
        match signal:
            case Signal.TRACES:
                decoded = self._spans.collect(body)
                has_index = self._spans.tell_index()
            case Signal.METRICS:
                decoded = self._metrics.decode(body)
                has_index = self._metrics.tell_index()
            case Signal.LOGS:
                decoded, has_index = decode_logs(body)
            case _:
                assert_never(signal)
        return self._judged(signal, body, decoded, has_index)

    def _judged(self, signal: Signal, body: bytes, decoded: Decoded, has_index: bool) -> Decoded:
        if self._senders.tell_index() or has_index or has_indexed_values(signal, body):
            return with_warning(decoded)
        return decoded

    def new_token_senders(self) -> list[tuple[str, str]]:
        """Senders, by namespace and instance, whose token metric was found since the last call: what other decoders
        that get requests of the same senders have to be told."""
        return self._token_senders.take_news()

    def all_token_senders(self) -> list[tuple[str, str]]:
        """All of them."""
        return self._token_senders.with_metric()

    def told_token_senders(self, senders: Iterable[tuple[str, str]], time_ns: int) -> list[Sample]:
        """What another decoder found. Gives what is to be told to the engines for it."""
        return [sample for who in senders for sample in self._token_senders.told(who, time_ns)]

    def keep(self, decoded: Decoded) -> None:
        """The request is taken. To be called at most once for each."""
        if decoded.parts:
            self._collection.put_back(decoded.parts)
        else:
            self._collection.keep()
        for sender, counts in decoded.calls:
            self._tokens += self._token_senders.from_spans(sender, counts.samples(sender))
        if decoded.samples:
            self._finish_spans()  # what came first is told first
            self._ready += decoded.samples

    def undo(self) -> None:
        """The request collected last is not taken, and was not set aside."""
        self._collection.undo()

    @property
    def n_waiting(self) -> int:
        """Spans and samples kept and not taken."""
        return self._collection.n_spans + len(self._tokens) + len(self._ready)

    def take(self) -> tuple[Sample, ...]:
        """The samples of everything that was kept since the last time, in the order in which it was."""
        self._finish_spans()
        ready, self._ready = self._ready, []
        return tuple(ready)

    def _finish_spans(self) -> None:
        self._ready += self._collection.take()
        self._ready += self._tokens
        self._tokens.clear()


def with_warning(decoded: Decoded) -> Decoded:
    """For a request with strings by index: nothing is rejected for them."""
    said = f"{decoded.message}; {WARNING}" if decoded.message else WARNING
    return replace(decoded, message=said, dropped={**decoded.dropped, "requests_with_indexed_strings": 1})
