"""Log records are counted and passed on."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from bmad_processor.decode import Decoder
from bmad_processor.errors import Malformed
from bmad_processor.model import Signal


def test_records_are_counted() -> None:
    records = [LogRecord(severity_text="INFO", time_unix_nano=n) for n in range(3)]
    request = ExportLogsServiceRequest(
        resource_logs=[
            ResourceLogs(scope_logs=[ScopeLogs(log_records=records), ScopeLogs()]),
            ResourceLogs(),
            ResourceLogs(scope_logs=[ScopeLogs(log_records=records[:2])]),
        ]
    )
    body = request.SerializeToString()
    result = Decoder(interval_ns=1).decode(Signal.LOGS, body)
    assert (result.items, result.samples, result.rejected, result.forward) == (5, (), 0, body)


def test_empty_and_garbage() -> None:
    decoder = Decoder(interval_ns=1)
    assert decoder.decode(Signal.LOGS, b"").items == 0
    with pytest.raises(Malformed, match="ExportLogsServiceRequest"):
        decoder.decode(Signal.LOGS, b"\xff\xff")


@pytest.mark.parametrize("signal", list(Signal))
def test_garbage_names_the_request_that_was_expected(signal: Signal) -> None:
    with pytest.raises(Malformed, match=r"Export\w+ServiceRequest"):
        Decoder(interval_ns=1).decode(signal, b"not protobuf at all")
