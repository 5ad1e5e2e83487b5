"""Whatever arrives, decoding gives a `Decoded` or raises `Malformed`, and nothing else."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bmad_processor.decode import Decoder
from bmad_processor.errors import Malformed
from bmad_processor.model import Signal

from . import metric_points, strategies
from .wire_bytes import field

DECODER = Decoder(interval_ns=5_000_000_000)
"""One for all: what an odd request leaves in the caches must not hurt the next one."""


def check(signal: Signal, body: bytes) -> None:
    try:
        result = DECODER.decode(signal, body)
    except Malformed:
        return
    assert result.items >= 0
    assert result.rejected >= 0
    if not result.rejected:
        assert result.forward == body
    for sample in result.samples:
        assert repr(sample)


@st.composite
def mutations(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """A valid request with a few bytes replaced, inserted, removed or repeated."""
    data = bytearray(draw(originals))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 4)):
            case 0:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                data[at:at] = draw(st.binary(max_size=4))
            case 2:
                del data[at : at + draw(st.integers(1, 5))]
            case 3:
                data[at:at] = data[at : at + draw(st.integers(1, 30))]
            case _ if at < len(data):
                data[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


_bytes = st.binary(max_size=60)
_nested = st.recursive(
    _bytes, lambda inner: st.lists(st.builds(field, st.integers(1, 15), inner), max_size=4).map(b"".join), max_leaves=12
)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(Signal), _bytes | _nested)
@example(Signal.METRICS, b"\x0a\x00")
def test_random_bytes(signal: Signal, body: bytes) -> None:
    check(signal, body)


@settings(max_examples=600, deadline=None)
@given(mutations(strategies.requests().map(lambda bodies: bodies[0])))
def test_mutated_traces(body: bytes) -> None:
    check(Signal.TRACES, body)


@settings(max_examples=600, deadline=None)
@given(mutations(metric_points.requests()))
def test_mutated_metrics(body: bytes) -> None:
    check(Signal.METRICS, body)


@settings(max_examples=400, deadline=None)
@given(metric_points.requests())
def test_valid_metrics_with_absurd_values(body: bytes) -> None:
    check(Signal.METRICS, body)
