"""A stream of trace requests that can be sent again and again, always ending now and with ids of its own each time.

Encoding a request takes longer than any server needs to take it in. So requests are encoded once; before each round
times and ids are written anew at the places where they stand.
"""

from __future__ import annotations

import random
import struct

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from payloads import trace_request

_TIMES = struct.Struct("<BQBQ")

EPOCH = 0x1A2B3C4D5E6F7081
"""The time in what `template` makes, unlike anything else in it."""

DURATIONS = 8


class Stream:
    """``n_requests`` requests of ``n_spans`` spans, eight attributes each, of ``n_agents`` agents in all."""

    def __init__(
        self, n_requests: int, n_spans: int, *, n_agents: int = 2, id_lengths: tuple[int, ...] = (16,)
    ) -> None:
        self.n_spans = n_spans
        self.n_items = n_requests * n_spans
        self._rng = random.Random(n_spans)
        self._bodies: list[bytearray] = []
        self._places: list[list[tuple[int, int, int, int, int]]] = []
        self._base_ns = 1_800_000_000 * 10**9
        per_request = min(n_agents, n_spans)
        for seed in range(n_requests):
            body = trace_request(
                n_spans, end_ns=self._base_ns, seed=seed, n_agents=per_request,
                offset=seed * per_request % n_agents, id_lengths=id_lengths,
            )  # fmt: skip
            self._bodies.append(bytearray(body))
            self._places.append(list(_places(body)))

    def renewed(self, now_ns: int) -> list[bytes]:
        """The bodies with spans that ended within the second before ``now_ns``."""
        shift = now_ns - self._base_ns
        bits, pack = self._rng.getrandbits, _TIMES.pack_into
        for body, places in zip(self._bodies, self._places, strict=True):
            for at, start, end, id_at, id_size in places:
                pack(body, at, 0x39, start + shift, 0x41, end + shift)
                body[id_at : id_at + id_size] = b"%0*x" % (id_size, bits(4 * id_size))
        return [bytes(body) for body in self._bodies]


def _places(body: bytes) -> list[tuple[int, int, int, int, int]]:
    """Of each span: where its times are and which, where its task id is and how long."""
    found = []
    at = 0
    for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                start, end = span.start_time_unix_nano, span.end_time_unix_nano
                at = body.index(_TIMES.pack(0x39, start, 0x41, end), at)
                value = next(a.value.string_value for a in span.attributes if a.key == "bmad.task.id").encode()
                found.append((at, start, end, body.index(value, at), len(value)))
    return found


def template(
    seed: int, n_spans: int, n_agents: int, *, offset: int = 0, name: str = "", is_failing: bool = False
) -> bytes:
    """A request whose spans all end at the time ``EPOCH`` and began a little before; `at` moves both."""
    request = ExportTraceServiceRequest.FromString(
        trace_request(n_spans, end_ns=EPOCH, seed=seed, n_agents=n_agents, offset=offset)
    )
    for i, span in enumerate(request.resource_spans[0].scope_spans[0].spans):
        span.end_time_unix_nano = EPOCH
        span.start_time_unix_nano = EPOCH - (i % DURATIONS + 1) * 10_000_000
        span.status.code = 2 if is_failing else 0
        for attribute in list(span.attributes):
            if attribute.key == "gen_ai.agent.name" and name:
                attribute.value.string_value = name
            elif attribute.key == "error.type" and not is_failing:
                span.attributes.remove(attribute)
    return request.SerializeToString()


def at(body: bytes, now_ns: int) -> bytes:
    """``body`` with its times moved to ``now_ns``."""
    for i in range(DURATIONS + 1):
        old, new = EPOCH - i * 10_000_000, now_ns - i * 10_000_000
        body = body.replace(old.to_bytes(8, "little"), new.to_bytes(8, "little"))
    return body
