"""Protobuf messages by hand: for layouts that the official classes would never write."""

from __future__ import annotations

from collections.abc import Iterable


def varint(value: int, *, width: int = 0) -> bytes:
    """``value`` as a varint, at least ``width`` bytes long: some encoders leave room for a length and fill it later."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    while len(out) < width:
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def field(number: int, payload: bytes, *, width: int = 0) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload), width=width) + payload


def split(message: bytes) -> list[bytes]:
    """The top-level fields of a message, each with its tag."""
    fields, at = [], 0
    while at < len(message):
        begin = at
        tag, at = _read_varint(message, at)
        match tag & 7:
            case 0:
                _, at = _read_varint(message, at)
            case 1:
                at += 8
            case 2:
                length, at = _read_varint(message, at)
                at += length
            case 5:
                at += 4
            case kind:
                raise ValueError(f"wire type {kind}")
        fields.append(message[begin:at])
    return fields


def with_wide_lengths(message: bytes) -> bytes:
    """The same message, its length-delimited fields with lengths of four bytes (one level deep)."""
    out = []
    for part in split(message):
        tag, at = _read_varint(part, 0)
        if tag & 7 == 2:
            _, at = _read_varint(part, at)
            out.append(field(tag >> 3, part[at:], width=4))
        else:
            out.append(part)
    return b"".join(out)


def trace_request(spans: Iterable[bytes], *, resource: bytes = b"", scope: bytes = b"") -> bytes:
    """An `ExportTraceServiceRequest` with one resource and one scope around ``spans``."""
    scope_spans = (field(1, scope) if scope else b"") + b"".join(field(2, span) for span in spans)
    return field(1, field(1, resource) + field(2, scope_spans))


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
