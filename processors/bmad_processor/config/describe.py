"""What may be written in a component's block: every option with type, default, unit and meaning.

Read from the ``Config`` classes themselves. The reference page and the ``expected`` part of error messages come from
here, so the two cannot differ.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from bmad_processor.emit.config import Target, Url
from bmad_processor.fields import Secret, parse_duration, parse_endpoint, parse_ratio, parse_size
from bmad_processor.quantities import render_duration
from bmad_processor.receive.config import Place

from .tree import Path, printable

_KINDS: Final = {
    parse_duration: "duration",
    parse_size: "size",
    parse_ratio: "share",
    parse_endpoint: "address",
    get_args(Target)[1].func: "address",
    get_args(Place)[1].func: "address",
    get_args(Url)[1].func: "URL",
}
_PLAIN: Final = {
    bool: "true or false", int: "whole number", float: "number", str: "text", Secret: "secret", type(None): "nothing",
}  # fmt: skip
_SIZES: Final = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
_EXAMPLES: Final = {
    "duration": "a duration with its unit, such as 5s, 500ms or 1m30s",
    "size": "a size such as 64MiB, or a number of bytes",
    "share": "a share such as 60%, or 0 to 1",
    "URL": "a URL such as http://localhost:4318",
    "address": "an address as host:port, such as localhost:4317",
    "whole number": "a whole number",
    "number": "a number",
    "mapping": "a mapping",
    "text": "text",
    "secret": "text, best from ${env:NAME} or ${file:path}",
}


@dataclass(frozen=True, slots=True)
class Option:
    """One key of a component's block."""

    path: tuple[str, ...]
    """Keys from the top of the block."""
    kind: str
    """``duration``, ``size``, ``share``, ``address``, ``whole number``, ``list of text``, ``mapping`` ..."""
    default: str
    """As it would be written in the file; ``required`` or ``none`` where there is nothing to write."""
    bounds: str
    """``1s to 1m``, ``at least 1``, or empty."""
    meaning: str

    @property
    def name(self) -> str:
        return "::".join(self.path)


def describe(model: type[BaseModel]) -> tuple[Option, ...]:
    """Every option of ``model`` with those of the blocks inside it, in the order they are declared."""
    return tuple(_options(model, ()))


def _options(model: type[BaseModel], prefix: tuple[str, ...]) -> Iterator[Option]:
    for name, info in model.model_fields.items():
        path = (*prefix, info.alias or name)
        meaning = " ".join((info.description or "").split())
        blocks = list(_models(info.annotation))
        if blocks:
            default = "required" if info.is_required() else "none" if info.default is None else ""
            yield Option(path, "mapping", default, "", meaning or summary(blocks[0]))
            yield from _options(blocks[0], path)
            continue
        yield Option(path, kind_of(info), _default(info), bounds_of(info), meaning)
        if get_origin(info.annotation) is dict:
            for block in _models(get_args(info.annotation)[1]):
                yield from _options(block, (*path, "<id>"))


def allowed_keys(model: type[BaseModel], path: Path) -> tuple[str, ...]:
    """The keys that may stand in the mapping at ``path`` of a block."""
    return tuple(dict.fromkeys(key for m in _models_at(model, path) for key in _fields(m)))


def expected_at(model: type[BaseModel], path: Path) -> str:
    """What may stand at ``path``, in words: ``a duration ..., 1s to 1m``. Empty when the schema does not say."""
    if (info := _field_at(model, path)) is None:
        return ""
    kind = "mapping" if list(_models(info.annotation)) else kind_of(info)
    words = _EXAMPLES.get(kind, f"a {kind}" if kind.startswith(("list", "mapping")) else kind)
    bounds = bounds_of(info)
    return f"{words}; {bounds}" if bounds else words


def is_secret_at(model: type[BaseModel], path: Path) -> bool:
    """Whether what is written at ``path`` must not be shown."""
    while path and isinstance(path[-1], int):
        path = path[:-1]
    info = _field_at(model, path)
    return info is not None and "secret" in kind_of(info)


def bounds_at(model: type[BaseModel], path: Path) -> str:
    """The range of the value at ``path``; empty when there is none."""
    info = _field_at(model, path)
    return "" if info is None else bounds_of(info)


def kind_at(model: type[BaseModel], path: Path) -> str:
    """What is written at ``path``, in one or two words; of a list or mapping also for what is in it."""
    for length in range(len(path), 0, -1):
        if (info := _field_at(model, path[:length])) is not None:
            return kind_of(info)
    return ""


def _field_at(model: type[BaseModel], path: Path) -> FieldInfo | None:
    if not path or not isinstance(path[-1], str):
        return None
    found = (_fields(outer).get(path[-1]) for outer in _models_at(model, path[:-1]))
    return next((info for info in found if info is not None), None)


def kind_of(info: FieldInfo) -> str:
    """What is written there, in one or two words."""
    marks = (mark.func for mark in _marks(info) if isinstance(mark, BeforeValidator))
    return next((_KINDS[mark] for mark in marks if mark in _KINDS), None) or _kind(info.annotation)


def _marks(info: FieldInfo) -> Iterator[Any]:
    """What is annotated to a field, also below an optional."""
    yield from info.metadata
    for arg in get_args(info.annotation) if get_origin(info.annotation) in (Union, types.UnionType) else ():
        if get_origin(arg) is Annotated:
            for mark in get_args(arg)[1:]:
                yield from mark.metadata if isinstance(mark, FieldInfo) else (mark,)


def _kind(annotation: Any) -> str:
    if isinstance(annotation, type) and annotation in _PLAIN:
        return _PLAIN[annotation]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(str(member.value) for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        marks = [m.func for m in args[1:] if isinstance(m, BeforeValidator)]
        return next((_KINDS[mark] for mark in marks if mark in _KINDS), _kind(args[0]))
    if origin is Literal:
        return " or ".join(str(arg) for arg in args)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(arg) for arg in args if arg is not type(None)))
    if origin in (list, tuple, set, frozenset):
        return f"list of {_kind(args[0])}" if args else "list"
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return f"mapping of text to {_kind(args[1])}" if len(args) == 2 else "mapping"
    return "value"


def bounds_of(info: FieldInfo) -> str:
    """The range of a field with its units, in words."""
    kind = kind_of(info)
    limits = {name: getattr(mark, name) for mark in _marks(info) for name in ("ge", "gt", "le", "lt")
              if getattr(mark, name, None) is not None}  # fmt: skip
    low = limits.get("ge", limits.get("gt"))
    high = limits.get("le", limits.get("lt"))
    low_text = "" if low is None else ("more than " if "gt" in limits else "at least ") + render_value(kind, low)
    high_text = "" if high is None else ("less than " if "lt" in limits else "at most ") + render_value(kind, high)
    if "ge" in limits and "le" in limits:
        return f"{render_value(kind, low)} to {render_value(kind, high)}"
    return ", ".join(text for text in (low_text, high_text) if text)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True, validated_data={})
    return "none" if value is None else render_value(kind_of(info), value)


def render_value(kind: str, value: Any) -> str:
    """``value`` in base units as it would be written in a file."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float() if kind == "duration":
            return render_duration(int(value))
        case int() if kind == "size":
            return next((f"{value // n}{unit}" for unit, n in _SIZES if value and value % n == 0), str(value))
        case float() | int() if kind == "share":
            return f"{round(value * 100, 6):g}%"
        case Enum():
            return str(value.value)
        case list() | tuple() | set() | frozenset():
            return "[" + ", ".join(render_value("", item) for item in value) + "]"
        case Mapping():
            return "{" + ", ".join(f"{key}: {render_value('', item)}" for key, item in value.items()) + "}"
        case float():
            return f"{value:g}"
        case str():
            return printable(value) if value else '""'
        case _:
            return str(value)


def summary(model: type[BaseModel]) -> str:
    return (inspect.getdoc(model) or "").split("\n\n")[0].replace("\n", " ")


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models an annotation is made of, looking into optional, annotated and union types but not into lists."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from _models(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for arg in get_args(annotation):
            yield from _models(arg)


def _models_at(model: type[BaseModel], path: Path) -> list[type[BaseModel]]:
    level: list[Any] = [model]
    for part in path:
        following: list[Any] = []
        for annotation in level:
            for found in _models(annotation):
                if isinstance(part, str) and (info := _fields(found).get(part)) is not None:
                    following.append(info.annotation)
            if get_origin(annotation) in (list, tuple, dict) and get_args(annotation):
                following.append(get_args(annotation)[-1 if get_origin(annotation) is dict else 0])
        level = following
    return [found for annotation in level for found in _models(annotation)]
