"""What a value is and holds, found out without running a line of its code.

Any object may come along: one whose ``__repr__`` raises, whose ``__len__`` lies, whose ``__class__`` is a property. So
types are told apart by identity, and the parts of a built-in container and its subclasses are read with the methods of
the built-in type. What cannot be read like this is shown by the name of its type: iterators, generators, files and
awaitables are never touched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Final, NamedTuple

from bmad_otel._fields import fields, in_class, mro_of
from bmad_otel._scalars import SCALARS, Literal, Text, opaque, text_of


class Items(NamedTuple):
    """The first values of a list or set, and the number of all."""

    values: list[Any]
    size: int


class Members(NamedTuple):
    """The first entries of a mapping, or fields of an object, and the number of all."""

    pairs: list[tuple[Any, Any]]
    size: int


Look = Literal | Text | Items | Members


def look(value: object, max_items: int, max_text: int) -> Look:
    """What ``value`` is: a scalar, or at most ``max_items`` of its parts; of a text the first ``max_text`` characters.

    Raises no `Exception`, and neither changes nor uses up the value.
    """
    kind = type(value)
    try:
        for base in mro_of(kind):
            if (read := _SCALARS.get(id(base))) is not None:
                return read(value, max_text)
            if (part := _CONTAINERS.get(id(base))) is not None:
                return part(value, max_items)
        found = fields(value)
        return opaque(kind) if found is None else Members(list(found[:max_items]), len(found))
    except Exception:  # noqa: BLE001 - half-made objects, closed buffers, containers that change while they are read
        return opaque(kind)


def key_text(key: object, max_text: int) -> Text:
    """The key of a mapping as a name; one that is no scalar goes by its type."""
    if type(key) is bytes:
        return Text(key[:max_text].decode(errors="replace"), len(key))
    match look(key, 0, max_text):
        case Literal(json):
            return text_of(json)
        case Text() as text:
            return text
        case _:
            return opaque(type(key))


# The first parts are copied in one call, so that a container that changes meanwhile disturbs nothing.


def _list(value: list[Any], limit: int) -> Items:
    return Items(list.__getitem__(value, slice(0, limit)), list.__len__(value))


def _tuple(value: tuple[Any, ...], limit: int) -> Items | Members:
    values = list(tuple.__getitem__(value, slice(0, limit)))
    count = tuple.__len__(value)
    kind = type(value)
    names = None if kind is tuple else in_class(kind, "_fields")
    if type(names) is tuple and len(names) == count:
        return Members(list(zip(names, values, strict=False)), count)  # a named tuple
    return Items(values, count)


def _set(value: set[Any], limit: int) -> Items:
    return Items(list(islice(set.__iter__(value), limit)), set.__len__(value))


def _frozenset(value: frozenset[Any], limit: int) -> Items:
    return Items(list(islice(frozenset.__iter__(value), limit)), frozenset.__len__(value))


def _deque(value: deque[Any], limit: int) -> Items:
    return Items(list(islice(deque.__iter__(value), limit)), deque.__len__(value))


def _view(value: Any, limit: int) -> Items:
    return Items(list(islice(value, limit)), len(value))  # a type of Python's own that nobody can subclass


def _dict(value: dict[Any, Any], limit: int) -> Members:
    return Members(list(islice(dict.items(value), limit)), dict.__len__(value))


# By identity, because the hash of a class is its metaclass's business. These types live as long as the process.
_SCALARS: Final = {id(kind): read for kind, read in SCALARS.items()}
_CONTAINERS: Final[dict[int, Callable[[Any, int], Items | Members]]] = {
    id(list): _list, id(tuple): _tuple, id(set): _set, id(frozenset): _frozenset, id(deque): _deque, id(dict): _dict,
    id(type({}.keys())): _view, id(type({}.values())): _view, id(type({}.items())): _view,
}  # fmt: skip
