"""From the bytes of one `KeyValue` to its meaning, with a bounded memory.

Attributes repeat: the same agent sends the same bytes in every span. What was understood once is looked up by its
bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from google.protobuf.message import DecodeError

from . import wire
from .recent import Recent

CACHE_SIZE: Final = 8192
"""Entries per cache. At the 300 bytes a large entry takes this is 2.5 MB."""


def text_of(value: object) -> str:
    """Text of an attribute value, whatever its type; invalid UTF-8 is replaced."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def has_indexed_key(attribute: bytes) -> bool:
    """Whether the key is an index, as only profiles may have it."""
    try:
        return attribute[:1] != b"\x0a" and bool(wire.KeyValue.FromString(attribute).key_strindex)
    except DecodeError:
        return False


def parse(attribute: bytes) -> tuple[bytes, str] | None:
    """Key and text of a scalar attribute; None for arrays, maps, bytes, empty values and what cannot be read."""
    try:
        pair = wire.KeyValue.FromString(attribute)
    except DecodeError:
        return None
    kind = pair.value.WhichOneof("value")
    return None if kind is None else (pair.key, text_of(getattr(pair.value, kind)))


def key_of(attribute: bytes) -> bytes:
    """Key of an attribute in the layout every known encoder writes (key first, shorter than 128 bytes), else empty.

    One slice instead of a protobuf object: this runs for every attribute that is not in a cache.
    """
    if len(attribute) > 2 and attribute[0] == 0x0A and attribute[1] < 0x80:
        return attribute[2 : 2 + attribute[1]]
    pair = parse(attribute)
    return b"" if pair is None else pair[0]


class Attributes:
    """Reads the wanted keys out of lists of attribute bytes."""

    def __init__(self, wanted: Iterable[str]) -> None:
        self.wanted = frozenset(key.encode() for key in wanted)
        self._seen: Recent[bytes, tuple[str, str] | None] = Recent(CACHE_SIZE)
        self._has_index = False

    def read(self, attributes: Iterable[bytes]) -> dict[str, str]:
        """Wanted keys to their text. Of a key sent twice (which OTLP forbids) the first counts."""
        found: dict[str, str] = {}
        seen, wanted = self._seen, self.wanted
        for attribute in attributes:
            key = key_of(attribute)
            if key not in wanted:
                if not key and has_indexed_key(attribute):
                    self._has_index = True
                continue
            try:
                pair = seen[attribute] if attribute in seen else seen.recall(attribute)
            except KeyError:
                parsed = parse(attribute)
                # the slice above sees the first key, the parser the last: they differ when a key is written twice
                pair = (parsed[0].decode(), parsed[1]) if parsed is not None and parsed[0] in wanted else None
                if len(attribute) < 1024:  # a long value is not a name that repeats
                    seen.remember(attribute, pair)
            if pair is not None:
                found.setdefault(*pair)
        return found

    def tell_index(self) -> bool:
        """Whether an attribute with an indexed key was among those read since the last time this was asked."""
        found, self._has_index = self._has_index, False
        return found
