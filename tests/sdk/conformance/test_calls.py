"""Rows on functions and coroutine functions: that they are traced, how they end, what they stay."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
import sys
from typing import Any

import pytest

from .kit import (
    WORK_S,
    Body,
    Outside,
    Traced,
    duration_s,
    ending,
    exceptions,
    id_of,
    is_error,
    work,
)


class Broken(Exception):
    pass


def test_sync_traced(traced: Traced) -> None:
    body = Body(traced)
    outside = Outside()

    @traced.decorate
    def add(a: int, *, b: int = 2) -> int:
        """Adds."""
        body.step()
        work()
        body.step()
        return a + b

    assert add(1, b=3) == 4
    outside.assert_unchanged()
    assert not is_error(body.one_span(lasting_s=WORK_S))
    assert add.__name__ == "add"
    assert add.__doc__ == "Adds."
    assert add(1) == 3
    assert len({id_of(span) for span in traced.spans()}) == 2


def test_async_real_duration_still_coroutinefunction(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    async def add(a: int, b: int) -> int:
        body.step()
        await asyncio.sleep(WORK_S)
        body.step()
        return a + b

    assert inspect.iscoroutinefunction(add)
    outside = Outside()
    assert asyncio.run(add(1, b=3)) == 4
    outside.assert_unchanged()
    assert not is_error(body.one_span(lasting_s=WORK_S))


def _failed(traced: Traced) -> Any:
    """The span of a call that raised."""

    @traced.decorate
    def fails() -> None:
        raise Broken("no paper")

    error: BaseException | None = None
    try:
        fails()
    except Broken as caught:
        error = caught
    assert error is not None
    assert error.args == ("no paper",)
    assert error.__context__ is None
    (span,) = traced.spans()
    return span


def test_error_has_error_status(traced: Traced) -> None:
    span = _failed(traced)
    assert is_error(span)
    assert "no paper" in (span.status.description or "")


def test_error_type_is_set(traced: Traced) -> None:
    assert _failed(traced).attributes["error.type"] == f"{Broken.__module__}.Broken"


def test_error_exception_recorded_exactly_once(traced: Traced) -> None:
    (recorded,) = exceptions(_failed(traced))
    assert recorded["exception.type"] == f"{Broken.__module__}.Broken"
    assert recorded["exception.message"] == "no paper"
    assert "in fails" in recorded["exception.stacktrace"]


def test_cancel_is_distinguishable_from_success(traced: Traced) -> None:
    @traced.decorate
    async def waits(go: asyncio.Event) -> None:
        await go.wait()

    async def succeed() -> None:
        go = asyncio.Event()
        go.set()
        await waits(go)

    async def cancel() -> None:
        task = asyncio.create_task(waits(asyncio.Event()))
        await asyncio.sleep(0)
        task.cancel()
        await task

    asyncio.run(succeed())
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel())
    well, cancelled = traced.spans()
    assert ending(well) != ending(cancelled)
    assert not is_error(well)


def test_timeout_wait_for_is_distinguishable_from_success(traced: Traced) -> None:
    @traced.decorate
    async def waits(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def in_time(seconds: float) -> None:
        await asyncio.wait_for(waits(seconds), WORK_S)

    asyncio.run(in_time(0))
    with pytest.raises(TimeoutError):
        asyncio.run(in_time(60))
    well, late = traced.spans()
    assert ending(well) != ending(late)
    assert not is_error(well)
    assert duration_s(late) >= 0.9 * WORK_S


def test_system_exit_span_still_ended(traced: Traced) -> None:
    body = Body(traced)

    @traced.decorate
    def ends() -> None:
        body.step()
        sys.exit(3)

    outside = Outside()
    with pytest.raises(SystemExit) as ended:
        ends()
    assert ended.value.code == 3
    outside.assert_unchanged()
    body.one_span()


def test_partial_of_async_function(traced: Traced) -> None:
    body = Body(traced)

    async def add(a: int, b: int, *, c: int) -> int:
        body.step()
        await asyncio.sleep(WORK_S)
        body.step()
        return a + b + c

    decorated = traced.decorate(functools.partial(functools.partial(add, 1), c=4))
    assert inspect.iscoroutinefunction(decorated)
    assert asyncio.run(decorated(2)) == 7
    body.one_span(lasting_s=WORK_S)


def test_object_with_async_call(traced: Traced) -> None:
    body = Body(traced)

    class Tool:
        def __init__(self, step: int) -> None:
            self.step = step

        async def __call__(self, n: int) -> int:
            body.step()
            await asyncio.sleep(WORK_S)
            body.step()
            return n + self.step

    decorated = traced.decorate(Tool(2))
    assert asyncio.run(decorated(1)) == 3
    body.one_span(lasting_s=WORK_S)


def by_name(n: int) -> int:
    """Found by pickle under its module and name, where the row puts the decorated one."""
    return n + 1


def test_decorated_function_picklable(traced: Traced) -> None:
    with pytest.MonkeyPatch.context() as patch:
        decorated = traced.decorate(by_name)
        patch.setitem(globals(), "by_name", decorated)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(decorated, protocol)) is decorated
        assert pickle.loads(pickle.dumps(decorated))(1) == 2
    assert len(traced.spans()) == 1


def test_decorator_emits_a_metric_by_default(traced: Traced) -> None:
    @traced.decorate
    def works() -> None:
        work()

    traced.points()
    works()
    (span,) = traced.spans()
    durations = [
        point
        for points in traced.points().values()
        for point in points
        if hasattr(point, "sum") and point.count == 1 and abs(point.sum - duration_s(span)) < WORK_S / 2
    ]
    assert len(durations) == 1, "no histogram holds the duration in seconds"
    # what tells the calls apart is the same on both: one measurement, two signals
    assert dict(durations[0].attributes).items() <= dict(span.attributes or {}).items()
