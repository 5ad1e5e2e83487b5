"""Bodies are the same however they arrive in pieces, and never more than the limit is held."""

from __future__ import annotations

import gzip
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_processor.errors import Malformed, TooLarge
from bmad_processor.receive.http_body import GzipBody, IdentityBody


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(at)]


@given(st.lists(st.binary(max_size=200), max_size=4), st.lists(st.integers(0, 900), max_size=6))
def test_any_split_gives_the_same_body(members: list[bytes], cuts: list[int]) -> None:
    data = b"".join(members)
    identity = IdentityBody(1000)
    for piece in pieces(data, cuts):
        identity.feed(piece)
    assert identity.finish() == data
    packed = b"".join(gzip.compress(member) for member in members) or gzip.compress(b"")
    body = GzipBody(10_000)
    for piece in pieces(packed, cuts):
        body.feed(piece)
    assert body.finish() == data
    assert body.size == len(data)


@given(st.integers(0, 3000), st.integers(1, 3000), st.lists(st.integers(0, 100), max_size=4))
def test_the_limit_is_exact_and_nothing_beyond_it_is_held(size: int, limit: int, cuts: list[int]) -> None:
    packed = gzip.compress(bytes(size))
    body = GzipBody(max(limit, len(packed)))
    limit = max(limit, len(packed))
    try:
        for piece in pieces(packed, cuts):
            body.feed(piece)
    except TooLarge:
        assert size > limit
        assert body.size == limit + 1
    else:
        assert size <= limit
        assert len(body.finish()) == size


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_cut_off_body_is_malformed(data: bytes, draw: st.DataObject) -> None:
    packed = gzip.compress(data)
    body = GzipBody(1000)
    body.feed(packed[: draw.draw(st.integers(0, len(packed) - 1))])
    with pytest.raises(Malformed):
        body.finish()


def test_endless_members_are_refused() -> None:
    body = GzipBody(10**6)
    with pytest.raises(Malformed, match="members"):
        body.feed(gzip.compress(b"") * 2000)
