"""What decoding one request gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bmad_processor.model import Sample

from .collect import Part
from .model_calls import CallCounts
from .resource import Sender


@dataclass(frozen=True, slots=True)
class Decoded:
    """Samples for the engine, and what to tell the sender."""

    items: int
    """Spans, data points or log records accepted."""
    samples: tuple[Sample, ...] = ()
    rejected: int = 0
    message: str = ""
    """Why items were rejected, for `partial_success`."""
    forward: bytes = b""
    """What to pass on: the received bytes, or those without the rejected items."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Accepted and forwarded, but of no use to the engine: reason to count."""
    calls: Sequence[tuple[Sender, CallCounts]] = ()
    """Model call spans, for `Decoder.keep`."""
    parts: Sequence[Part] = ()
    """Task spans set aside, for `Decoder.keep`."""
