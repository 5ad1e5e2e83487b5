"""Rows on arguments and results: private by default, and harmless whatever they are.

Each row runs twice: as the decorator comes, and with capture of arguments and results turned on.
"""

from __future__ import annotations

from typing import Any

from .kit import Traced, is_error, text_of

LARGE = 5_000_000
BOUND = 100_000
"""Characters one attribute may have at most, of an argument of 5 MB."""


def _passed_through(traced: Traced, value: Any) -> None:
    """A function given ``value`` gets it, and its caller gets it back, by default and with capture on."""
    for capture in (False, True):
        got: list[Any] = []

        def function(argument: Any, *rest: Any, got: list[Any] = got, **named: Any) -> Any:
            got.extend([argument, *rest, *named.values()])
            return argument

        decorated = traced.decorate(function, capture=capture)
        before = len(traced.spans())
        assert decorated(value, value, named=value) is value
        assert len(got) == 3
        assert all(one is value for one in got)
        ended = traced.spans()[before:]
        assert len(ended) == 1
        assert not is_error(ended[0])


def test_self_not_captured(traced: Traced) -> None:
    class Agent:
        def __init__(self) -> None:
            self.diary = "private-diary"

        def __repr__(self) -> str:
            return f"Agent({self.diary})"

        def answer(self, question: str) -> str:
            return f"answer to {question}"

    for capture in (False, True):

        class Traced_(Agent):  # noqa: N801 - a new class for each run
            answer = traced.decorate(Agent.answer, capture=capture)

        assert Traced_().answer("open-question") == "answer to open-question"
        text = text_of(traced.spans()[-1])
        assert "private-diary" not in text
        assert "open-question" in text or not capture
    assert len(traced.spans()) == 2


SECRETS = {
    "password": "hunter2", "api_key": "sk-12345", "token": "tok-777", "client_secret": "sesame-9",
    "authorization": "Bearer abc-55",
}  # fmt: skip


def test_secret_named_args_not_leaked_by_default(traced: Traced) -> None:
    class Client:
        def log_in(self, user: str, headers: dict[str, str], **secrets: str) -> dict[str, Any]:
            return {"user": user, "token": secrets["token"]}

    for capture in (False, True):

        class Tracked(Client):
            log_in = traced.decorate(Client.log_in, capture=capture)

        traced.points()
        result = Tracked().log_in("ada-l", {"Authorization": SECRETS["authorization"]}, **SECRETS)
        assert result == {"user": "ada-l", "token": "tok-777"}
        said = text_of(traced.spans()[-1]) + repr(traced.points())
        assert [value for value in SECRETS.values() if value in said] == []
        assert "ada-l" in said or not capture
    assert len(traced.spans()) == 2


def test_survives_raising_repr(traced: Traced) -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

        __str__ = __repr__

    _passed_through(traced, Hostile())
    _passed_through(traced, {"deep": [Hostile()]})


def test_survives_circular_input(traced: Traced) -> None:
    class Node:
        def __init__(self) -> None:
            self.next = self

    circular: dict[str, Any] = {}
    circular["again"] = [circular, (circular,)]
    for capture in (False, True):
        before = len(traced.spans())
        taken = traced.decorate(lambda value, node: len(value), capture=capture)
        assert taken(circular, Node()) == 1
        assert len(traced.spans()) == before + 1


def test_survives_circular_output(traced: Traced) -> None:
    circular: list[Any] = []
    circular.append({"again": circular})
    for capture in (False, True):
        before = len(traced.spans())
        assert traced.decorate(lambda: circular, capture=capture)() is circular
        assert len(traced.spans()) == before + 1
        assert not is_error(traced.spans()[-1])


def test_survives_raising_to_json_and_model_dump(traced: Traced) -> None:
    class Model:
        def to_json(self, *_: Any, **__: Any) -> str:
            raise RuntimeError("no json")

        model_dump = model_dump_json = to_dict = dict = json = __json__ = to_json

        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise RuntimeError("no dict")

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(f"no {name}")

        def __iter__(self) -> Any:
            raise RuntimeError("no items")

        def __len__(self) -> int:
            raise RuntimeError("no length")

        def __bool__(self) -> bool:
            raise RuntimeError("no truth")

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no comparison")

        def __hash__(self) -> int:
            raise RuntimeError("no hash")

    _passed_through(traced, Model())


def test_survives_non_string_keys(traced: Traced) -> None:
    _passed_through(traced, {1: "a", None: "b", (2, 3): "c", 1.5: "d", frozenset({4}): "e", b"f": "g", False: "h"})


def test_survives_deep_nesting(traced: Traced) -> None:
    deep_list: list[Any] = []
    deep_dict: dict[str, Any] = {}
    for _ in range(3000):
        deep_list = [deep_list]
        deep_dict = {"in": deep_dict}
    _passed_through(traced, deep_list)
    _passed_through(traced, deep_dict)


def test_5_mb_argument_attribute_bounded(traced: Traced) -> None:
    values = ["x" * LARGE, b"x" * LARGE, ["x" * 1000] * (LARGE // 1000), {str(i): "x" * 1000 for i in range(5000)}]
    for value in values:
        _passed_through(traced, value)
    longest = max(len(str(value)) for span in traced.spans() for value in (span.attributes or {}).values())
    assert longest <= BOUND
    assert len(traced.spans()) == 2 * len(values)
