"""One decoder for the three signals."""

from __future__ import annotations

from typing import assert_never

from bmad_processor.model import Signal

from .logs import decode_logs
from .metrics import MetricDecoder
from .model_calls import TokenSenders
from .resource import Senders
from .result import Decoded
from .spans import SpanDecoder


class Decoder:
    """Bytes of an OTLP request to samples. Keeps bounded caches; not thread-safe."""

    def __init__(self, *, interval_ns: int) -> None:
        senders = Senders()
        token_senders = TokenSenders()
        self._spans = SpanDecoder(interval_ns=interval_ns, senders=senders, token_senders=token_senders)
        self._metrics = MetricDecoder(senders=senders, token_senders=token_senders)

    def decode(self, signal: Signal, body: bytes) -> Decoded:
        """Raises Malformed when the bytes are not a request of that signal. An empty body is an empty request."""
        match signal:
            case Signal.TRACES:
                return self._spans.decode(body)
            case Signal.METRICS:
                return self._metrics.decode(body)
            case Signal.LOGS:
                return decode_logs(body)
            case _:
                assert_never(signal)
