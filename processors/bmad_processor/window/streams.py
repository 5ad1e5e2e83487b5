"""Cumulative streams a partition follows: the last point of each, within a bound."""

from __future__ import annotations

from typing import Final

from bmad_processor.settings import EngineSettings
from bmad_processor.state import EngineState, Partition, Stream

OVERFLOW: Final = "otel.overflow"
"""Name under which folded instances, agents and models appear, after OpenTelemetry's `otel.metric.overflow`."""


def stream_of(
    state: EngineState, partition: Partition, key: tuple[str, str, str], settings: EngineSettings
) -> Stream | None:
    """The stream, a new one with ``time_ns`` 0 when it was not known, None when there is no room."""
    stream = partition.streams.get(key)
    if stream is None:
        if len(partition.streams) >= settings.max_streams:
            state.count("streams_dropped")
            return None
        stream = partition.streams[key] = Stream(0, 0)
    return stream
