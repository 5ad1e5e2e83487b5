"""What the bytes of an input mean to each target."""

from __future__ import annotations

from typing import Final

from bmad_processor.model import Signal

from .laws import Laws

TARGETS: Final = ("traces", "metrics", "logs", "json", "body", "http")

_SIGNALS: Final = tuple(Signal)
_ENCODINGS: Final = (b"gzip", b"zlib", b"zstd", b"identity")


def of_json(laws: Laws, data: bytes) -> None:
    """The first byte chooses the signal."""
    if data:
        laws.json(_SIGNALS[data[0] % len(_SIGNALS)], data[1:])


def of_body(laws: Laws, data: bytes) -> None:
    """The first byte chooses the encoding, the second the size of the pieces."""
    if len(data) > 1:
        size = 1 + data[1]
        laws.body(_ENCODINGS[data[0] % len(_ENCODINGS)], [data[at : at + size] for at in range(2, len(data), size)])
