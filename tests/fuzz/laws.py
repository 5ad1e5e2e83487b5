"""What holds for every input, whoever made it up.

1. Nothing but a `Refused` is raised.
2. What opentelemetry-proto's own parser refuses is refused.
3. What is accepted has as many items as that parser finds, less those that were rejected; and what is passed on has
   exactly the others, byte for byte.
4. Time is bounded (the harness measures it) and memory flat.

Which items may be rejected is said a second time here, over the official classes.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bmad_processor.decode import Decoded, Decoder
from bmad_processor.errors import Malformed, Refused, TooLarge
from bmad_processor.model import Signal
from bmad_processor.receive import to_protobuf
from bmad_processor.receive.http_body import body_for

OFFICIAL: Final[dict[Signal, Any]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}

BODY_LIMIT: Final = 64 * 1024


class Broken(AssertionError):
    """A law does not hold."""


def items_of(signal: Signal, request: Any) -> list[Any]:
    """Spans, data points or log records of a request of the official class, in order."""
    match signal:
        case Signal.TRACES:
            return [span for r in request.resource_spans for scope in r.scope_spans for span in scope.spans]
        case Signal.LOGS:
            return [record for r in request.resource_logs for scope in r.scope_logs for record in scope.log_records]
        case _:
            points = []
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        kind = metric.WhichOneof("data")
                        points += getattr(metric, kind).data_points if kind else ()
            return points


def may_be_rejected(signal: Signal, item: Any) -> bool:
    """Whether nobody after us could use it."""
    match signal:
        case Signal.TRACES:
            return not (
                len(item.trace_id) == 16 and any(item.trace_id) and len(item.span_id) == 8 and any(item.span_id)
                and len(item.parent_span_id) in (0, 8)
            )  # fmt: skip
        case Signal.LOGS:
            return not (len(item.trace_id) in (0, 16) and len(item.span_id) in (0, 8))
        case _:
            return _is_bad_point(item)


def _is_bad_point(point: Any) -> bool:
    fields = point.DESCRIPTOR.fields_by_name
    for exemplar in point.exemplars if "exemplars" in fields else ():
        if len(exemplar.trace_id) not in (0, 16) or len(exemplar.span_id) not in (0, 8):
            return True
    if "explicit_bounds" not in fields:
        return False
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    has_buckets = bool(bounds or counts)
    return has_buckets and (len(counts) != len(bounds) + 1 or not all(low < high for low, high in pairwise(bounds)))


class Laws:
    """With one decoder for all inputs: what an odd request leaves in its caches must not hurt the next one."""

    def __init__(self) -> None:
        self._decoder = Decoder(interval_ns=5_000_000_000)
        self.accepted = self.refused = 0

    def request(self, signal: Signal, body: bytes) -> Decoded | None:
        """Holds a request in protobuf bytes against the laws; None when it was refused."""
        try:
            official = OFFICIAL[signal].FromString(body)
        except DecodeError:
            official = None
        try:
            decoded = self._decoder.decode(signal, body)
        except Malformed:
            self.refused += 1
            return None
        self.accepted += 1
        if official is None:
            raise Broken("it was accepted, although no protobuf parser would")
        self._hold(signal, body, official, decoded)
        return decoded

    def _hold(self, signal: Signal, body: bytes, official: Any, decoded: Decoded) -> None:
        items = items_of(signal, official)
        if decoded.items + decoded.rejected != len(items):
            raise Broken(f"{decoded.items} accepted and {decoded.rejected} rejected of {len(items)}")
        if not decoded.rejected:
            if decoded.forward != body and decoded.items:
                raise Broken("nothing was rejected, and yet it is not passed on as it came")
            if any(may_be_rejected(signal, item) for item in items):
                raise Broken("an item that nobody can use was accepted")
            return
        if not decoded.message:
            raise Broken("items were rejected without a reason")
        kept = [item.SerializeToString(deterministic=True) for item in items if not may_be_rejected(signal, item)]
        passed_on = items_of(signal, OFFICIAL[signal].FromString(decoded.forward))
        if [item.SerializeToString(deterministic=True) for item in passed_on] != kept:
            raise Broken("what is passed on is not what was sent, less the rejected items")

    def json(self, signal: Signal, body: bytes) -> None:
        """Holds a request in OTLP/JSON against the laws."""
        try:
            converted = to_protobuf(signal, body)
        except Malformed:
            self.refused += 1
            return
        # what the converter writes is protobuf; whether its items are any good is for the decoder to say
        OFFICIAL[signal].FromString(converted)
        self.request(signal, converted)

    def body(self, encoding: bytes, chunks: list[bytes]) -> None:
        """Holds a body in that Content-Encoding, as it comes in, against the laws."""
        collected = body_for(encoding, BODY_LIMIT)
        if collected is None:
            raise Broken(f"{encoding!r} is not understood")
        try:
            for chunk in chunks:
                collected.feed(chunk)
                if collected.size > BODY_LIMIT:
                    raise Broken("more is held than is allowed")
            data = collected.finish()
        except (Malformed, TooLarge):
            self.refused += 1
            return
        except Refused as error:
            raise Broken(f"refused as {type(error).__name__}") from error
        self.accepted += 1
        if len(data) > BODY_LIMIT or len(data) != collected.size:
            raise Broken("more came out than is allowed")
