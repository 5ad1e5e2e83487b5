"""Capturing content runs no code of the values, whatever they override, and its work is bounded."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import pathlib
import sys
import traceback
import uuid
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pydantic
import pytest

from bmad_otel import Capture
from bmad_otel._content import ArgumentNames, arguments_text, result_text

RAN: list[str] = []
"""Which overridden methods have run."""

OVERRIDDEN = (
    "__repr__", "__str__", "__eq__", "__hash__", "__len__", "__iter__", "__bool__", "__int__", "__float__", "__index__",
    "__getitem__", "__contains__", "__format__", "__getattribute__", "__sizeof__", "__lt__", "__add__", "__reversed__",
    "__await__", "__next__", "__call__", "__fspath__", "__buffer__", "items", "keys", "values", "get", "isoformat",
    "utcoffset", "encode", "lower", "bit_length", "to_json", "model_dump", "dict", "year", "name", "_fields",
)  # fmt: skip


def trap(name: str) -> Callable[..., Any]:
    def ran(*_: object, **__: object) -> Any:
        RAN.append(name)
        raise RuntimeError(name)

    return ran


class HostileMeta(type):
    """A class that cannot even be compared, hashed or asked for its name."""

    __eq__ = __hash__ = __getattribute__ = __instancecheck__ = __subclasscheck__ = trap("metaclass")  # type: ignore[assignment]

    def __call__(cls, *arguments: Any) -> Any:
        return type.__call__(cls, *arguments)


def hostile(base: type, *arguments: Any) -> Any:
    """An instance of a subclass of ``base`` that overrides all there is to override."""
    overrides: dict[str, Any] = {name: trap(f"{base.__name__}.{name}") for name in OVERRIDDEN}
    overrides["__class__"] = property(trap(f"{base.__name__}.__class__"))
    if base is object:
        overrides["__dict__"] = property(trap("object.__dict__"))
    kind = type.__new__(HostileMeta, f"Hostile{base.__name__}", (base,), overrides)
    return base.__new__(kind, *arguments)


class Zone(datetime.tzinfo):
    utcoffset = dst = tzname = trap("tzinfo")


class OddPath(pathlib.PurePosixPath):
    __str__ = __repr__ = __fspath__ = as_posix = trap("path")


class Key:
    """A key that claims to be the field it is not."""

    def __hash__(self) -> int:
        return hash("x")

    __eq__ = trap("key")  # type: ignore[assignment]


@dataclass
class Field:
    x: Any


def filled(container: Any, fill: Callable[..., Any], *parts: Any) -> Any:
    fill(container, *parts)
    return container


def odd_dictionary() -> Field:
    made = Field(1)
    made.__dict__ = {Key(): 1}
    return made


def released() -> memoryview:
    view = memoryview(b"x")
    view.release()
    return view


HOSTILE: dict[str, tuple[Callable[[], Any], Any]] = {
    "object": (lambda: hostile(object), "<Hostileobject>"),
    "class": (lambda: type.__new__(HostileMeta, "Named", (), {}), "<class Named>"),
    "int": (lambda: hostile(int, 5), 5),
    "float": (lambda: hostile(float, 1.5), 1.5),
    "complex": (lambda: hostile(complex, 1j), "1j"),
    "str": (lambda: hostile(str, "abc"), "abc"),
    "bytes": (lambda: hostile(bytes, b"abc"), "<bytes of length 3>"),
    "bytearray": (lambda: hostile(bytearray), "<bytearray of length 0>"),
    "list": (lambda: filled(hostile(list), list.extend, [1, 2]), [1, 2]),
    "tuple": (lambda: hostile(tuple, (1, 2)), [1, 2]),
    "dict": (lambda: filled(hostile(dict), dict.update, {"a": 1}), {"a": 1}),
    "OrderedDict": (lambda: filled(hostile(OrderedDict), dict.update, {"a": 1}), {"a": 1}),
    "set": (lambda: filled(hostile(set), set.add, 1), [1]),
    "frozenset": (lambda: hostile(frozenset, [1]), [1]),
    "deque": (lambda: filled(hostile(deque), deque.append, 1), [1]),
    "datetime": (lambda: hostile(datetime.datetime, 2026, 1, 2, 3, 4), "2026-01-02T03:04:00"),
    "date": (lambda: hostile(datetime.date, 2026, 1, 2), "2026-01-02"),
    "time": (lambda: hostile(datetime.time, 1, 2), "01:02:00"),
    "timedelta": (lambda: hostile(datetime.timedelta, 1), "1 day, 0:00:00"),
    "decimal": (lambda: hostile(decimal.Decimal, "1.50"), "1.50"),
    "path": (lambda: OddPath("/a"), "<OddPath>"),
    "exception": (lambda: hostile(ValueError, "x"), "<HostileValueError>"),
    "another's time zone": (lambda: datetime.datetime(2026, 1, 1, tzinfo=Zone()), "2026-01-01T00:00:00"),
    "keys that collide": (lambda: {Key(): 1, "y": 2}, {"<Key>": 1, "y": 2}),
    "an instance's odd dictionary": (odd_dictionary, {}),
    "never initialised": (lambda: object.__new__(Field), {}),
    "UUID without a number": (lambda: object.__new__(uuid.UUID), "<UUID>"),
    "released view": (released, "<memoryview>"),
    "dead proxy": (lambda: weakref.proxy(Field(1)), "<ProxyType>"),
    "a name of 1 MB": (type("N" * 1_000_000, (), {}), f"<{'N' * 100}>"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_code_of_a_value_runs(name: str) -> None:
    make, shown = HOSTILE[name]
    value = make()
    RAN.clear()
    text = result_text([value], Capture(max_time_s=60))
    assert (json.loads(text), RAN) == ([shown], [])
    text = arguments_text(ArgumentNames(("x",), "rest"), (value, value), {"y": {"z": value}}, Capture(max_time_s=60))
    assert (json.loads(text), RAN) == ({"x": shown, "rest": [shown], "y": {"z": shown}}, [])


class Colour(enum.Enum):
    RED = object()


class Level(enum.IntEnum):
    HIGH = 3


class Word(enum.StrEnum):
    YES = "yes"


class Size(NamedTuple):
    width: int
    token: str


@dataclass(slots=True)
class Slots:
    a: int
    unset: int = field(init=False)
    hidden: str = field(default="unseen", repr=False)


class Model(pydantic.BaseModel):
    a: int
    key: pydantic.SecretStr
    api_key: str
    hidden: str = pydantic.Field(default="unseen", repr=False)


class SecretText(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Colour.RED, "Colour.RED"),
        (Level.HIGH, 3),
        (Word.YES, "yes"),
        (Size(2, "unseen"), {"width": 2, "token": "[redacted]"}),
        (Slots(1), {"a": 1}),
        (Model(a=1, key="unseen", api_key="unseen"), {"a": 1, "key": "<SecretStr>", "api_key": "[redacted]"}),
        (SecretText("unseen"), "[redacted]"),
        (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "2026-01-01T00:00:00+00:00"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (decimal.Decimal("1.5E+100000"), "1.5E+100000"),
        (10**400, "<int of 1329 bits>"),
        ({b"password": "unseen"}, {"password": "[redacted]"}),
        ({1: "a", "1": "b", None: "c", (1, 2): "d", "...": "e"},
         {"1": "a", "1 (2)": "b", "null": "c", "<tuple>": "d", "... (2)": "e"}),
        ({"a": 1}.items(), [["a", 1]]),
        (range(3), "range(0, 3)"),
        (test_no_code_of_a_value_runs, "<function test_no_code_of_a_value_runs>"),
        ([("Authorization", "unseen"), ("Accept", "json")], [["Authorization", "[redacted]"], ["Accept", "json"]]),
    ],
)  # fmt: skip
def test_what_is_shown_of(value: Any, shown: Any) -> None:
    text = result_text(value, Capture())
    assert json.loads(text) == shown
    assert "unseen" not in text


def test_files_generators_and_awaitables_are_as_they_were(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    path.write_text("content")

    async def later() -> None: ...

    def items() -> Iterator[int]:
        yield 1

    generator, coroutine = items(), later()
    with path.open() as file:
        shown = json.loads(result_text([file, generator, coroutine], Capture()))
        assert file.read() == "content"
    assert list(generator) == [1]
    coroutine.close()
    assert shown == ["<TextIOWrapper>", "<generator>", "<coroutine>"]


def test_work_is_bounded_by_the_length_of_the_text_and_not_by_the_value() -> None:
    """Thirty levels of fifty references each: 50**30 values, of which a few can be told."""
    many: Any = "end"
    for _ in range(30):
        many = [many] * 50
    visited = 0

    def count(_path: str, value: object) -> object:
        nonlocal visited
        visited += 1
        return value

    text = result_text(many, Capture(max_depth=40, max_time_s=60, redact=count))
    json.loads(text)
    assert visited <= 8192 / len("[],")


def test_a_hook_that_invents_without_end_is_bounded() -> None:
    text = result_text(1, Capture(max_depth=10**6, max_time_s=60, redact=lambda _path, _value: [1, 2, 3]))
    json.loads(text)
    assert len(text) <= 8192


def test_a_hook_that_takes_too_long_is_asked_no_more() -> None:
    asked: list[str] = []

    def slow(path: str, value: object) -> object:
        asked.append(path)
        return sum(range(200_000)) if len(asked) > 1 else value

    text = result_text(list(range(40)), Capture(max_time_s=1e-6, redact=slow))
    assert len(asked) <= 2
    json.loads(text)


def test_time_is_a_budget_without_a_hook_too() -> None:
    text = result_text({str(i): list(range(50)) for i in range(50)}, Capture(max_time_s=1e-9))
    assert "[cut]" in text
    json.loads(text)


def test_an_interruption_passes_through_the_hook() -> None:
    def interrupted(_path: str, _value: object) -> object:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        result_text(1, Capture(redact=interrupted))


def test_a_decimal_of_many_digits_is_shown_by_its_size() -> None:
    assert json.loads(result_text(decimal.Decimal(10**4000), Capture())).startswith("<Decimal of ")


def test_a_stack_nearly_used_up() -> None:
    """As soon as there is room to call us at all, the answer is a text."""
    capture = Capture()

    def descend(depth: int) -> str:
        if depth:
            return descend(depth - 1)
        return result_text({"a": [1]}, capture)

    seen = set()
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit()):
        try:
            seen.add(descend(depth))
        except RecursionError as error:
            (*_, (innermost, _)) = traceback.walk_tb(error.__traceback__)
            assert innermost.f_code.co_name == "descend"
    assert seen == {'{"a":[1]}', '"[failed]"'}


def test_a_long_member_does_not_hide_the_short_ones_behind_it() -> None:
    text = arguments_text(
        ArgumentNames(("messages", "model", "limit")), (["x" * 1000] * 50, "a-model-with-a-name", 7), {}, Capture()
    )
    shown = json.loads(text)
    assert (shown["model"], shown["limit"]) == ("a-model-with-a-name", 7)
    assert shown["messages"][-1].startswith("... (")


def test_a_text_that_does_not_fit_is_shown_in_part() -> None:
    shown = json.loads(result_text("\x00" * 5000, Capture(max_string=5000, max_length=200)))
    assert shown.startswith("\x00")
    assert shown.endswith("... (5000 characters)")


class Receiver:
    def method(self, password: str, *rest: int, limit: int = 1, **more: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "shown"),
    [
        (Receiver.method, (Receiver(), "unseen", 1, 2), {"limit": 2, "extra": 3},
         {"password": "[redacted]", "rest": [1, 2], "limit": 2, "extra": 3}),
        (Receiver.method, (), {"self": Receiver(), "password": "unseen"}, {"password": "[redacted]"}),
        (Receiver().method, ("unseen",), {}, {"password": "[redacted]"}),
        (dict.update, ({}, [("a", 1)]), {"b": 2}, {"0": {}, "1": [["a", 1]], "b": 2}),
        (lambda first, /, **more: None, (1,), {"first": 2}, {"first": 1, "first (2)": 2}),
        (staticmethod(lambda a: None), (1,), {}, {"a": 1}),
        (lambda a: None, (1, 2), {}, {"a": 1, "1": 2}),
    ],
)  # fmt: skip
def test_arguments_by_name(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], shown: Any) -> None:
    names = ArgumentNames.of(function)
    assert json.loads(arguments_text(names, args, kwargs, Capture())) == shown
    assert names.count(args, kwargs) == len(list(names.pairs(args, kwargs)))


def test_a_function_whose_signature_raises_is_shown_by_position() -> None:
    class Odd:
        @property
        def __signature__(self) -> Any:
            raise RuntimeError("no signature")

        def __call__(self, *_: object) -> None: ...

    assert json.loads(arguments_text(ArgumentNames.of(Odd()), (1,), {}, Capture())) == {"0": 1}
