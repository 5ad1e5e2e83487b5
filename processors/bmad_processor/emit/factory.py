"""From a type name in the configuration to an exporter."""

from __future__ import annotations

from typing import Final

from bmad_processor.fields import Config
from bmad_processor.security import Authenticator

from .config import DebugConfig, FileConfig, OtlpGrpcConfig, OtlpHttpConfig
from .debug import DebugSender
from .file import FileSender
from .otlp_grpc import GrpcSender
from .otlp_http import HttpSender
from .queue_config import QueueConfig, RetryConfig
from .queue_storage import QueueStorage, StoredQueue
from .request import Exporter
from .sending_queue import Sender, SendingQueue

_LOCAL_QUEUE: Final = QueueConfig(num_consumers=1)
"""Lines in a file and in the log stay in order."""


def build_exporter(
    name: str,
    type_: str,
    config: Config,
    storage: QueueStorage | None = None,
    *,
    authenticator: Authenticator | None = None,
) -> Exporter:
    """The exporter `name` of type ``type_``, not started yet. ``storage``: where a queue that wants one is kept.

    It sends the credentials of ``authenticator``. Raises ValueError for a type there is no exporter for, and for a
    queue that wants a storage when there is none.
    """
    sender: Sender
    match config:
        case OtlpGrpcConfig():
            sender = GrpcSender(config, authenticator=authenticator)
        case OtlpHttpConfig():
            sender = HttpSender(config, authenticator=authenticator)
        case DebugConfig():
            return SendingQueue(name, DebugSender(config), _LOCAL_QUEUE, RetryConfig())
        case FileConfig():
            return SendingQueue(name, FileSender(config), _LOCAL_QUEUE, RetryConfig())
        case _:
            raise ValueError(f"no exporter of type {type_!r}")
    queue = config.sending_queue
    disk = None
    if queue.storage is not None:
        if storage is None:
            raise ValueError(f"the queue of exporter {name} is to be kept in {queue.storage}, which there is not")
        disk = StoredQueue(storage, name, fsync=queue.fsync)
    return SendingQueue(name, sender, queue, config.retry_on_failure, disk=disk)
