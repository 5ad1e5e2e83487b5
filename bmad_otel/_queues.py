"""How many tasks wait for each agent: asked of the program's own queues when metrics are collected."""

from __future__ import annotations

import inspect
import math
import operator
import types
import weakref
from collections.abc import Callable
from typing import Any, Final, Protocol, Self, TypeGuard

from bmad_otel import _guard

MAX_QUEUES: Final = 1000
"""Queues observed at a time; each is asked at every collection. As many as there can be agents."""

_MAX_SIZE: Final = 2**53
"""A larger size is no size; and the sum of all fits into the 64 bits of a data point."""


class Sized(Protocol):
    """A queue that tells how many items wait in it, as those of asyncio, queue and multiprocessing do."""

    def qsize(self) -> int: ...


class ObservedQueue:
    """A queue that is being observed, until `close`. Also a context manager that closes it at its end."""

    __slots__ = ("_of_function", "_queues", "_source", "agent")

    def __init__(self, queues: Queues | None, source: Sized | Callable[[], int], agent: str) -> None:
        self.agent = agent
        self._queues = queues
        self._of_function = not _is_queue(source)
        self._source: Callable[[], Any] = _kept(source) if self._of_function else _followed(source)

    def close(self) -> None:
        """Stop observing. Does nothing when that has happened already."""
        queues, self._queues = self._queues, None
        if queues is not None:
            queues.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def target(self) -> Any:
        """The queue or function; None for a queue that is gone."""
        return self._source()

    def size_of(self, target: Any) -> int:
        """Its size. Raises what it raises, and TypeError or ValueError if that is no size."""
        return _checked(target() if self._of_function else target.qsize())


def observe_queue(source: Sized | Callable[[], int], *, agent: str) -> ObservedQueue:
    """Report how many tasks wait for ``agent``, as the metric ``bmad.agent.queue.size``.

    ``source`` is an `asyncio.Queue`, a `queue.Queue`, anything else with ``qsize()``, or a function without arguments
    that returns the number. It is asked at each collection of metrics, from another thread, so it should answer at
    once. Several queues of an agent are added up. A queue is observed as long as the program itself keeps it; a
    function, and a queue without weak references, until the returned handle is closed.

    A source that raises, or returns what is no number of tasks, is left out of that collection. Raises TypeError or
    ValueError for wrong arguments. Beyond 1,000 queues one warning is logged and the further ones are not observed.
    """
    ask = source.qsize if _is_queue(source) else source
    if isinstance(source, type) or not callable(ask):
        raise TypeError(f"observe_queue: source must have qsize() or be a function that returns an int, not {source!r}")
    if inspect.iscoroutinefunction(ask):
        raise TypeError(f"observe_queue: source must answer without being awaited, not {source!r}")
    if not _takes_nothing(ask):
        raise TypeError(f"observe_queue: source must be a function without arguments, not {source!r}")
    if not isinstance(agent, str):
        raise TypeError(f"observe_queue: agent must be a str, not {agent!r}")
    if not agent.strip():
        raise ValueError("observe_queue: agent must not be empty")
    from bmad_otel._state import state  # which holds the `Queues`

    try:
        state.open()
        return state.queues.add(source, state.agents.admit(agent))
    except Exception as error:  # noqa: BLE001 - the program goes on without this metric
        _guard.contain("observing a queue", error)
        return ObservedQueue(None, source, agent)


class Queues:
    """The queues that are observed, at most `MAX_QUEUES`.

    Without a lock: a finaliser that closes a queue may run within any of these methods, and a fork may happen during
    one in another thread. Each step on the dictionary is atomic.
    """

    __slots__ = ("_observed",)

    def __init__(self) -> None:
        self._observed: dict[ObservedQueue, None] = {}

    def add(self, source: Sized | Callable[[], int], agent: str) -> ObservedQueue:
        """Observe ``source`` for ``agent``."""
        if len(self._observed) >= MAX_QUEUES:
            self._forget_the_gone()
        if len(self._observed) >= MAX_QUEUES:
            _guard.warn_once(
                "queues",
                "bmad_otel: more than %d queues; further ones are not observed. Are the handles that observe_queue "
                "returns closed?",
                MAX_QUEUES,
            )
            return ObservedQueue(None, source, agent)
        observed = ObservedQueue(self, source, agent)
        self._observed[observed] = None
        return observed

    def remove(self, observed: ObservedQueue) -> None:
        """Stop observing; nothing happens if it is not observed."""
        self._observed.pop(observed, None)

    def by_agent(self) -> dict[str, int]:
        """Tasks waiting for each agent that has a queue which could tell. A queue registered twice counts once."""
        sizes: dict[str, int] = {}
        counted: set[tuple[str, int]] = set()
        for observed in list(self._observed):
            target = observed.target()
            if target is None:
                self.remove(observed)
                continue
            if (observed.agent, id(target)) in counted:
                continue
            counted.add((observed.agent, id(target)))
            try:
                size = observed.size_of(target)
            except NotImplementedError:
                observed.close()
                _guard.warn_once(
                    "qsize",
                    "bmad_otel: a queue of agent %r is not observed, because it cannot tell its size; that of "
                    "multiprocessing cannot on macOS",
                    observed.agent,
                )
            except Exception as error:  # noqa: BLE001 - the source is the user's; the others are still counted
                _guard.contain(f"asking a queue of agent {observed.agent!r} for its size", error)
            else:
                sizes[observed.agent] = sizes.get(observed.agent, 0) + size
        return sizes

    def _forget_the_gone(self) -> None:
        for observed in list(self._observed):
            if observed.target() is None:
                self.remove(observed)


def _is_queue(source: Any) -> TypeGuard[Sized]:
    return callable(getattr(source, "qsize", None))


def _takes_nothing(ask: Callable[..., Any]) -> bool:
    try:
        inspect.signature(ask).bind()
    except TypeError:
        return False
    except ValueError:  # a built-in one that does not tell
        pass
    return True


def _kept(source: Any) -> Callable[[], Any]:
    return lambda: source


def _followed(source: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(source)
    except TypeError:  # of a class with slots and none for weak references
        return _kept(source)


def _checked(size: Any) -> int:
    if isinstance(size, types.CoroutineType):
        size.close()  # or Python warns of it at each collection
    if isinstance(size, bool):
        raise TypeError("the size of a queue must be a number, not a bool")
    if isinstance(size, float) and math.isfinite(size):
        size = math.floor(size)
    try:
        number = operator.index(size)
    except TypeError as error:
        raise TypeError(f"the size of a queue must be a whole number, not {type(size).__name__}") from error
    if not 0 <= number <= _MAX_SIZE:
        raise ValueError("the size of a queue must be 0 or more, and a number of tasks")
    return number
