"""The emitting edge: received bytes out unchanged, and what the processor itself has to say.

An `Exporter` is a `SendingQueue` (bounded, joining what waits, in memory or in a `QueueFile`, backoff) around a sender
that knows one protocol; `factory` builds it from a configuration. `encode` turns alert events, hints and gauges into
OTLP, `console` into lines.
"""

from .config import (
    ConsoleConfig,
    DebugConfig,
    FileConfig,
    OtlpGrpcConfig,
    OtlpHttpConfig,
)
from .console import ConsoleWriter, render_event, render_hint
from .counts import COUNTERS
from .encode import GaugeRow, encode_events, encode_gauges, partition_attributes
from .factory import build_exporter
from .outcome import Permanent, Transient
from .queue_config import BatchConfig, QueueConfig, RetryConfig
from .queue_storage import QueueStorage, StoredQueue, storage_of
from .request import REDELIVERED, Exporter, ExportRequest
from .sending_queue import Sender, SendingQueue

__all__ = [
    "Exporter", "ExportRequest", "build_exporter",
    "SendingQueue", "Sender", "COUNTERS", "Permanent", "Transient", "QueueStorage", "StoredQueue", "storage_of",
    "REDELIVERED",
    "OtlpGrpcConfig", "OtlpHttpConfig", "DebugConfig", "FileConfig", "ConsoleConfig", "QueueConfig", "BatchConfig",
    "RetryConfig",
    "encode_events", "encode_gauges", "GaugeRow", "partition_attributes",
    "ConsoleWriter", "render_event", "render_hint",
]  # fmt: skip
