"""What the programs of both vendors do: their decorators and ours, each around and inside the other, in every shape."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from typing import Any

Decorator = Callable[[str], Callable[[Any], Any]]


def play(theirs: Decorator, ours: Decorator) -> None:
    """``theirs("x")`` and ``ours("X")`` make decorators of that name; ours may be none at all."""

    @theirs("leaf")
    def leaf(number: int = 0) -> int:
        return number

    @ours("Plain")
    def plain() -> int:
        return int(leaf(1))

    @theirs("around plain")
    def around_plain() -> int:
        return int(plain()) + int(leaf(2))

    around_plain()
    plain()

    # exceptions
    @ours("Failing")
    def failing() -> None:
        leaf()
        raise LookupError("mine")

    @theirs("around failing")
    def around_failing() -> None:
        failing()

    with suppress(LookupError):
        around_failing()

    # async
    @theirs("async leaf")
    async def async_leaf(number: int) -> int:
        await asyncio.sleep(0.001)
        return number

    @ours("Async")
    async def asynchronous(number: int) -> int:
        await asyncio.sleep(0.001)
        return int(await async_leaf(number))

    @theirs("around async")
    async def around_async() -> list[int]:
        return list(await asyncio.gather(*(asynchronous(number) for number in range(3))))

    @theirs("cancelled")
    async def cancelled() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await waiting()

    @ours("Waiting")
    async def waiting() -> None:
        await asyncio.sleep(60)

    asyncio.run(around_async())
    asyncio.run(cancelled())

    # generators: what the consumer does between two items is the consumer's
    @ours("Generator")
    def generator() -> Iterator[int]:
        for number in range(2):
            yield leaf(number)

    @theirs("consumer")
    def consumer() -> None:
        for number in generator():
            leaf(10 + number)
        for _ in generator():
            break

    @theirs("their generator")
    def their_generator() -> Iterator[int]:
        plain()
        yield 1
        plain()

    @ours("Consumer")
    def our_consumer() -> None:
        for number in their_generator():
            leaf(20 + number)

    consumer()
    our_consumer()

    @ours("Async generator")
    async def async_generator() -> AsyncIterator[int]:
        for number in range(2):
            yield await async_leaf(number)

    @theirs("async consumer")
    async def async_consumer() -> None:
        async for number in async_generator():
            leaf(30 + number)
        async with aclosing(async_generator()) as items:  # type: ignore[type-var]
            async for _ in items:
                break

    @theirs("their async generator")
    async def their_async_generator() -> AsyncIterator[int]:
        await asynchronous(7)
        yield 1
        await asynchronous(8)

    @ours("Async consumer")
    async def our_async_consumer() -> None:
        async for number in their_async_generator():
            leaf(40 + number)

    asyncio.run(async_consumer())
    asyncio.run(our_async_consumer())

    # threads
    @ours("In thread")
    def in_thread(number: int) -> int:
        return int(leaf(number))

    def in_threads() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(in_thread, 50).result()
            list(pool.map(in_thread, [51]))
        for thread in (threading.Thread(target=in_thread, args=[52]), threading.Timer(0.001, in_thread, [53])):
            thread.start()
            thread.join()

    async def in_executors() -> None:
        await asyncio.get_running_loop().run_in_executor(None, in_thread, 54)
        await asyncio.to_thread(in_thread, 55)

    @theirs("around threads")
    def around_threads() -> None:
        in_threads()
        asyncio.run(in_executors())

    @ours("Around threads")
    def our_around_threads() -> None:
        in_threads()
        asyncio.run(in_executors())

    around_threads()
    our_around_threads()
