"""Reading `partial_success` of an Export*ServiceResponse."""

from __future__ import annotations

import logging
from typing import Any, Final

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from bmad_processor.model import Signal

_LOG: Final = logging.getLogger("bmad_otel.collector")

_RESPONSES: Final[dict[Signal, tuple[type[Message], str]]] = {
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
}


def rejected_items(signal: Signal, response: bytes) -> int:
    """Items the backend did not take. The usual answer is empty and costs nothing.

    A body that cannot be read counts as full success: the status said so, and sending again would double the data.
    """
    if not response:
        return 0
    response_type, counter = _RESPONSES[signal]
    message: Any = response_type()
    try:
        message.ParseFromString(response)
    except DecodeError:
        return 0
    partial = message.partial_success
    if partial.error_message:
        _LOG.debug("backend took %s in part: %s", signal, partial.error_message[:1000])
    return int(getattr(partial, counter))
