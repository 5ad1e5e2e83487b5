"""What a supervisor tells a worker first."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bmad_processor.config import CollectorConfig
from bmad_processor.emit.config import FileConfig
from bmad_processor.fields import Config
from bmad_processor.limit.config import MemoryLimiterConfig
from bmad_processor.receive import GrpcConfig, HttpConfig, OtlpReceiverConfig
from bmad_processor.run.components import EXTENSIONS

from .channel import Kind, frame
from .ownership import Ownership


@dataclass(frozen=True, slots=True)
class Start:
    """Which worker it is, and what it runs."""

    version: str
    """Of the package: a supervisor that runs on after an upgrade must not start workers of the new one."""
    worker: int
    workers: int
    config: CollectorConfig
    is_colored: bool
    """Whether alerts go to a terminal with colors."""

    def frame(self) -> bytes:
        """The bytes to send."""
        out = io.BytesIO()
        _Pickler(out).dump(self)
        return frame(Kind.CONFIG, out.getvalue())

    @staticmethod
    def read(data: bytes) -> Start:
        """Inverse of `frame`, of its content."""
        start = pickle.loads(data)  # noqa: S301 - the supervisor's, over a socket pair that it made
        assert isinstance(start, Start), "nothing else is sent first"
        return start


def _read_only(of: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(of)


class _Pickler(pickle.Pickler):
    """Knows read-only tables too, which settings hold."""

    def reducer_override(self, obj: object) -> Any:
        if isinstance(obj, MappingProxyType):
            return _read_only, (dict(obj),)
        return NotImplemented


_PROTOCOLS: Final = ("grpc", "http")


def listeners(config: CollectorConfig) -> dict[str, str]:
    """Name of every port for telemetry, such as ``otlp/grpc``, and where it is to listen."""
    return {name: listener.endpoint for name, listener in _listeners(config) if not _is_file(listener)}


def socket_files(config: CollectorConfig) -> dict[str, str]:
    """The same of socket files, which cannot be shared: the first worker has them."""
    return {name: listener.endpoint for name, listener in _listeners(config) if _is_file(listener)}


def _listeners(config: CollectorConfig) -> Iterator[tuple[str, GrpcConfig | HttpConfig]]:
    for name, block in config.receivers.items():
        if isinstance(block, OtlpReceiverConfig):
            for protocol in _PROTOCOLS:
                listener = getattr(block.protocols, protocol)
                if listener is not None:
                    yield f"{name}/{protocol}", listener


def _is_file(listener: GrpcConfig | HttpConfig) -> bool:
    return getattr(listener, "transport", "tcp") == "unix"


def config_of_worker(config: CollectorConfig, worker: int, endpoints: Mapping[str, str]) -> CollectorConfig:
    """The part of a configuration that a worker runs.

    It has its part of the bounds, listens at ``endpoints`` (name to address), leaves extensions that serve the process
    as a whole to the supervisor, and is told profiles instead of looking after their files.
    """
    engine = None if config.engine is None else Ownership(worker, config.workers).settings(config.engine)
    processors = {name: _share_of(block, config.workers) for name, block in config.processors.items()}
    silent = config.telemetry.metrics.model_copy(update={"level": "none"})
    exporters = {name: _own_file(block, worker) for name, block in config.exporters.items()}
    receivers = {name: _at(name, block, endpoints, worker) for name, block in config.receivers.items()}
    extensions = {name: block for name, block in config.extensions.items() if type(block) not in EXTENSIONS}
    return replace(
        config,
        worker=worker,
        receivers=receivers,
        processors=processors,
        telemetry=config.telemetry.model_copy(update={"metrics": silent}),
        exporters=exporters,
        extensions=extensions,
        profile_paths=(),
        warnings=(),
        engine=engine,
    )


def _share_of(block: Config, workers: int) -> Config:
    """A limit on memory is for all of them together."""
    if not isinstance(block, MemoryLimiterConfig):
        return block
    limits = ("limit_mib", "spike_limit_mib", "limit_percentage", "spike_limit_percentage")
    shares = {name: max(1, getattr(block, name) // workers) for name in limits if getattr(block, name)}
    return block.model_copy(update=shares)


def _own_file(block: Config, worker: int) -> Config:
    """A file that is rotated has one writer; what is no file (``/dev/stdout``) may have several."""
    if not isinstance(block, FileConfig) or not worker:
        return block
    path = Path(block.path)
    if path.exists() and not path.is_file():
        return block
    return block.model_copy(update={"path": str(path.with_name(f"{path.stem}.worker{worker}{path.suffix}"))})


def _at(name: str, block: Config, endpoints: Mapping[str, str], worker: int) -> Config:
    if not isinstance(block, OtlpReceiverConfig):
        return block
    changed: dict[str, Config | None] = {}
    for protocol in _PROTOCOLS:
        listener = getattr(block.protocols, protocol)
        if listener is None:
            continue
        if not _is_file(listener):
            changed[protocol] = listener.model_copy(update={"endpoint": endpoints[f"{name}/{protocol}"]})
        elif worker:
            changed[protocol] = None
    return block.model_copy(update={"protocols": block.protocols.model_copy(update=changed)})
