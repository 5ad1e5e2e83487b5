"""Which agent and task a call belongs to, every way of applying the decorator, and what it refuses."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest

from bmad_otel import Operation, track_task

from .conftest import Telemetry, attributes


class Plain:
    @track_task
    def method(self) -> str:
        return "method"

    @track_task
    @classmethod
    def above_class(cls) -> str:
        return cls.__name__

    @classmethod
    @track_task
    def below_class(cls) -> str:
        return cls.__name__

    @track_task
    @staticmethod
    def above_static() -> str:
        return "static"

    @staticmethod
    @track_task()
    def below_static(value: str) -> str:
        return value

    @track_task
    @staticmethod
    async def above_async_static() -> str:
        await asyncio.sleep(0)
        return "async static"

    @track_task(agent="Given")
    def given(self) -> None: ...


class Named(Plain):
    agent_name = "research agent"


class NamedEach(Plain):
    def __init__(self, name: Any) -> None:
        self.agent_name = name


class Raises(Plain):
    @property
    def agent_name(self) -> str:
        raise RuntimeError("not ready")


@track_task
def alone() -> None: ...


@track_task
def outer_factory() -> Callable[[], None]:
    @track_task
    def inner() -> None: ...

    return inner


@pytest.mark.parametrize(
    ("call", "agent", "task"),
    [
        (lambda: Plain().method(), "Plain", "method"),
        (Plain.above_class, "Plain", "above_class"),
        (Named.above_class, "research agent", "above_class"),
        (Plain.below_class, "Plain", "below_class"),
        (lambda: Plain().below_class(), "Plain", "below_class"),
        (Plain.above_static, "Plain", "above_static"),
        (lambda: Plain.below_static("x"), "Plain", "below_static"),
        (lambda: Named().below_static("x"), "Plain", "below_static"),
        (lambda: asyncio.run(Plain().above_async_static()), "Plain", "above_async_static"),
        (lambda: Named().method(), "research agent", "method"),
        (lambda: NamedEach("one").method(), "one", "method"),
        (lambda: NamedEach("").method(), "NamedEach", "method"),
        (lambda: NamedEach(7).method(), "NamedEach", "method"),
        (lambda: Raises().method(), "Raises", "method"),
        (lambda: Named().given(), "Given", "given"),
        (alone, "alone", "alone"),
    ],
)
def test_agent_and_task(telemetry: Telemetry, call: Callable[[], object], agent: str, task: str) -> None:
    call()
    found = attributes(telemetry.span())
    assert (found["gen_ai.agent.name"], found["bmad.task.name"]) == (agent, task)


def test_results_pass_through_every_form() -> None:
    assert Plain().method() == "method"
    assert Plain.above_class() == Plain.below_class() == "Plain"
    assert Named.above_class() == "Named"
    assert (Plain.above_static(), Plain().below_static("x")) == ("static", "x")


def test_a_subclass_calling_super_is_two_tasks(telemetry: Telemetry) -> None:
    class Sub(Plain):
        @track_task
        def method(self) -> str:
            return super().method()

    Sub().method()
    inner, outer = telemetry.spans()
    assert inner.parent == outer.context
    assert {attributes(span)["gen_ai.agent.name"] for span in (inner, outer)} == {"Sub"}


def test_partials_and_callable_objects(telemetry: Telemetry) -> None:
    async def work(a: int, b: int) -> int:
        await asyncio.sleep(0)
        return a + b

    class Adder:
        async def __call__(self, a: int) -> int:
            return await work(a, 1)

    assert asyncio.run(track_task(agent="P")(functools.partial(work, 1))(2)) == 3  # type: ignore[arg-type]
    assert asyncio.run(track_task(agent="C", name="add")(Adder())(2)) == 3  # type: ignore[arg-type]
    assert [attributes(span)["bmad.task.name"] for span in telemetry.spans()] == ["work", "add"]


def test_long_names_are_cut(telemetry: Telemetry) -> None:
    NamedEach("x" * 10_000).method()
    assert attributes(telemetry.span())["gen_ai.agent.name"] == "x" * 256
    assert telemetry.value("bmad.agent.task.active", agent="x" * 256) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ({"name": 7}, TypeError, "name"),
        ({"name": " "}, ValueError, "name"),
        ({"agent": b"x"}, TypeError, "agent"),
        ({"agent": ""}, ValueError, "agent"),
        ({"operation": "invoke_agent"}, TypeError, "operation"),
        ({"task_id": 7}, TypeError, "task_id"),
        ({"workflow_id": ""}, ValueError, "workflow_id"),
        ({"attributes": ["a"]}, TypeError, "attributes"),
        ({"attributes": {"a b": 1}}, ValueError, "'a b'"),
        ({"attributes": {"bmad.x": 1}}, ValueError, "own prefix"),
        ({"attributes": {"a": object()}}, TypeError, "'a'"),
    ],
)
def test_wrong_arguments_are_refused_at_decoration(
    arguments: dict[str, Any], error: type[Exception], word: str
) -> None:
    with pytest.raises(error, match=word):
        track_task(**arguments)


def test_what_cannot_be_tracked_is_refused_at_decoration() -> None:
    with pytest.raises(TypeError, match="decorate the methods"):
        track_task(Plain)
    with pytest.raises(TypeError, match="by keyword"):
        track_task("name")  # type: ignore[call-overload]


def test_operations_have_their_span_names(telemetry: Telemetry) -> None:
    for operation in Operation:
        track_task(operation=operation, agent="A", name="t")(lambda: None)()
    assert [span.name for span in telemetry.spans()] == [
        "invoke_agent A", "execute_tool t", "invoke_workflow t", "plan A",
    ]  # fmt: skip
