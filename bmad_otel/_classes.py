"""`instrument_agent`: which methods of a class are tasks."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any, TypeVar, overload

from bmad_otel._track import track_task
from bmad_otel._tracker import TRACKED

C = TypeVar("C", bound=type)


@overload
def instrument_agent(cls: C, /) -> C: ...
@overload
def instrument_agent(
    cls: None = ..., /, *, include: Iterable[str] = ..., exclude: Iterable[str] = ..., **track: Any
) -> Callable[[C], C]: ...
@overload
def instrument_agent(cls: C, /, *, include: Iterable[str] = ..., exclude: Iterable[str] = ..., **track: Any) -> C: ...
def instrument_agent(
    cls: C | None = None, /, *, include: Iterable[str] = ("*",), exclude: Iterable[str] = (), **track: Any
) -> C | Callable[[C], C]:
    """Put `track_task` on the methods of a class: bare or with arguments as a decorator, or called with a class of
    somebody else's. The class is changed in place and returned; instrumenting it twice changes nothing more.

    Methods are the functions, static and class methods the class itself defines, of any kind, whose names do not begin
    with an underscore. Properties, abstract methods, nested classes and what is tracked already are left alone.

    ``include``, ``exclude``: patterns of method names, as `fnmatch` has them; ``exclude`` wins. An inherited method, or
    one whose name begins with an underscore, is taken when ``include`` names it literally.
    ``track``: arguments of `track_task` other than ``name`` and ``task_id``, for every method.

    Raises TypeError or ValueError naming the argument, and ValueError if a name in ``include`` is no method.
    """
    included, excluded = _patterns("include", include), _patterns("exclude", exclude)
    for argument in ("name", "task_id"):
        if argument in track:
            raise TypeError(f"instrument_agent: {argument} belongs to one method; give it with track_task there")
    tracker = track_task(**track)

    def instrument(target: C) -> C:
        if not isinstance(target, type):
            raise TypeError(f"instrument_agent: a class is needed, not {target!r}; arguments are given by keyword")
        for name in _chosen(target, included, excluded):
            setattr(target, name, tracker(inspect.getattr_static(target, name)))
        return target

    return instrument if cls is None else instrument(cls)


def _chosen(cls: type, include: tuple[str, ...], exclude: tuple[str, ...]) -> list[str]:
    literal = {name for name in include if not set(name) & set("*?[")}
    for name in sorted(literal):
        if not _is_method(inspect.getattr_static(cls, name, None)):
            raise ValueError(f"instrument_agent: include: {cls.__name__} has no method {name!r}")
    candidates = {name for name in vars(cls) if not name.startswith("_")} | literal
    return [
        name
        for name in sorted(candidates)
        if any(fnmatchcase(name, pattern) for pattern in include)
        and not any(fnmatchcase(name, pattern) for pattern in exclude)
        and _is_trackable(inspect.getattr_static(cls, name))
    ]


def _is_method(member: object) -> bool:
    return inspect.isfunction(member) or isinstance(member, staticmethod | classmethod | functools.partialmethod)


def _is_trackable(member: object) -> bool:
    if isinstance(member, staticmethod | classmethod):
        member = member.__func__
    return (
        inspect.isfunction(member)
        and not getattr(member, "__isabstractmethod__", False)
        and not getattr(member, TRACKED, False)
    )


def _patterns(argument: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"instrument_agent: {argument} must be several names or patterns, not {value!r}")
    patterns = tuple(value)
    for pattern in patterns:
        if not isinstance(pattern, str) or not pattern:
            raise TypeError(f"instrument_agent: {argument}: {pattern!r} is not a name or pattern")
    return patterns
