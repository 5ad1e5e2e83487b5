"""Tracked functions of each shape beside the same untracked. All of one agent, so that their metrics are one series."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from bmad_otel import track_task
from sdk.discard import nothing, plain
from sdk.loops import Loop, awaiting, calling, iterating
from sdk.setups.by_hand import AGENT, TASK

QUESTION = "How many words are in the third chapter?"


class Benchmark:
    """An agent: its name is its class's, so that its tasks are of the same series as those of the functions."""

    def work(self) -> None: ...

    @track_task(name=TASK)
    def tracked(self) -> None: ...


async def ten_awaits() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def ten_items() -> Iterator[int]:
    yield from range(10)


def answering(question: str, *, limit: int) -> dict[str, Any]:
    return {"question": question, "limit": limit}


def tracked(function: Callable[..., Any], **options: Any) -> Any:
    return track_task(name=TASK, agent=AGENT, **options)(function)


FORMS: dict[str, Callable[[], Loop]] = {
    "plain": plain,
    "tracked": lambda: calling(tracked(nothing)),
    "plain method": lambda: calling(Benchmark().work),
    "method": lambda: calling(Benchmark().tracked),
    "plain coroutine": lambda: awaiting(ten_awaits),
    "coroutine": lambda: awaiting(tracked(ten_awaits)),
    "plain generator": lambda: iterating(ten_items),
    "generator": lambda: iterating(tracked(ten_items)),
    "plain content": lambda: calling(answering, QUESTION, limit=3),
    "content": lambda: calling(tracked(answering, capture=True), QUESTION, limit=3),
}
