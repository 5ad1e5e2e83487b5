"""Request bodies as they arrive: bounded before and after decompression.

The decompressor is never asked for more than what the limit still allows, so a bomb costs one limit of memory and no
more. snappy and lz4, which the stock Collector also reads, are left out: their Python modules cannot be asked so.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

from bmad_processor.errors import Malformed, TooLarge

zstd: Any
try:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
except ImportError:  # an interpreter built without it; senders are told 415
    zstd = None

_GZIP_WBITS: Final = 31
"""zlib's window of 15 bits plus 16: a gzip header and trailer are required and checked."""

_ZSTD_WINDOW_LOG: Final = 23
"""8 MiB, the largest window that RFC 9659 allows in HTTP; a frame may otherwise ask for 2 GiB."""

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


class Decompressor(Protocol):
    """What `zlib` and `compression.zstd` have in common. With less output than asked for, all input was used."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class CompressedBody:
    """A body of one or more compressed members (frames), one behind the other."""

    def __init__(self, limit: int, encoding: str, new: Callable[[], Decompressor]) -> None:
        self._limit = limit
        self._encoding = encoding
        self._new = new
        self._chunks: list[bytes] = []
        self._raw = 0
        self._members = 1
        self._member = new()
        self.size = 0
        self.held = 0

    def feed(self, chunk: bytes) -> None:
        self._raw += len(chunk)
        if self._raw > self._limit:
            raise TooLarge(f"request body is larger than {self._limit} bytes")
        while chunk:
            if self._member.eof:
                self._members += 1
                if self._members > _MAX_MEMBERS:
                    raise Malformed(f"{self._encoding} body has more than {_MAX_MEMBERS} members")
                self._member = self._new()
            try:
                # one byte more than allowed is enough to know
                data = self._member.decompress(chunk, self._limit - self.size + 1)
            except _ERRORS as error:
                raise Malformed(f"body is not valid {self._encoding}: {error}") from error
            self.size += len(data)
            if self.size > self._limit:
                raise TooLarge(f"decompressed request body is larger than {self._limit} bytes")
            if data:
                self._chunks.append(data)
            chunk = self._member.unused_data

    def finish(self) -> bytes:
        if not self._member.eof:
            raise Malformed(f"{self._encoding} body is cut off")
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)


def _zstd() -> Decompressor:
    assert zstd is not None, "not among the encodings without it"
    new: Decompressor = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})
    return new


_NEW: Final[dict[bytes, Callable[[], Decompressor]]] = {
    b"gzip": lambda: zlib.decompressobj(_GZIP_WBITS),
    b"x-gzip": lambda: zlib.decompressobj(_GZIP_WBITS),
    b"zlib": zlib.decompressobj,
    b"deflate": zlib.decompressobj,  # which in HTTP means zlib, header and checksum included
} | ({} if zstd is None else {b"zstd": _zstd})

ENCODINGS: Final = ("identity", *(name.decode() for name in _NEW if name != b"x-gzip"))
"""Values of Content-Encoding that are understood."""

_ERRORS: Final[tuple[type[Exception], ...]] = (zlib.error,) if zstd is None else (zlib.error, zstd.ZstdError)


def body_for(encoding: bytes, limit: int) -> Body | None:
    """Where to collect a body with that Content-Encoding, at most ``limit`` bytes; None for one not understood."""
    name = encoding.strip().lower()
    if name in (b"", b"identity"):
        return IdentityBody(limit)
    new = _NEW.get(name)
    return None if new is None else CompressedBody(limit, name.decode().removeprefix("x-"), new)
