"""One decoder for the three signals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from google.protobuf.message import DecodeError

from bmad_processor.errors import Malformed
from bmad_processor.model import Sample, Signal

from . import wire
from .metrics import MetricDecoder
from .model_calls import TokenSenders
from .resource import Senders
from .result import Decoded
from .spans import SpanDecoder


class Decoder:
    """Bytes of an OTLP request to samples. Keeps bounded caches; not thread-safe."""

    def __init__(self, *, interval_ns: int) -> None:
        senders = Senders()
        self._token_senders = token_senders = TokenSenders()
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
                return count_logs(body)
            case _:
                assert_never(signal)

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


def count_logs(body: bytes) -> Decoded:
    """Checks a logs request and counts its records; the engine reads nothing in them."""
    try:
        request = wire.LogsRequest.FromString(body)
    except DecodeError as error:
        raise Malformed("body is not a valid ExportLogsServiceRequest") from error
    items = sum(len(scope.log_records) for resource in request.resource_logs for scope in resource.scope_logs)
    return Decoded(items, forward=body)
