"""OTLP/JSON to protobuf bytes.

OTLP/JSON is not proto3 JSON: trace and span ids are hex. `google.protobuf.json_format` reads them as base64 without a
word, takes strings where objects belong and needs five times the CPU; so the conversion is done here, driven by
the field descriptors of `opentelemetry.proto`. What OTLP asks for and what is tolerated beyond it:

* keys are lowerCamelCase; the original snake_case names are read as well, as the Collector does
* unknown keys are ignored; of a key that is written twice the last counts
* ids are hex in either case. One of wrong length or with other digits becomes one zero byte, which is no id either: the
  decoder then rejects that item alone, as it does with protobuf
* 64-bit integers are decimal strings or numbers; doubles may be "NaN", "Infinity", "-Infinity"
* enums are integers; names are read as well, as the Collector does
* bytes are base64, standard or URL-safe; null means absent

Strictly, snake_case names and names of enum values are refused: they say the sender's encoder is not one for OTLP.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import EncodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from bmad_processor.errors import Malformed
from bmad_processor.model import Signal

_REQUESTS: Final[dict[Signal, type[Message]]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}

_SPAN: Final = Span.DESCRIPTOR

MAX_DEPTH: Final = 100
"""Nesting of messages; protobuf's own decoders refuse more than 100 levels, so deeper ones could not be read again."""

_ID_BYTES: Final = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
WRONG_ID: Final = b"\0"
"""Stands for every id that is none."""
_DECIMAL: Final = re.compile(r"-?[0-9]{1,20}")
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DOUBLES: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class _Invalid(Exception):
    """What is wrong; the path grows while it travels up."""

    def __init__(self, message: str) -> None:
        self.message = message
        self.path = ""


def _integer(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is str and _DECIMAL.fullmatch(value):
        return int(value)
    if type(value) is float and value.is_integer():
        return int(value)
    raise _Invalid("expected an integer or a decimal string")


def _double(value: Any) -> float:
    if type(value) is float or type(value) is int:
        number = float(value)
    elif type(value) is str and value in _DOUBLES:
        return _DOUBLES[value]
    elif type(value) is str and _NUMBER.fullmatch(value):
        number = float(value)
    else:
        raise _Invalid('expected a number, "NaN", "Infinity" or "-Infinity"')
    if math.isinf(number):
        raise _Invalid("number out of range")
    return number


def _bool(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise _Invalid("expected true or false")


def _string(value: Any) -> str:
    if type(value) is str:
        return value
    raise _Invalid("expected a string")


def _base64(value: Any) -> bytes:
    text = _string(value).replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _Invalid("expected base64") from error


def _hex(n_bytes: int) -> Callable[[Any], bytes]:
    def convert(value: Any) -> bytes:
        text = _string(value)
        if not text:
            return b""
        try:
            # fromhex skips white space, so the length is checked on both sides
            data = bytes.fromhex(text) if len(text) == 2 * n_bytes else WRONG_ID
        except ValueError:
            return WRONG_ID
        return data if len(data) == n_bytes else WRONG_ID

    return convert


def _enum(enum: EnumDescriptor, *, is_strict: bool) -> Callable[[Any], int]:
    # a dict of our own: protobuf's raises SystemError when it is asked for a lone surrogate
    numbers = {known.name: known.number for known in enum.values}

    def convert(value: Any) -> int:
        if type(value) is str and (number := numbers.get(value)) is not None:
            if is_strict:
                raise _Invalid(f"expected the number of the enum value, {number}")
            return number
        return _integer(value)

    return convert


def _snake(json_name: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        del value
        raise _Invalid(f"the key is written {json_name}")

    return convert


_SCALARS: Final[dict[int, Callable[[Any], Any]]] = {
    FieldDescriptor.CPPTYPE_INT32: _integer,
    FieldDescriptor.CPPTYPE_INT64: _integer,
    FieldDescriptor.CPPTYPE_UINT32: _integer,
    FieldDescriptor.CPPTYPE_UINT64: _integer,
    FieldDescriptor.CPPTYPE_DOUBLE: _double,
    FieldDescriptor.CPPTYPE_FLOAT: _double,
    FieldDescriptor.CPPTYPE_BOOL: _bool,
}


class _Field(NamedTuple):
    name: str
    is_repeated: bool
    convert: Callable[[Any], Any] | None
    """None for a message."""


def _converter(field: FieldDescriptor, *, is_strict: bool) -> Callable[[Any], Any] | None:
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        return None
    if field.enum_type is not None:
        return _enum(field.enum_type, is_strict=is_strict)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _hex(_ID_BYTES[field.name]) if field.name in _ID_BYTES else _base64
    if field.type == FieldDescriptor.TYPE_STRING:
        return _string
    return _SCALARS[field.cpp_type]


@cache  # two entries per message type of opentelemetry.proto
def _plan(descriptor: Descriptor, is_strict: bool) -> dict[str, _Field]:
    """JSON key to what to do with its value."""
    fields: dict[str, _Field] = {}
    for field in descriptor.fields:
        found = _Field(field.name, field.is_repeated, _converter(field, is_strict=is_strict))
        fields[field.name] = _Field(field.name, False, _snake(field.json_name)) if is_strict else found
        fields[field.json_name] = found
    return fields


def _fill_repeated(message: Any, field: _Field, value: Any, depth: int, is_strict: bool) -> None:
    if type(value) is not list:
        raise _Invalid("expected an array")
    target = getattr(message, field.name)
    index = 0
    try:
        if field.convert is None:
            for index, item in enumerate(value):  # noqa: B007 - the index is for the error
                _fill(target.add(), item, depth + 1, is_strict)
        else:
            for index, item in enumerate(value):  # noqa: B007
                target.append(field.convert(item))
    except _Invalid as error:
        error.path = f"[{index}]{error.path}"
        raise
    except (ValueError, TypeError) as error:
        invalid = _Invalid(_reason(error))
        invalid.path = f"[{index}]"
        raise invalid from error


def _fill(message: Any, value: Any, depth: int, is_strict: bool) -> None:
    if type(value) is not dict:
        raise _Invalid("expected an object")
    if depth > MAX_DEPTH:
        raise _Invalid(f"nested deeper than {MAX_DEPTH} levels")
    plan = _plan(message.DESCRIPTOR, is_strict)
    for key, item in value.items():
        field = plan.get(key)
        if field is None or item is None:
            continue
        try:
            if field.is_repeated:
                _fill_repeated(message, field, item, depth, is_strict)
            elif field.convert is None:
                child = getattr(message, field.name)
                child.SetInParent()
                _fill(child, item, depth + 1, is_strict)
            else:
                setattr(message, field.name, field.convert(item))
        except _Invalid as error:
            error.path = f".{key}{error.path}"
            raise
        except (ValueError, TypeError) as error:
            invalid = _Invalid(_reason(error))
            invalid.path = f".{key}"
            raise invalid from error
    if message.DESCRIPTOR is _SPAN and any(WRONG_ID in (link.trace_id, link.span_id) for link in message.links):
        message.trace_id = WRONG_ID  # the decoder does not look into links


def _reason(error: Exception) -> str:
    # protobuf's own words for a value out of range; for a lone surrogate they would quote the text
    return "not valid Unicode" if isinstance(error, UnicodeError) else str(error)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON; OTLP writes it as a string")


def to_protobuf(signal: Signal, body: bytes, is_strict: bool = False) -> bytes:
    """One OTLP/JSON request as protobuf bytes.

    Raises Malformed with the path of the first thing that is wrong, such as
    ``resourceSpans[0].scopeSpans[0].spans[2].name: expected a string``.
    """
    try:
        value = json.loads(body.decode(), parse_constant=_no_constant)
    except RecursionError as error:
        raise Malformed("body is nested too deeply") from error
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, a number of thousands of digits
        raise Malformed(f"body is not valid JSON: {error}") from error
    message = _REQUESTS[signal]()
    try:
        _fill(message, value, 1, is_strict)
        return message.SerializeToString()
    except _Invalid as error:
        where = error.path.removeprefix(".") or "body"
        raise Malformed(f"{where}: {error.message}") from error
    except (RecursionError, EncodeError) as error:
        raise Malformed("body is nested too deeply") from error
