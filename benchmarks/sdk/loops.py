"""Loops over a form: what a child is told to run a number of times."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

Loop = Callable[[int], object]
"""Runs its form as many times as it is told."""


def no_effect() -> None: ...


def no_spans() -> int:
    return 0


@dataclass(frozen=True)
class SetUp:
    """What one child can run.

    ``forms``: how to make the loop of each form, by its name; a form that cannot be made fails alone.
    ``collect``: brings what was measured to its end: metrics are collected and exported, waiting spans as well.
    ``spans``: how many spans have arrived at the end of the pipeline so far.
    ``last_span``: name and attributes of the last one, after a call of each form.
    ``distributions``: whose versions are worth telling.
    """

    forms: dict[str, Callable[[], Loop]]
    collect: Callable[[], object] = no_effect
    spans: Callable[[], int] = no_spans
    last_span: Callable[[], dict[str, Any]] = dict
    distributions: tuple[str, ...] = field(default=("opentelemetry-sdk",))


def calling(function: Callable[..., object], *args: object, **kwargs: object) -> Loop:
    if not args and not kwargs:

        def loop(n: int) -> None:
            for _ in repeat(None, n):
                function()

    else:

        def loop(n: int) -> None:
            for _ in repeat(None, n):
                function(*args, **kwargs)

    return loop


def awaiting(function: Callable[[], Awaitable[object]]) -> Loop:
    """One event loop for all rounds: starting one costs as much as dozens of calls."""
    runner = asyncio.Runner()

    async def run(n: int) -> None:
        for _ in repeat(None, n):
            await function()

    return lambda n: runner.run(run(n))


def iterating(function: Callable[[], Iterable[object]]) -> Loop:
    def loop(n: int) -> None:
        for _ in repeat(None, n):
            for _item in function():
                pass

    return loop
