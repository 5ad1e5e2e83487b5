"""Laws of content capture: whatever a value is, its text is JSON, bounded, without secrets, and nobody notices."""

from __future__ import annotations

import copy
import enum
import json
import math
from collections import OrderedDict, deque, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_otel import Capture
from bmad_otel._content import ArgumentNames, arguments_text, result_text

SECRET = "hunter2-and-more"


class Hostile:
    """Raises at whatever it is asked."""

    def _no(self, *_: object, **__: object) -> Any:
        raise RuntimeError("not for you")

    __repr__ = __str__ = __eq__ = __hash__ = __len__ = __iter__ = __bool__ = __format__ = _no
    to_json = model_dump = dict = _no

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class LyingDict(dict[Any, Any]):
    def items(self) -> Any:
        raise RuntimeError("items")

    def __iter__(self) -> Any:
        raise RuntimeError("iter")

    def __len__(self) -> int:
        return 10**9


class LyingStr(str):
    def __str__(self) -> str:
        raise RuntimeError("str")

    def __getitem__(self, key: Any) -> Any:
        raise RuntimeError("getitem")


class LyingInt(int):
    def __repr__(self) -> str:
        raise RuntimeError("repr")

    __str__ = __repr__


class Counted:
    """An iterator that must not be consumed."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.taken += 1
        return self.taken


@dataclass
class Point:
    x: Any
    hidden: Any = field(default=None, repr=False)


class Colour(enum.Enum):
    RED = "red"


Pair = namedtuple("Pair", "left right")

# by name, because hypothesis looks at the repr of what it samples from
SPECIAL: dict[str, Any] = {
    "huge int": 10**5000, "nan": math.nan, "-inf": -math.inf, "decimal": Decimal("1.5"),
    "datetime": datetime(2026, 1, 1, tzinfo=UTC), "uuid": UUID(int=7), "path": PurePath("/a/b"), "enum": Colour.RED,
    "object": object(), "exception": Exception("e"), "type": int, "builtin": len, "function": lambda: 1,
    "range": range(10**9), "surrogate": "\ud800", "5 MB": "x" * 5_000_000, "hostile": Hostile(),
    "str": LyingStr("text"), "int": LyingInt(7), "iterator": iter([1]), "generator": (i for i in range(3)),
}  # fmt: skip
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.binary(max_size=20))
LEAVES = PLAIN | st.sampled_from(sorted(SPECIAL)).map(lambda name: SPECIAL[name])
KEYS = st.one_of(st.text(max_size=8), st.integers(), st.none(), st.tuples(st.integers()), st.just(LyingStr("k")))


def containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(children, max_size=6),
        st.dictionaries(KEYS, children, max_size=6),
        st.lists(children, max_size=3).map(tuple),
        st.lists(children, max_size=3).map(deque),
        st.dictionaries(st.text(max_size=3), children, max_size=3).map(LyingDict),
        st.dictionaries(st.text(max_size=3), children, max_size=3).map(OrderedDict),
        st.builds(Point, children, children),
        st.builds(Pair, children, children),
    )


VALUES = st.recursive(LEAVES, containers, max_leaves=20)


@given(value=VALUES, length=st.integers(64, 2000), depth=st.integers(1, 5), items=st.integers(1, 8))
def test_law_any_value_becomes_bounded_json(value: Any, length: int, depth: int, items: int) -> None:
    capture = Capture(max_length=length, max_depth=depth, max_items=items, max_time_s=60)
    for text in (
        result_text(value, capture),
        arguments_text(ArgumentNames(("self", "a"), "rest", "self"), (None, value, value), {"named": value}, capture),
    ):
        json.loads(text)
        assert len(text) <= length
        text.encode()


SECRET_NAMES = st.sampled_from([
    "password", "dbPassword", "API_KEY", "api-key", "apikey", "secret", "client_secret", "authorization", "token",
    "access_token", "Cookie", "private_key", "credentials", "session", "passwd", "userPassword",
])  # fmt: skip


@given(value=st.recursive(st.just(SECRET), containers, max_leaves=6), name=SECRET_NAMES)
def test_law_a_value_with_a_secrets_name_is_never_shown(value: Any, name: str) -> None:
    capture = Capture(max_time_s=60)
    for text in (
        result_text({name: value}, capture),
        result_text([{"deep": {name: value}}], capture),
        arguments_text(ArgumentNames((name,)), (value,), {}, capture),
        arguments_text(ArgumentNames(()), (), {name: value}, capture),
    ):
        assert SECRET not in text
        assert "[redacted]" in text


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefghijklmnop.qrstuv", "sk-" + "a1B2" * 12, "AKIAIOSFODNN7EXAMPLE",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    ],
)  # fmt: skip
def test_what_has_a_secrets_shape_is_not_shown(text: str) -> None:
    shown = result_text({"note": f"look: {text} !"}, Capture())
    assert text.split("\n")[-2 if "\n" in text else 0][-12:] not in shown
    assert "[redacted]" in shown


@pytest.mark.parametrize(
    "name", ["author", "max_tokens", "input_tokens", "token_count", "key", "keyboard", "tokenizer", "discard"]
)
def test_harmless_names_are_shown(name: str) -> None:
    assert json.loads(result_text({name: 17}, Capture())) == {name: 17}


def plain_containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(children, max_size=5) | st.dictionaries(st.text(max_size=3), children, max_size=5)


@given(value=st.recursive(PLAIN, plain_containers, max_leaves=15))
def test_law_values_are_left_as_they_were(value: Any) -> None:
    before = copy.deepcopy(value)
    result_text(value, Capture())
    assert repr(value) == repr(before)


@given(value=st.recursive(PLAIN, plain_containers, max_leaves=15))
def test_law_what_fits_is_shown_as_it_is(value: Any) -> None:
    """Plain data within the bounds reads back as what it was; bytes and numbers JSON has no words for aside."""
    text = result_text(value, Capture(max_depth=50, max_length=1_000_000, max_time_s=60))
    try:
        expected = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        return
    assert json.loads(text) == expected


def test_nothing_is_consumed() -> None:
    counted = Counted()
    text = result_text({"items": counted, "more": [counted]}, Capture())
    assert counted.taken == 0
    assert "Counted" in text


def test_circles_and_depth() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    assert json.loads(result_text(circle, Capture())) == [1, "[circular]"]
    deep: Any = "bottom"
    for _ in range(3000):
        deep = [deep]
    assert json.loads(result_text(deep, Capture(max_depth=3))) == [[["[cut]"]]]


def test_five_megabytes_cost_as_little_as_what_is_shown_of_them() -> None:
    text = result_text({"document": "x" * 5_000_000}, Capture(max_string=100))
    assert "5000000" in text
    assert len(text) < 400


def test_user_redaction_by_path_and_its_failure() -> None:
    def redact(path: str, value: object) -> object:
        if path == "result.boom":
            raise RuntimeError("in the hook")
        return "***" if path.endswith("name") else value

    shown = json.loads(result_text({"name": "Ada", "boom": 1, "list": [{"name": "Bob"}]}, Capture(redact=redact)))
    assert shown == {"name": "***", "boom": "[redaction failed]", "list": [{"name": "***"}]}


@given(names=st.lists(st.text(min_size=1, max_size=4), max_size=3, unique=True), args=st.lists(VALUES, max_size=5))
def test_law_any_call_has_a_text(names: list[str], args: list[Any]) -> None:
    json.loads(arguments_text(ArgumentNames(tuple(names)), tuple(args), {}, Capture(max_time_s=60)))


@pytest.mark.parametrize(
    ("keywords", "error", "words"),
    [
        ({"arguments": 1}, TypeError, "arguments must be True or False"),
        ({"max_depth": 0}, ValueError, "max_depth must be at least 1"),
        ({"max_length": 10}, ValueError, "max_length must be at least 64"),
        ({"max_time_s": float("nan")}, ValueError, "max_time_s must be a positive number"),
        ({"deny": "name"}, TypeError, "deny must be a tuple of names"),
        ({"redact": 5}, TypeError, "redact must be a function"),
    ],
)
def test_wrong_bounds_are_refused(keywords: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Capture(**keywords)
