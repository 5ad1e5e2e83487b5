"""Log records: counted, checked and passed on; the engine reads nothing in them."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from bmad_processor.errors import Malformed

from . import wire
from .attributes import has_indexed_key
from .rejected import prune
from .result import Decoded

_TRACE_ID_LENGTHS = (0, 16)
_SPAN_ID_LENGTHS = (0, 8)
"""Ids of a record are optional, and of zeros they mean the same as absent: only a wrong length is wrong."""


def decode_logs(body: bytes) -> tuple[Decoded, bool]:
    """Also whether a key is an index. Raises Malformed when the bytes are not a logs request."""
    try:
        ExportLogsServiceRequest.FromString(body)  # what is not OTLP anywhere inside, no backend would take from us
        request = wire.LogsRequest.FromString(body)
    except DecodeError as error:
        raise Malformed("body is not a valid ExportLogsServiceRequest") from error
    items = bad = 0
    has_index = False
    for resource in request.resource_logs:
        has_index |= any(map(has_indexed_key, wire.Resource.FromString(resource.resource).attributes))
        for scope in resource.scope_logs:
            records = scope.log_records
            items += len(records)
            has_index |= any(any(map(has_indexed_key, record.attributes)) for record in records)
            wrong = [
                index for index, record in enumerate(records)
                if len(record.trace_id) not in _TRACE_ID_LENGTHS or len(record.span_id) not in _SPAN_ID_LENGTHS
            ]  # fmt: skip
            for index in reversed(wrong):
                del records[index]
            bad += len(wrong)
    if not bad:
        return Decoded(items, forward=body), has_index
    prune(request.resource_logs, "scope_logs", "log_records")
    said = f"{bad} log records have a trace or span id of wrong length"
    decoded = Decoded(items - bad, rejected=bad, message=said, forward=request.SerializeToString())
    return decoded, has_index
