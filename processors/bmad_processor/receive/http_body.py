"""Request bodies as they arrive: bounded before and after decompression.

The decompressor is never asked for more than what the limit still allows, so a gzip bomb costs one limit of memory and
no more.
"""

from __future__ import annotations

import zlib
from typing import Final, Protocol

from bmad_processor.errors import Malformed, TooLarge

_GZIP_WBITS: Final = 31
"""zlib's window of 15 bits plus 16: a gzip header and trailer are required and checked."""

_MAX_MEMBERS: Final = 1000
"""RFC 1952 lets a body be several gzip members; each restart copies the rest of the chunk, hence a bound."""


class Body(Protocol):
    """Collects one body."""

    size: int
    """Bytes held so far, decompressed."""
    held: int
    """Of these, taken from the budget of bytes in hand; 0 at first."""

    def feed(self, chunk: bytes) -> None:
        """Take the next part. Raises TooLarge or Malformed."""
        ...

    def finish(self) -> bytes:
        """The whole body, decompressed. Raises Malformed when it is cut off."""
        ...


class IdentityBody:
    """A body sent as it is."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: list[bytes] = []
        self.size = 0
        self.held = 0

    def feed(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self._limit:
            raise TooLarge(f"request body is larger than {self._limit} bytes")
        self._chunks.append(chunk)

    def finish(self) -> bytes:
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)


class GzipBody:
    """A body with `Content-Encoding: gzip`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: list[bytes] = []
        self._raw = 0
        self._members = 1
        self._gzip = zlib.decompressobj(_GZIP_WBITS)
        self.size = 0
        self.held = 0

    def feed(self, chunk: bytes) -> None:
        self._raw += len(chunk)
        if self._raw > self._limit:
            raise TooLarge(f"request body is larger than {self._limit} bytes")
        while chunk:
            if self._gzip.eof:
                self._members += 1
                if self._members > _MAX_MEMBERS:
                    raise Malformed(f"gzip body has more than {_MAX_MEMBERS} members")
                self._gzip = zlib.decompressobj(_GZIP_WBITS)
            try:
                # one byte more than allowed is enough to know; with less output than asked for, all input was used
                data = self._gzip.decompress(chunk, self._limit - self.size + 1)
            except zlib.error as error:
                raise Malformed(f"body is not valid gzip: {error}") from error
            self.size += len(data)
            if self.size > self._limit:
                raise TooLarge(f"decompressed request body is larger than {self._limit} bytes")
            if data:
                self._chunks.append(data)
            chunk = self._gzip.unused_data

    def finish(self) -> bytes:
        if not self._gzip.eof:
            raise Malformed("gzip body is cut off")
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
