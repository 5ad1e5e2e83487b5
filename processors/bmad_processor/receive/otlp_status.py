"""What a sender is told: google.rpc.Status for refusals, `partial_success` for requests taken in part.

OTLP bounds a response to 4 MiB and allows error messages to be shortened; ours are cut at 1 KiB, so that every answer
fits whatever the consumer had to say.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from bmad_processor.errors import Malformed, Overloaded, TooLarge, Unauthenticated, Unserved
from bmad_processor.model import Signal

from .consumer import Accepted

MAX_MESSAGE_BYTES: Final = 1024

_RESPONSES: Final[dict[Signal, tuple[type[Message], str]]] = {
    Signal.TRACES: (ExportTraceServiceResponse, "rejected_spans"),
    Signal.METRICS: (ExportMetricsServiceResponse, "rejected_data_points"),
    Signal.LOGS: (ExportLogsServiceResponse, "rejected_log_records"),
}


def bounded(message: str) -> str:
    """``message`` cut to `MAX_MESSAGE_BYTES` of UTF-8; what cannot be encoded is replaced."""
    data = message.encode("utf-8", "replace")
    if len(data) > MAX_MESSAGE_BYTES:
        data = data[: MAX_MESSAGE_BYTES - 3].decode("utf-8", "ignore").encode() + b"..."
    return data.decode()


@dataclass(frozen=True, slots=True)
class Answer:
    """A refusal in both protocols: the Status carries the gRPC code."""

    http_status: int
    status: Status
    retry_after_s: int | None = None
    """Whole seconds for `Retry-After`, at least 1."""
    is_ours: bool = False
    """An unexpected error, to be logged."""
    challenge: str = ""
    """The value of `WWW-Authenticate`; empty for what has none."""


def _status(code: grpc.StatusCode, message: str, *details: Message) -> Status:
    status = Status(code=code.value[0], message=bounded(message))
    for detail in details:
        status.details.add().Pack(detail)
    return status


def refusal(http_status: int, code: grpc.StatusCode, message: str) -> Answer:
    """A refusal without details, for what the protocol itself does not allow (unknown path, content type ...)."""
    return Answer(http_status, _status(code, message))


def answer(error: Exception) -> Answer:
    """What to tell the sender about ``error``. Unexpected errors keep their text to themselves."""
    match error:
        case Malformed():
            message = bounded(str(error))
            violation = BadRequest.FieldViolation(field="body", description=message)
            details = BadRequest(field_violations=[violation])
            return Answer(400, _status(grpc.StatusCode.INVALID_ARGUMENT, message, details))
        case TooLarge():
            # without RetryInfo: with it, RESOURCE_EXHAUSTED would mean "try again"
            return Answer(413, _status(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)))
        case Overloaded(retry_after_s=delay):
            info = RetryInfo()
            info.retry_delay.FromNanoseconds(max(0, round(delay * 1e9)))
            status = _status(grpc.StatusCode.UNAVAILABLE, str(error), info)
            return Answer(503, status, retry_after_s=max(1, math.ceil(delay)))
        case Unauthenticated(challenge=challenge):
            return Answer(401, _status(grpc.StatusCode.UNAUTHENTICATED, str(error)), challenge=challenge)
        case Unserved():
            return Answer(404, _status(grpc.StatusCode.UNIMPLEMENTED, str(error)))
        case _:
            return Answer(500, _status(grpc.StatusCode.INTERNAL, "internal error"), is_ours=True)


def status_json(status: Status) -> bytes:
    """The Status as JSON; details carry their ``@type``."""
    return json.dumps(MessageToDict(status)).encode()


def partial_success(signal: Signal, accepted: Accepted) -> Message:
    """Export*ServiceResponse that says what was not taken, or warns."""
    response_type, counter = _RESPONSES[signal]
    response: Any = response_type()
    setattr(response.partial_success, counter, accepted.rejected)
    response.partial_success.error_message = bounded(accepted.message)
    return response  # type: ignore[no-any-return]


def partial_success_json(signal: Signal, accepted: Accepted) -> bytes:
    """The same as OTLP/JSON: lowerCamelCase keys, the count as a decimal string."""
    return json.dumps(MessageToDict(partial_success(signal, accepted))).encode()
