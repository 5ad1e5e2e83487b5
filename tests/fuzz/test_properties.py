"""The laws over mutated requests, as property tests: a little of what `make fuzz` does for long, in every run."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from bmad_processor.model import Signal
from tests.conformance import messages
from tests.decode import metric_points, strategies

from . import mutate
from .evolve import Evolution, resident_mib
from .http_connection import Connections
from .laws import Laws
from .seeds import http, rich

LAWS = Laws()
"""One for all: what an odd request leaves in the caches must not hurt the next one."""

QUICK = settings(max_examples=250, deadline=None)

_seeds = st.integers(0, 2**32 - 1)
_requests: dict[Signal, st.SearchStrategy[bytes]] = {
    Signal.TRACES: strategies.requests().map(lambda bodies: bodies[0]),
    Signal.METRICS: metric_points.requests(),
    Signal.LOGS: st.just(rich("logs").SerializeToString()),
}


def mutants(data: bytes, seed: int, change: Callable[[bytes, random.Random], bytes], n: int = 8) -> list[bytes]:
    """Some mutants of one input, each of the one before: making inputs is what takes hypothesis its time."""
    rng = random.Random(seed)
    made = []
    for _ in range(n):
        data = change(data, rng)
        made.append(data)
    return made


def hold(signal: Signal, body: bytes, seed: int) -> None:
    assert LAWS.request(signal, body) is not None, "the original is a request"
    for mutant in mutants(body, seed, mutate.message):
        LAWS.request(signal, mutant)


@QUICK
@given(_requests[Signal.TRACES], _seeds)
def test_traces(body: bytes, seed: int) -> None:
    hold(Signal.TRACES, body, seed)


@QUICK
@given(_requests[Signal.METRICS], _seeds)
def test_metrics(body: bytes, seed: int) -> None:
    hold(Signal.METRICS, body, seed)


@QUICK
@given(_requests[Signal.LOGS], _seeds)
def test_logs(body: bytes, seed: int) -> None:
    hold(Signal.LOGS, body, seed)


@QUICK
@given(st.sampled_from(Signal), _seeds)
def test_json(signal: Signal, seed: int) -> None:
    for mutant in mutants(messages.to_json(rich(signal)), seed, mutate.json_text):
        LAWS.json(signal, mutant)


@QUICK
@given(st.sampled_from(Signal), st.binary(max_size=40), st.integers(1, 300), _seeds)
def test_gzip_bodies(signal: Signal, tail: bytes, size: int, seed: int) -> None:
    original = gzip.compress(rich(signal).SerializeToString(), mtime=0) + tail
    for mutant in [original, *mutants(original, seed, mutate.MUTATORS["body"])]:
        LAWS.body(b"gzip", [mutant[at : at + size] for at in range(0, len(mutant), size)])


_PROTOBUF = "Content-Type: application/x-protobuf"
_STREAMS = (
    http(rich("traces").SerializeToString(), _PROTOBUF, piece=20),
    http(messages.to_json(rich("logs")), "Content-Type: application/json", path="/v1/logs"),
    http(gzip.compress(rich("metrics").SerializeToString(), mtime=0), _PROTOBUF, "Content-Encoding: gzip"),
    http(b"4\r\n\0\0\0\0\r\n0\r\n\r\n", _PROTOBUF, "Transfer-Encoding: chunked", piece=0),
    http(b"", _PROTOBUF, "Expect: 100-continue", piece=1) * 3,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(_STREAMS), _seeds)
def test_http_streams(stream: bytes, seed: int) -> None:
    connections = Connections(LAWS)
    try:
        connections.hold(stream)
        for mutant in mutants(stream, seed, mutate.http_stream):
            connections.hold(mutant)
    finally:
        connections.close()


def test_memory_is_flat() -> None:
    """Different requests by the thousand, most of them accepted: caches fill and are bounded."""
    evolution = Evolution()
    evolution.advance(10_000)
    before_mib = resident_mib()
    evolution.advance(15_000)
    assert evolution.laws.accepted > evolution.laws.refused
    assert resident_mib() - before_mib < 8
