"""`instrument_agent`: whole classes."""

from __future__ import annotations

import abc
import asyncio
import inspect
import pickle
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from typing import Any

import pytest

from bmad_otel import Operation, instrument_agent, track_task

from .conftest import Telemetry, attributes


def tasks(telemetry: Telemetry) -> list[tuple[str, str]]:
    return [(attributes(span)["gen_ai.agent.name"], attributes(span)["bmad.task.name"]) for span in telemetry.spans()]


@instrument_agent
class Everything:
    """Kept."""

    limit = 5

    def plain(self) -> str:
        return self._helper()

    async def later(self) -> str:
        return "later"

    def stream(self) -> Generator[int, None, None]:
        yield 1

    async def feed(self) -> AsyncGenerator[int, None]:
        yield 1

    @classmethod
    def of_class(cls) -> type:
        return cls

    @staticmethod
    def of_none(value: int = 3) -> int:
        return value

    @property
    def size(self) -> int:
        return 1

    def _helper(self) -> str:
        return "helped"

    def __len__(self) -> int:
        return 1

    class Nested:
        def method(self) -> None: ...


def test_public_methods_of_every_kind_are_tasks(telemetry: Telemetry) -> None:
    agent = Everything()

    async def use() -> list[int]:
        assert await agent.later() == "later"
        return [item async for item in agent.feed()]

    assert agent.plain() == "helped"
    assert list(agent.stream()) == asyncio.run(use()) == [1]
    assert agent.of_class() is Everything
    assert Everything.of_none(7) == 7
    assert (agent.size, len(agent), agent.limit) == (1, 1, 5)
    Everything.Nested().method()
    assert tasks(telemetry) == [
        ("Everything", name) for name in ("plain", "stream", "later", "feed", "of_class", "of_none")
    ]


def test_the_class_stays_what_it_was() -> None:
    assert inspect.isclass(Everything)
    assert (Everything.__name__, Everything.__doc__) == ("Everything", "Kept.")
    assert type(pickle.loads(pickle.dumps(Everything()))) is Everything
    assert inspect.iscoroutinefunction(Everything.later)
    assert inspect.isgeneratorfunction(Everything.stream)
    assert inspect.isasyncgenfunction(Everything.feed)
    assert str(inspect.signature(Everything.of_none)) == "(value: 'int' = 3) -> 'int'"


def test_twice_is_once(telemetry: Telemetry) -> None:
    class Agent:
        def run(self) -> None: ...

        @track_task(name="own name")
        def other(self) -> None: ...

    instrument_agent(instrument_agent(Agent))
    Agent().run()
    Agent().other()
    assert tasks(telemetry) == [("Agent", "run"), ("Agent", "own name")]


def test_include_and_exclude(telemetry: Telemetry) -> None:
    @instrument_agent(include=["run_*", "_inner"], exclude=["*_fast"], agent="Chosen", operation=Operation.PLAN)
    class Agent:
        def run_slow(self) -> None: ...
        def run_fast(self) -> None: ...
        def other(self) -> None: ...
        def _inner(self) -> None: ...

    agent = Agent()
    for method in (agent.run_slow, agent.run_fast, agent.other, agent._inner):
        method()
    assert tasks(telemetry) == [("Chosen", "run_slow"), ("Chosen", "_inner")]
    assert attributes(telemetry.spans()[0])["gen_ai.operation.name"] == "plan"


def test_inherited_methods_are_the_base_classes_unless_named(telemetry: Telemetry) -> None:
    class Base:
        def run(self) -> str:
            return "base"

        def stop(self) -> str:
            return "stopped"

    @instrument_agent(include=["*", "stop"])
    class Agent(Base):
        def run(self) -> str:
            return super().run()

    assert (Agent().run(), Agent().stop()) == ("base", "stopped")
    assert (Base().run(), Base().stop()) == ("base", "stopped")
    assert tasks(telemetry) == [("Agent", "run"), ("Agent", "stop")]


def test_dataclasses_slots_and_abstract_classes(telemetry: Telemetry) -> None:
    @instrument_agent
    class Base(abc.ABC):
        @abc.abstractmethod
        def run(self) -> str: ...

    @instrument_agent
    @dataclass(slots=True)
    class Agent(Base):
        agent_name: str

        def run(self) -> str:
            return self.agent_name

    with pytest.raises(TypeError, match="abstract"):
        Base()  # type: ignore[abstract]
    assert Agent("Ada").run() == "Ada"
    assert Agent("Ada") == Agent("Ada")
    assert tasks(telemetry) == [("Ada", "run")]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: instrument_agent(len), TypeError, "a class is needed"),  # type: ignore[type-var]
        (lambda: instrument_agent(include="run"), TypeError, "include must be several names"),
        (lambda: instrument_agent(exclude=[5]), TypeError, "exclude: 5 is not a name"),  # type: ignore[list-item]
        (lambda: instrument_agent(name="x"), TypeError, "name belongs to one method"),
        (lambda: instrument_agent(agent=""), ValueError, "agent must not be empty"),
        (lambda: instrument_agent(colour="red"), TypeError, "colour"),
        (lambda: instrument_agent(include=["nope"])(Everything), ValueError, "Everything has no method 'nope'"),
        (lambda: instrument_agent(include=["limit"])(Everything), ValueError, "no method 'limit'"),
    ],
)
def test_wrong_arguments_raise_at_decoration(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
