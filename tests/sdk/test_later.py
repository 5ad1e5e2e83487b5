"""Plain functions that return a coroutine or a generator instead of doing their work."""

from __future__ import annotations

import asyncio
import functools
import gc
import warnings
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any

import pytest

from bmad_otel import track_task
from bmad_otel._clock import Clock, use

from .conftest import Telemetry, attributes


async def work(value: int) -> int:
    await asyncio.sleep(0)
    return value


def hidden(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator, as there are many, that does not look asynchronous any more."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


@pytest.mark.parametrize(
    "make",
    [lambda value: work(value + 0), hidden(work), functools.partial(hidden(work))],
    ids=["lambda", "decorated", "partial"],
)
def test_the_task_lasts_until_the_coroutine_ends(telemetry: Telemetry, make: Callable[[int], Any]) -> None:
    now = [0]

    async def main() -> int:
        coroutine = track_task(agent="Later")(make)(7)
        assert asyncio.iscoroutine(coroutine)
        assert telemetry.spans() == []
        now[0] += 5_000_000_000
        return await asyncio.create_task(coroutine)

    with use(Clock(monotonic_ns=lambda: now[0])):
        assert asyncio.run(main()) == 7
    assert telemetry.outcome() == "ok"
    (point,) = telemetry.points()["gen_ai.invoke_agent.duration"]
    assert point.sum == 5


def test_its_exception_is_the_tasks(telemetry: Telemetry) -> None:
    async def raises() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError):
        asyncio.run(track_task(agent="Later")(hidden(raises))())
    assert attributes(telemetry.span())["error.type"] == "KeyError"


def test_a_generator_is_followed_to_its_end(telemetry: Telemetry) -> None:
    def items() -> Generator[int, str, str]:
        heard = yield 1
        return heard

    source = track_task(agent="Later")(hidden(items))()
    assert next(source) == 1
    assert telemetry.spans() == []
    with pytest.raises(StopIteration) as stop:
        source.send("said")
    assert stop.value.value == "said"
    assert telemetry.outcome() == "ok"


def test_an_async_generator_is_followed_to_its_end(telemetry: Telemetry) -> None:
    async def items() -> AsyncGenerator[int, None]:
        yield 1
        yield 2

    async def main() -> list[int]:
        return [item async for item in track_task(agent="Later")(hidden(items))()]

    assert asyncio.run(main()) == [1, 2]
    assert telemetry.outcome() == "ok"


def test_never_awaited_warns_once_and_ends_early(telemetry: Telemetry) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        coroutine: Coroutine[Any, Any, int] | None = track_task(agent="Later")(lambda: work(1))()
        del coroutine
        gc.collect()
    assert [str(warning.message) for warning in caught] == ["coroutine 'work' was never awaited"]
    assert telemetry.outcome() == "closed_early"


def test_never_iterated_ends_early(telemetry: Telemetry) -> None:
    track_task(agent="Later")(lambda: (i for i in range(3)))()
    gc.collect()
    assert telemetry.outcome() == "closed_early"


def test_other_results_are_the_callers(telemetry: Telemetry) -> None:
    async def main() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        assert track_task(agent="Later")(lambda: future)() is future
        items = iter([1])
        assert track_task(agent="Later")(lambda: items)() is items

    asyncio.run(main())
    assert len(telemetry.spans()) == 2
