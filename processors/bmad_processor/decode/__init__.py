"""Decode: bytes of an OTLP request to samples per agent, without I/O.

`Decoder.decode(signal, body)` gives a `Decoded`: samples for the engine, how many items were accepted and rejected,
and what to forward. The trimmed protobuf classes are in `wire`, the rules of who is an agent in `span_meaning`, the
mapping of metrics in `rules`.
"""

from .decoder import Decoder
from .result import Decoded

__all__ = ["Decoded", "Decoder"]
