"""Classes and the fields of objects, read without running a line of their code.

A metaclass may override how a class compares, hashes and names itself, and a class how its attributes are found. So
classes are read with the descriptors of `type`, instances through the descriptors of their dictionary and slots.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

_MAX_NAME: Final = 100  # characters of a class's name
_MAX_FIELDS: Final = 1000  # entries of an instance's dictionary, or of a class's table of fields, that are looked at

NOTHING: Final = object()
"""What an empty slot holds."""

mro_of: Final[Callable[[type], tuple[type, ...]]] = type.__dict__["__mro__"].__get__
"""A class and its bases."""

_namespace_of: Final[Callable[[type], types.MappingProxyType[str, Any]]] = type.__dict__["__dict__"].__get__
_raw_name_of: Final[Callable[[type], str]] = type.__dict__["__name__"].__get__

# Where dataclasses, attrs and pydantic (2.10 on, 2.0 on, 1) keep the fields of a class.
_TABLES: Final = ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_fields__", "model_fields", "__fields__")


def name_of(kind: type) -> str:
    """The name of a class, without its module."""
    return str.__getitem__(_raw_name_of(kind), slice(0, _MAX_NAME))


def in_class(kind: type, attribute: str) -> Any:
    """The attribute as it stands in the class or in the first base that has it, or None."""
    for base in mro_of(kind):
        found = _namespace_of(base).get(attribute)
        if found is not None:
            return found
    return None


def entries(value: object) -> list[tuple[Any, Any]]:
    """The first entries of an instance's dictionary; none if it has no dictionary of the usual kind."""
    for base in mro_of(type(value)):
        getter = _namespace_of(base).get("__dict__")
        if type(getter) is types.GetSetDescriptorType:
            return list(islice(dict.items(getter.__get__(value)), _MAX_FIELDS))
    return []


def slot(value: object, name: str) -> Any:
    """The content of the slot ``name``; `NOTHING` if there is none or it is empty."""
    for base in mro_of(type(value)):
        member = _namespace_of(base).get(name)
        if type(member) is types.MemberDescriptorType:
            try:
                return member.__get__(value)
            except AttributeError:
                break
    return NOTHING


def fields(value: object) -> list[tuple[str, Any]] | None:
    """Fields of a dataclass, attrs or pydantic object but those with ``repr=False``; None for any other object."""
    names = _field_names(type(value))
    if names is None:
        return None
    found = {key: part for key, part in entries(value) if type(key) is str and key in names}
    for name in names:
        if name not in found and (part := slot(value, name)) is not NOTHING:
            found[name] = part
    return [(name, found[name]) for name in names if name in found]


def _field_names(kind: type) -> dict[str, None] | None:
    for attribute in _TABLES:
        table = in_class(kind, attribute)
        if table is not None and (described := _described(table)) is not None:
            return {name: None for name, field in described if type(name) is str and slot(field, "repr") is not False}
    return None


def _described(table: object) -> Iterator[tuple[Any, Any]] | None:
    """Names of the fields and their descriptions."""
    if type(table) is dict:
        return islice(dict.items(table), _MAX_FIELDS)
    if issubclass(type(table), tuple):  # not isinstance, which would ask the object for its __class__
        described: Any = table
        return ((slot(field, "name"), field) for field in islice(tuple.__iter__(described), _MAX_FIELDS))
    return None
