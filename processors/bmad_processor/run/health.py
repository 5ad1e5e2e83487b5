"""What is wrong with a collector now, from plain attributes of its parts: nothing here takes a lock of the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from bmad_processor.emit.request import Exporter
from bmad_processor.limit import MemoryLimiter
from bmad_processor.self_telemetry import Trouble

from .host import EngineHost
from .part import Part

CANNOT_DELIVER: Final = "cannot_deliver"
"""What is wrong with an exporter whose backend takes nothing."""


def troubles_of(
    *,
    is_listening: bool,
    is_stopping: bool,
    host: EngineHost | None,
    processors: Mapping[str, Part],
    exporters: Mapping[str, Exporter],
    exporters_matter: bool,
) -> Iterator[Trouble]:
    """In the order in which they matter. ``exporters_matter``: one that cannot deliver stops receiving."""
    if is_stopping:
        yield Trouble("service", "stopping", "the collector is shutting down")
    elif not is_listening:
        yield Trouble("service", "starting", "not every receiver listens yet")
    if host is not None and host.trouble:
        yield Trouble("store", "not_writable", host.trouble)
    for name, processor in processors.items():
        if isinstance(processor, MemoryLimiter) and processor.is_limited:
            yield Trouble(name, "memory_limited", f"{processor.held_bytes // 2**20} MiB are held")
    for name, exporter in exporters.items():
        if exporter.trouble:
            yield Trouble(name, CANNOT_DELIVER, exporter.trouble, stops_receiving=exporters_matter)
