"""From a type name in the configuration to an exporter."""

from __future__ import annotations

from bmad_processor.fields import Config
from bmad_processor.security import Authenticator

from .config import DebugConfig, FileConfig, OtlpGrpcConfig, OtlpHttpConfig, QueueConfig, RetryConfig
from .debug import DebugSender
from .file import FileSender
from .otlp_grpc import GrpcSender
from .otlp_http import HttpSender
from .request import Exporter
from .sending_queue import SendingQueue


def build_exporter(name: str, type_: str, config: Config, *, authenticator: Authenticator | None = None) -> Exporter:
    """The exporter `name` of type ``type_``, not started yet, with the credentials of ``authenticator``.

    Raises ValueError for a type there is no exporter for.
    """
    match config:
        case OtlpGrpcConfig():
            return SendingQueue(
                name, GrpcSender(config, authenticator=authenticator), config.sending_queue, config.retry_on_failure
            )
        case OtlpHttpConfig():
            return SendingQueue(
                name, HttpSender(config, authenticator=authenticator), config.sending_queue, config.retry_on_failure
            )
        case DebugConfig():
            return SendingQueue(name, DebugSender(config), QueueConfig(), RetryConfig())
        case FileConfig():
            return SendingQueue(name, FileSender(config), QueueConfig(), RetryConfig())
        case _:
            raise ValueError(f"no exporter of type {type_!r}")
