"""Rows on members of classes and on whole classes."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from .kit import WORK_S, Body, Traced, work


def test_decorator_above_classmethod(traced: Traced) -> None:
    body = Body(traced)

    class Agent:
        @traced.decorate
        @classmethod
        def make(cls, n: int) -> tuple[type, int]:
            body.step()
            work()
            body.step()
            return cls, n

    assert isinstance(inspect.getattr_static(Agent, "make"), classmethod)
    assert Agent.make(1) == (Agent, 1)
    body.one_span(lasting_s=WORK_S)

    class Special(Agent): ...

    assert Special.make(2) == (Special, 2)
    assert Special().make(n=3) == (Special, 3)
    assert len(traced.spans()) == 3


def test_decorator_below_classmethod(traced: Traced) -> None:
    body = Body(traced)

    class Agent:
        @classmethod
        @traced.decorate
        def make(cls, n: int) -> tuple[type, int]:
            body.step()
            work()
            body.step()
            return cls, n

    assert Agent.make(1) == (Agent, 1)
    body.one_span(lasting_s=WORK_S)

    class Special(Agent): ...

    assert Special().make(n=3) == (Special, 3)
    assert len(traced.spans()) == 2


def test_decorator_above_staticmethod(traced: Traced) -> None:
    body = Body(traced)

    class Agent:
        @traced.decorate
        @staticmethod
        def add(a: int, b: int) -> int:
            body.step()
            work()
            body.step()
            return a + b

    assert isinstance(inspect.getattr_static(Agent, "add"), staticmethod)
    assert Agent.add(1, 2) == 3
    body.one_span(lasting_s=WORK_S)
    assert Agent().add(1, b=2) == 3
    assert len(traced.spans()) == 2


def test_decorator_above_async_staticmethod_real_duration(traced: Traced) -> None:
    body = Body(traced)

    class Agent:
        @traced.decorate
        @staticmethod
        async def add(a: int, b: int) -> int:
            body.step()
            await asyncio.sleep(WORK_S)
            body.step()
            return a + b

    assert inspect.iscoroutinefunction(Agent.add)
    assert asyncio.run(Agent().add(1, 2)) == 3
    body.one_span(lasting_s=WORK_S)


def test_class_decoration_keeps_a_class(traced: Traced) -> None:
    body = Body(traced)

    class Agent:
        """Answers."""

        kind = "reader"

        def __init__(self, name: str) -> None:
            self.name = name

        def answer(self, question: str) -> str:
            body.step()
            work()
            body.step()
            return f"{self.name}: {question}"

    decorated: Any = traced.decorate_class(Agent)
    assert isinstance(decorated, type)
    assert decorated is Agent
    assert (decorated.__name__, decorated.__doc__, decorated.kind) == ("Agent", "Answers.", "reader")
    agent = decorated("Ada")
    assert type(agent) is decorated
    assert traced.spans() == []  # making an agent is not a task of it
    assert agent.answer("why") == "Ada: why"
    body.one_span(lasting_s=WORK_S)

    class Special(decorated):  # type: ignore[misc]
        def answer(self, question: str) -> str:
            return f"{super().answer(question)}!"

    assert isinstance(Special("Bea"), decorated)
    assert Special("Bea").answer("why") == "Bea: why!"
    assert len(traced.spans()) == 2
