"""Mutations of a request that keep its outer structure: lengths around a change are written anew.

Bytes changed at random make nearly every request undecodable at its first length. Here a place deep inside is chosen,
changed, and wrapped again, so that most mutants reach the code behind the parser.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from tests.decode.wire_bytes import field, split, varint

_INTERESTING = (
    b"", b"\0", b"\xff", b"\x80" * 10, b"\xff" * 10 + b"\x01", b"\x0a\x00", b"\x0a\x7f", b"\x0b", b"\x0c", b"\x0e\x0f",
    bytes(8), bytes(16), b"\xff" * 8, b"i" * 8, b"t" * 16, b"a\xffb", b"\xed\xa0\x80", b"\xf0\x9f\x99\x82",
    b"\x39" + b"\xff" * 8, b"\x41" + bytes(8), b"\xfa\x3f\x05later", b"\x78\x02", b"\x22\x00", b"\x4a\x00",
    b"\x00\x00\x00\x00\x00\x00\xf8\x7f", b"\x00\x00\x00\x00\x00\x00\xf0\xff",
)  # fmt: skip
"""Ends of number ranges, tags of spans and points, ids of both lengths and of zeros, NaN, broken text."""


def _bytes_changed(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    match rng.randrange(6):
        case 0:
            return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        case 1:
            return data[:at] + data[at + rng.randrange(1, 9) :]
        case 2:
            return data[:at] + rng.choice(_INTERESTING) + data[at:]
        case 3:
            return data[:at] + data[at : at + rng.randrange(1, 33)] + data[at:]
        case 4:
            other = rng.choice(_INTERESTING)
            return data[:at] + other + data[at + len(other) :]
        case _:
            return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if at < len(data) else data


def _fields_changed(parts: list[bytes], rng: random.Random) -> list[bytes]:
    at = rng.randrange(len(parts))
    match rng.randrange(6):
        case 0:
            del parts[at]
        case 1:
            parts.insert(rng.randrange(len(parts) + 1), parts[at])
        case 2:
            rng.shuffle(parts)
        case 3:  # another number or wire type
            parts[at] = varint(rng.randrange(1, 20) << 3 | rng.randrange(6)) + parts[at][1:]
        case 4:
            parts.insert(at, field(rng.randrange(1, 20), rng.choice(_INTERESTING)))
        case _:
            parts.insert(at, rng.choice(_INTERESTING))
    return parts


def message(data: bytes, rng: random.Random, depth: int = 0) -> bytes:
    """One mutation somewhere in a message, as deep as chance has it."""
    try:
        parts = split(data)
    except (ValueError, IndexError):
        return _bytes_changed(data, rng)
    if not parts:
        return rng.choice(_INTERESTING)
    if depth > 12 or rng.random() < 0.15:
        return b"".join(_fields_changed(parts, rng))
    nested = [at for at, part in enumerate(parts) if part[0] & 7 == 2]
    if not nested or rng.random() < 0.1:
        at = rng.randrange(len(parts))
        parts[at] = parts[at][:1] + _bytes_changed(parts[at][1:], rng)
        return b"".join(parts)
    at = rng.choice(nested)
    tag, payload = _open(parts[at])
    width = 4 if rng.random() < 0.05 else 0
    changed = message(payload, rng, depth + 1) if len(payload) > 1 else _bytes_changed(payload, rng)
    parts[at] = tag + varint(len(changed), width=width) + changed
    return b"".join(parts)


def _open(part: bytes) -> tuple[bytes, bytes]:
    """Tag and payload of a length-delimited field."""
    at = 0
    while part[at] >= 0x80:
        at += 1
    tag, at = part[: at + 1], at + 1
    while part[at] >= 0x80:
        at += 1
    return tag, part[at + 1 :]


_JSON_VALUES = (
    b"null", b"true", b"0", b"-1", b"1e400", b"1.5", b'"18446744073709551616"', b'"NaN"', b"{}", b"[]", b'""',
    b'"\\ud800"', b"[[[[[[[[]]]]]]]]", b'{"a":{"a":{"a":{}}}}', b'"5b8efff798038103d269b633813fc60c"', b"9" * 400,
    b'"Infinity"', b"NaN", b'"SPAN_KIND_SERVER"', b'"AAECAw=="', b'"\\u0000"',
)  # fmt: skip


_NAMES = (
    "traceId", "spanId", "parentSpanId", "name", "attributes", "value", "stringValue", "intValue", "kvlistValue",
    "values", "events", "links", "status", "code", "dataPoints", "asInt", "asDouble", "timeUnixNano", "flags",
    "scope", "unknown",
    "trace_id", "exemplars", "bucketCounts", "explicitBounds", "quantileValues", "arrayValue", "bytesValue", "kind",
)  # fmt: skip

_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**64, -(2**63), 1.5, 1e308, "", "NaN", "Infinity", "\ud800", "5b8efff798038103d269b633813fc60c",
    "EEE19B7EC3C1B174", "18446744073709551616", "-7", "AAECAw==", "SPAN_KIND_SERVER", {}, [], [{}], [[]],
    {"values": [{}]}, {"stringValue": "x"}, {"arrayValue": {"values": [{"intValue": "1"}, {}]}},
    {"key": "k", "value": {"doubleValue": "NaN"}},
)  # fmt: skip


def json_text(data: bytes, rng: random.Random) -> bytes:
    """One mutation of JSON: somewhere in its tree, or in its text."""
    if rng.random() < 0.25:
        return _bytes_changed(data, rng)
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return _bytes_changed(data, rng)
    here = tree
    while isinstance(here, (dict, list)) and here:
        key: Any = rng.choice(list(here)) if isinstance(here, dict) else rng.randrange(len(here))
        below = here[key]
        if isinstance(below, (dict, list)) and below and rng.random() < 0.85:
            here = below
            continue
        match rng.randrange(5):
            case 0:
                del here[key]
            case 1 if isinstance(here, list):
                here.append(below)
            case 2 if isinstance(here, dict):
                here[rng.choice(_NAMES)] = below
            case 3 if isinstance(here, dict):
                here[rng.choice(_NAMES)] = rng.choice(_VALUES)
            case _:
                here[key] = rng.choice(_VALUES)
        return json.dumps(tree).encode()
    return rng.choice(_JSON_VALUES)


_HTTP_PARTS = (
    b"\r\n", b"\n", b"\r", b": ", b"POST /v1/traces HTTP/1.1\r\n", b"GET / HTTP/1.0\r\n\r\n", b"Content-Length: 0\r\n",
    b"Content-Length: 99999999999999999999\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity, chunked\r\n", b"Content-Encoding: gzip\r\n", b"Content-Type: application/json\r\n",
    b"Content-Type: application/x-protobuf\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"0\r\n\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\n", b"5\r\nhello\r\n", b"fffffffffffffffff\r\n", b"1;x=y\r\n",
    b"Host: x\r\n", b"\0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"{}", b"Origin: https://app.example\r\n",
)  # fmt: skip


def http_stream(data: bytes, rng: random.Random) -> bytes:
    """One mutation of what a client sends: lines taken out, doubled, exchanged, or bytes."""
    match rng.randrange(5):
        case 0:
            return _bytes_changed(data, rng)
        case 1:
            at = rng.randrange(len(data) + 1)
            return data[:at] + rng.choice(_HTTP_PARTS) + data[at:]
        case _:
            lines = data.split(b"\r\n")
            at = rng.randrange(len(lines))
            match rng.randrange(4):
                case 0:
                    del lines[at]
                case 1:
                    lines.insert(at, lines[at])
                case 2:
                    lines.insert(at, rng.choice(_HTTP_PARTS).rstrip(b"\r\n"))
                case _:
                    lines[at] = _bytes_changed(lines[at], rng)
            return b"\r\n".join(lines)


def _any_bytes(data: bytes, rng: random.Random) -> bytes:
    return _bytes_changed(data, rng)


MUTATORS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "traces": message, "metrics": message, "logs": message,
    "json": lambda data, rng: data[:1] + json_text(data[1:], rng) if data else b"\0",
    "body": _any_bytes, "http": http_stream,
}  # fmt: skip
