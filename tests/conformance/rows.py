"""The rows of the scoreboard, and how a test says that a row cannot be asked of a target."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Row:
    """One rule of the OTLP specification (docs/specification.md and the comments of the .proto files, 1.11)."""

    id: str
    level: str
    """The specification's word; `default` for a value it names, `proto` for a comment of the .proto files, `practice`
    for what the stock Collector's own tests or configuration demand."""
    rule: str


ROWS: Final = (
    Row("C1", "MUST", "requests are taken without compression and with gzip"),
    Row("C2", "MUST", "request size is limited, after decompression as well"),
    Row("C3", "RECOMMENDED", "the default limit is 64 MiB"),
    Row("C4", "MUST", "responses stay below 4 MiB whatever is wrong with a request"),
    Row("C5", "SHOULD", "a request without telemetry is a success"),
    Row("C6", "MAY", "envelopes without telemetry are not passed on"),
    Row("C7", "MUST", "full success leaves partial_success unset"),
    Row("C8", "MUST", "what is not accepted of an accepted request is counted in partial_success"),
    Row("C9", "MUST", "a warning has a message and rejects nothing"),
    Row("C10", "MUST", "as a client: a request answered with partial_success is not sent again"),
    Row("C11", "MUST", "unknown fields do no harm"),
    Row("C12", "proto", "string table indexes outside of profiles are not fatal"),
    Row("C13", "proto", "duplicate attribute keys do no harm"),
    Row("C14", "practice", "the same request twice is taken twice"),
    Row("C15", "proto", "ids of the wrong length are not accepted"),
    Row("G1", "MUST", "unary Export of traces, metrics and logs; UNIMPLEMENTED for the rest"),
    Row("G2", "MUST", "too large: RESOURCE_EXHAUSTED without RetryInfo"),
    Row("G3", "SHOULD", "what may be sent again is answered UNAVAILABLE, and nothing of it was taken"),
    Row("G4", "RECOMMENDED", "what cannot be decoded is answered INVALID_ARGUMENT"),
    Row("G5", "MUST", "as a client: sends again after the retryable codes and only after those"),
    Row("G6", "SHOULD", "overload is answered at once, and taken again when it is over"),
    Row("G7", "SHOULD", "1, 10 and 100 calls at once on one connection"),
    Row("G8", "default", "gRPC listens on port 4317"),
    Row("G9", "practice", "TLS, client certificates, streams per connection and keepalive can be configured"),
    Row("G10", "practice", "failed authentication is UNAUTHENTICATED"),
    Row("G11", "practice", "a port in use is an error at start"),
    Row("G12", "practice", "stopping finishes what is in flight: everything acknowledged is delivered"),
    Row("H1", "MUST", "POST over HTTP/1.1"),
    Row("H2", "default", "/v1/traces, /v1/metrics and /v1/logs"),
    Row("H3", "MUST", "the response has the content type of the request"),
    Row("H4", "MUST", "success is 200 with an Export*ServiceResponse"),
    Row("H5", "MUST", "the body of every 4xx and 5xx is a google.rpc.Status"),
    Row("H6", "MUST", "what cannot be decoded is answered 400"),
    Row("H7", "MUST", "too large: 413, before and after decompression"),
    Row("H8", "MUST", "as a client: sends again after 429, 502, 503, 504 and only after those"),
    Row("H9", "SHOULD", "overload is answered 429 or 503"),
    Row("H10", "MUST", "Content-Encoding is obeyed, and refused when unknown"),
    Row("H11", "MUST", "JSON: ids are hex in either case"),
    Row("H12", "MUST", "JSON: unknown names are ignored"),
    Row("H13", "MUST", "JSON: enums are integers, also those of a later version"),
    Row("H14", "MUST", "JSON: names are lowerCamelCase"),
    Row("H15", "MUST", "JSON: 64-bit integers as strings or numbers, bytes as base64, NaN and Infinity as strings"),
    Row("H16", "SHOULD", "protobuf and JSON on one port"),
    Row("H17", "MAY", "gRPC and HTTP on one port; else the wrong protocol is turned away and does no harm"),
    Row("H18", "default", "HTTP listens on port 4318 and keeps connections alive"),
    Row("H19", "practice", "405 with Allow, 404, 415"),
    Row("H20", "practice", "CORS for browsers"),
    Row("H21", "practice", "slow, truncated and lying requests are bounded; Expect: 100-continue"),
    Row("H22", "practice", "failed authentication is 401"),
)

BY_ID: Final = {row.id: row for row in ROWS}

_TEST_NAME: Final = re.compile(r"test_([cgh])(\d{1,2})_(beyond_)?")


class NotApplicable(Exception):
    """The target cannot be asked: nothing configures or starts it that way. The scoreboard shows `-`."""


def row_of(test_name: str) -> tuple[str, bool]:
    """Row id of a test, and whether it asks for more than the specification does (shown apart in the scoreboard)."""
    found = _TEST_NAME.match(test_name)
    if found is None or (row := f"{found[1].upper()}{found[2]}") not in BY_ID:
        raise ValueError(f"{test_name} does not begin with a row of the scoreboard, such as test_c1_")
    return row, found[3] is not None
