"""The emitting edge: received bytes out unchanged, and what the processor itself has to say.

An `Exporter` is a `SendingQueue` (bounded, one thread, backoff) around a sender that knows one protocol; `factory`
builds it from a configuration. `encode` turns alert events, hints and gauges into OTLP, `console` into lines.
"""

from .config import (
    ConsoleConfig,
    DebugConfig,
    FileConfig,
    OtlpGrpcConfig,
    OtlpHttpConfig,
    QueueConfig,
    RetryConfig,
)
from .console import ConsoleWriter, render_event, render_hint
from .encode import GaugeRow, encode_events, encode_gauges, partition_attributes
from .factory import build_exporter
from .outcome import Permanent, Transient
from .request import Exporter, ExportRequest
from .sending_queue import COUNTERS, Sender, SendingQueue

__all__ = [
    "Exporter", "ExportRequest", "build_exporter",
    "SendingQueue", "Sender", "COUNTERS", "Permanent", "Transient",
    "OtlpGrpcConfig", "OtlpHttpConfig", "DebugConfig", "FileConfig", "ConsoleConfig", "QueueConfig", "RetryConfig",
    "encode_events", "encode_gauges", "GaugeRow", "partition_attributes",
    "ConsoleWriter", "render_event", "render_hint",
]  # fmt: skip
