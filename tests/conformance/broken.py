"""Requests broken in every place, made from the message descriptors: what protobuf's own parser refuses.

For every message of a signal, reached by the shortest path from the request, and every field of it: lengths beyond the
end, varints without an end, invalid UTF-8, tags that do not exist. A broken message stands between two whole items.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

_VARINTS = {
    FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SINT64, FieldDescriptor.TYPE_BOOL, FieldDescriptor.TYPE_ENUM,
}  # fmt: skip
_FIXED = {
    FieldDescriptor.TYPE_FIXED64: (1, 8), FieldDescriptor.TYPE_SFIXED64: (1, 8), FieldDescriptor.TYPE_DOUBLE: (1, 8),
    FieldDescriptor.TYPE_FIXED32: (5, 4), FieldDescriptor.TYPE_SFIXED32: (5, 4), FieldDescriptor.TYPE_FLOAT: (5, 4),
}  # fmt: skip

# wrong in any message
_BROKEN = {
    "field number 0": b"\x02\x00",
    "wire type 6": b"\x0e",
    "wire type 7": b"\x0f",
    "end of a group that never began": b"\x0c",
    "group without an end": b"\xfb\x3f",
    "tag without an end": b"\xff\xff",
    "tag of eleven bytes": b"\xff" * 10 + b"\x01",
    "unknown field cut off": b"\xfa\x3f\x05x",
    "unknown number cut off": b"\xf9\x3f\x00",
}

_NO_TEXT = {"invalid UTF-8": b"a\xffb", "a lone surrogate": b"\xed\xa0\x80"}

_IN_DEVELOPMENT = {"EntityRef", "string_value_strindex", "key_strindex"}
"""Not yet stable in OTLP: a receiver need not know them, and what it does not know it cannot find broken."""


def is_about_text(where: str) -> bool:
    """Whether a case is broken only in being no Unicode."""
    return where.partition(": ")[2] in _NO_TEXT


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _delimited(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def _field_cases(field: FieldDescriptor) -> dict[str, bytes]:
    number = field.number
    if field.type in _VARINTS:
        tag = varint(number << 3)
        cases = {
            "no value": tag,
            "varint without an end": tag + b"\x80" * 9,
            "varint of 11 bytes": tag + b"\x80" * 10 + b"\1",
        }
    elif field.type in _FIXED:
        wire_type, size = _FIXED[field.type]
        cases = {"cut off": varint(number << 3 | wire_type) + bytes(size - 1)}
    else:
        tag = varint(number << 3 | 2)
        cases = {
            "no length": tag,
            "length beyond the end": tag + b"\x05abc",
            "length of 2 GiB": tag + b"\xff\xff\xff\xff\x07abc",
            "negative length": tag + b"\xff" * 9 + b"\x01abc",
        }
        if field.type == FieldDescriptor.TYPE_STRING:
            cases |= {what: _delimited(number, text) for what, text in _NO_TEXT.items()}
    if field.is_repeated and field.is_packed:
        cases["packed, length beyond the end"] = varint(number << 3 | 2) + b"\x09" + bytes(8)
    return cases


def _paths(root: Descriptor) -> dict[Descriptor, list[FieldDescriptor]]:
    """Every message to the shortest way to it."""
    paths: dict[Descriptor, list[FieldDescriptor]] = {root: []}
    waiting = [root]
    while waiting:
        message = waiting.pop(0)
        for field in message.fields:
            kind = field.message_type
            if kind is not None and kind not in paths and kind.name not in _IN_DEVELOPMENT:
                paths[kind] = [*paths[message], field]
                waiting.append(kind)
    return paths


@cache
def broken_requests(root: Descriptor) -> dict[str, bytes]:
    """Where and how, to the body. Only what protobuf's parser refuses."""
    kind: Any = GetMessageClass(root)
    cases: dict[str, bytes] = {}
    for message, path in _paths(root).items():
        broken = {f"{message.name}: {what}": data for what, data in _BROKEN.items()}
        for field in message.fields:
            if field.name in _IN_DEVELOPMENT:
                continue
            broken |= {f"{message.name}.{field.name}: {what}": data for what, data in _field_cases(field).items()}
        for where, data in broken.items():
            body = data
            for field in reversed(path):
                body = _delimited(field.number, body)
            try:
                kind.FromString(body)
            except DecodeError:
                cases[where] = body
    return cases
