"""What a type checker makes of tracked functions. Read by mypy in test_public_api, never run.

A line that must be an error carries an ignore; an ignore without an error is an error itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Iterator
from typing import Any, assert_type

from bmad_otel import Operation, configure, force_flush, shutdown, track_task


class Agent:
    @track_task
    def plain(self, question: str, *, depth: int = 1) -> list[str]:
        return [question] * depth

    @track_task(name="t", agent="a", operation=Operation.PLAN, task_id=lambda self: "1", attributes={"k": 1})
    async def later(self) -> int:
        return 1

    @track_task
    def items(self) -> Iterator[int]:
        yield 1

    @track_task
    async def items_later(self) -> AsyncIterator[int]:
        yield 1

    @classmethod
    @track_task
    def below_class(cls, n: int) -> int:
        return n

    @track_task
    @classmethod
    def above_class(cls, n: int) -> int:
        return n

    @staticmethod
    @track_task
    def below_static(n: int) -> str:
        return str(n)

    @track_task
    @staticmethod
    def above_static(n: int) -> str:
        return str(n)


@track_task
def talks(start: str) -> Generator[str, int, bool]:
    yield start
    return True


@track_task()
async def talks_later() -> AsyncGenerator[str, int]:
    yield ""


async def check(agent: Agent) -> None:
    assert_type(agent.plain("why", depth=2), list[str])
    coroutine: Coroutine[Any, Any, int] = agent.later()
    assert_type(await coroutine, int)
    assert_type(agent.items(), Iterator[int])
    assert_type(agent.items_later(), AsyncIterator[int])
    assert_type(Agent.below_class(1), int)
    assert_type(Agent.above_class(1), int)
    assert_type(Agent.below_static(1), str)
    assert_type(Agent.above_static(1), str)
    assert_type(talks("x"), Generator[str, int, bool])
    assert_type(talks_later(), AsyncGenerator[str, int])

    agent.plain(1)  # type: ignore[arg-type]
    agent.plain("why", deep=2)  # type: ignore[call-arg]
    track_task("name")  # type: ignore[call-overload]
    track_task(operation="plan")  # type: ignore[call-overload]
    configure("service")  # type: ignore[call-arg]
    configure(protocol="http")  # type: ignore[arg-type]
    assert_type(force_flush(timeout_s=1), bool)
    shutdown(timeout_s=0.5)
