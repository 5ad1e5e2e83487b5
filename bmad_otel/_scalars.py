"""Values without parts, as a JSON literal or as text, made by the methods of the built-in types alone.

A subclass may override any method of its base, so each reader names the class whose method it calls.
"""

from __future__ import annotations

import datetime
import types
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from bmad_otel._fields import entries, name_of
from bmad_otel._secrets import REDACTED, Verdict, verdict_on

_MAX_NUMBER_BITS: Final = 1024
"""Whole numbers up to 309 digits; Python may refuse to print more than 640."""

_MAX_DECIMAL_BYTES: Final = 1024  # some 2,000 digits

_PATHS: Final = (PosixPath, WindowsPath, PurePosixPath, PureWindowsPath)


class Literal(NamedTuple):
    """A number, true, false or null, as JSON has it."""

    json: str


class Text(NamedTuple):
    """The beginning of a text, and the characters of the whole."""

    start: str
    length: int


def text_of(text: str) -> Text:
    """A short text as a whole."""
    return Text(text, len(text))


def opaque(kind: type) -> Text:
    """What is shown of a value that is not looked into: the name of its type."""
    return text_of(f"<{name_of(kind)}>")


def _none(_value: None, _limit: int) -> Literal:
    return Literal("null")


def _bool(value: bool, _limit: int) -> Literal:
    return Literal("true" if value else "false")


def _int(value: int, _limit: int) -> Literal | Text:
    bits = int.bit_length(value)
    return Literal(int.__repr__(value)) if bits <= _MAX_NUMBER_BITS else text_of(f"<int of {bits} bits>")


def _float(value: float, _limit: int) -> Literal | Text:
    number = float.__repr__(value)
    return text_of(number) if number in ("nan", "inf", "-inf") else Literal(number)  # JSON has no word for these


def _complex(value: complex, _limit: int) -> Text:
    return text_of(complex.__repr__(value))


def _decimal(value: Decimal, _limit: int) -> Text:
    size = Decimal.__sizeof__(value)
    return text_of(Decimal.__str__(value)) if size <= _MAX_DECIMAL_BYTES else text_of(f"<Decimal of {size} bytes>")


def _str(value: str, limit: int) -> Text:
    kind = type(value)
    if kind is not str and verdict_on(name_of(kind)) is Verdict.SECRET:
        return text_of(REDACTED)  # a text that is of a class such as Secret
    return Text(str.__getitem__(value, slice(0, limit)), str.__len__(value))


def _bytes(value: bytes, _limit: int) -> Text:
    return text_of(f"<bytes of length {bytes.__len__(value)}>")


def _bytearray(value: bytearray, _limit: int) -> Text:
    return text_of(f"<bytearray of length {bytearray.__len__(value)}>")


def _memoryview(value: memoryview, _limit: int) -> Text:
    return text_of(f"<memoryview of length {value.nbytes}>")


def _enum(value: Enum, limit: int) -> Text:
    kind = type(value)
    for key, name in entries(value):
        if type(key) is str and key == "_name_" and type(name) is str:
            return text_of(f"{name_of(kind)}.{name}"[:limit])
    return opaque(kind)


def _getters(kind: type, *names: str) -> tuple[Callable[[object], Any], ...]:
    return tuple(getattr(kind, name).__get__ for name in names)


_DATE: Final = _getters(datetime.datetime, "year", "month", "day", "hour", "minute", "second", "microsecond", "tzinfo")
_TIME: Final = _getters(datetime.time, "hour", "minute", "second", "microsecond")
_ZONES: Final = (datetime.timezone, ZoneInfo)


def _datetime(value: datetime.datetime, _limit: int) -> Text:
    read: list[Any] = [get(value) for get in _DATE]
    if not any(type(read[-1]) is known for known in _ZONES):
        read[-1] = None  # another zone's offset is known to its code only
    return text_of(datetime.datetime(*read).isoformat())


def _date(value: datetime.date, _limit: int) -> Text:
    return text_of(datetime.date.isoformat(value))


def _time(value: datetime.time, _limit: int) -> Text:
    return text_of(datetime.time(*(get(value) for get in _TIME)).isoformat())


def _timedelta(value: datetime.timedelta, _limit: int) -> Text:
    return text_of(datetime.timedelta.__str__(value))


def _uuid(value: UUID, _limit: int) -> Text:
    number = UUID.__dict__["int"].__get__(value)
    return text_of(str(UUID(int=number))) if type(number) is int else opaque(type(value))


def _path(value: PurePath, limit: int) -> Text:
    kind = type(value)
    if not any(kind is known for known in _PATHS):
        return opaque(kind)  # a subclass may override what the text is made of
    text = PurePath.__str__(value)
    return Text(text[:limit], len(text))


def _function(value: types.FunctionType, limit: int) -> Text:
    name = types.FunctionType.__dict__["__name__"].__get__(value)
    return text_of(f"<function {str.__getitem__(name, slice(0, limit))}>")


def _class(value: type, _limit: int) -> Text:
    return text_of(f"<class {name_of(value)}>")


def _range(value: range, _limit: int) -> Text:
    bits = max(map(int.bit_length, (value.start, value.stop, value.step)))
    return text_of(repr(value)) if bits <= _MAX_NUMBER_BITS else opaque(range)


SCALARS: Final[dict[type, Callable[[Any, int], Literal | Text]]] = {
    type(None): _none, bool: _bool, int: _int, float: _float, complex: _complex, Decimal: _decimal,
    str: _str, bytes: _bytes, bytearray: _bytearray, memoryview: _memoryview, Enum: _enum,
    datetime.datetime: _datetime, datetime.date: _date, datetime.time: _time, datetime.timedelta: _timedelta,
    UUID: _uuid, PurePath: _path, types.FunctionType: _function, type: _class, range: _range,
}  # fmt: skip
"""What reads the values of each type and of its subclasses, given the characters of text that are wanted."""
