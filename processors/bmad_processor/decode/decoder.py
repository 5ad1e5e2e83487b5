"""One decoder for the three signals."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from bmad_processor.model import Signal

from .logs import decode_logs
from .metrics import MetricDecoder
from .model_calls import TokenSenders
from .resource import Senders
from .result import Decoded
from .spans import SpanDecoder
from .strindex import WARNING, has_indexed_values


class Decoder:
    """Bytes of an OTLP request to samples. Keeps bounded caches; not thread-safe."""

    def __init__(self, *, interval_ns: int) -> None:
        self._senders = senders = Senders()
        token_senders = TokenSenders()
        self._spans = SpanDecoder(interval_ns=interval_ns, senders=senders, token_senders=token_senders)
        self._metrics = MetricDecoder(senders=senders, token_senders=token_senders)

    def decode(self, signal: Signal, body: bytes) -> Decoded:
        """Raises Malformed when the bytes are not a request of that signal. An empty body is an empty request."""
        match signal:
            case Signal.TRACES:
                decoded = self._spans.decode(body)
                has_index = self._spans.tell_index()
            case Signal.METRICS:
                decoded = self._metrics.decode(body)
                has_index = self._metrics.tell_index()
            case Signal.LOGS:
                decoded, has_index = decode_logs(body)
            case _:
                assert_never(signal)
        if self._senders.tell_index() or has_index or has_indexed_values(signal, body):
            decoded = with_warning(decoded)
        return decoded


def with_warning(decoded: Decoded) -> Decoded:
    """For a request with strings by index: nothing is rejected for them."""
    said = f"{decoded.message}; {WARNING}" if decoded.message else WARNING
    return replace(decoded, message=said, dropped={**decoded.dropped, "requests_with_indexed_strings": 1})
