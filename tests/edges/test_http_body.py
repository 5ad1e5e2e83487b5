"""Bodies are the same however they arrive in pieces, and never more than the limit is held."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from itertools import pairwise

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from bmad_processor.errors import Malformed, TooLarge
from bmad_processor.receive.http_body import ENCODINGS, Body, body_for

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}
encodings = st.sampled_from(sorted(PACK))


def collector(encoding: str, limit: int) -> Body:
    body = body_for(encoding.encode(), limit)
    assert body is not None
    return body


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(at)]


def test_what_is_understood() -> None:
    assert set(ENCODINGS) == {"identity", *PACK}
    for unknown in (b"br", b"snappy", b"gzip, gzip", b"nonsense"):
        assert body_for(unknown, 1) is None


@given(encodings, st.lists(st.binary(max_size=200), max_size=4), st.lists(st.integers(0, 900), max_size=6))
def test_any_split_gives_the_same_body(encoding: str, members: list[bytes], cuts: list[int]) -> None:
    data = b"".join(members)
    identity = collector("identity", 1000)
    for piece in pieces(data, cuts):
        identity.feed(piece)
    assert identity.finish() == data
    pack = PACK[encoding]
    packed = b"".join(pack(member) for member in members) or pack(b"")
    body = collector(encoding, 10_000)
    for piece in pieces(packed, cuts):
        body.feed(piece)
    assert body.finish() == data
    assert body.size == len(data)


@given(encodings, st.integers(0, 3000), st.integers(1, 3000), st.lists(st.integers(0, 100), max_size=4))
def test_the_limit_is_exact_and_nothing_beyond_it_is_held(
    encoding: str, size: int, limit: int, cuts: list[int]
) -> None:
    packed = PACK[encoding](bytes(size))
    limit = max(limit, len(packed))
    body = collector(encoding, limit)
    try:
        for piece in pieces(packed, cuts):
            body.feed(piece)
    except TooLarge:
        assert size > limit
        assert body.size == limit + 1
    else:
        assert size <= limit
        assert len(body.finish()) == size


@given(encodings, st.binary(min_size=1, max_size=100), st.data())
def test_a_cut_off_body_is_malformed(encoding: str, data: bytes, draw: st.DataObject) -> None:
    packed = PACK[encoding](data)
    body = collector(encoding, 1000)
    body.feed(packed[: draw.draw(st.integers(0, len(packed) - 1))])
    with pytest.raises(Malformed, match="cut off"):
        body.finish()


@given(encodings, st.binary(min_size=1, max_size=100))
def test_garbage_is_malformed(encoding: str, data: bytes) -> None:
    body = collector(encoding, 1000)
    with pytest.raises(Malformed, match="not valid"):
        body.feed(b"\x00garbage" + data)


@pytest.mark.parametrize("encoding", sorted(PACK))
def test_endless_members_are_refused(encoding: str) -> None:
    body = collector(encoding, 10**6)
    with pytest.raises(Malformed, match="members"):
        body.feed(PACK[encoding](b"") * 2000)


def test_a_frame_of_zstd_does_not_choose_its_window() -> None:
    wide = zstd.compress(bytes(1000), options={zstd.CompressionParameter.window_log: 27})
    # the size is written into the frame, so that this small one needs no window: made to need one
    press = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27,
                                         zstd.CompressionParameter.content_size_flag: 0})  # fmt: skip
    asking = press.compress(bytes(1000)) + press.flush()
    small = collector("zstd", 10_000)
    small.feed(wide)
    assert small.finish() == bytes(1000)
    with pytest.raises(Malformed, match="zstd"):
        collector("zstd", 10_000).feed(asking)
