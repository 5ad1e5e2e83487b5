"""Pitfalls of decorating: what stands above or below, what kind of callable it is, and what stays of the function."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import copy
import dataclasses
import functools
import inspect
import itertools
import pickle
import types
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any

import pytest

from bmad_otel import track_task

from .conformance.adapters import BmadOtel
from .conformance.kit import Body, id_of, is_child
from .conftest import Telemetry, attributes


@pytest.fixture
def body(telemetry: Telemetry) -> Body:
    return Body(BmadOtel(telemetry.spans, telemetry.points))


def names(telemetry: Telemetry) -> list[Any]:
    return [attributes(span)["bmad.task.name"] for span in telemetry.spans()]


# What stays of a function --------------------------------------------------------------------------------------------


def plain(a: int, /, b: str = "b", *args: float, c: bool = True, **kwargs: bytes) -> list[int]:
    """Plain."""
    return [a]


async def coroutine(a: int, /, b: str = "b", *args: float, c: bool = True, **kwargs: bytes) -> list[int]:
    """Coroutine."""
    return [a]


def generator(a: int, /, b: str = "b", *args: float, c: bool = True, **kwargs: bytes) -> Iterator[int]:
    """Generator."""
    yield a


async def async_generator(a: int, /, b: str = "b", *args: float, c: bool = True, **kwargs: bytes) -> AsyncIterator[int]:
    """Async generator."""
    yield a


KINDS = (inspect.iscoroutinefunction, asyncio.iscoroutinefunction, inspect.isgeneratorfunction,
         inspect.isasyncgenfunction, inspect.isfunction, inspect.isroutine, callable)  # fmt: skip


@pytest.mark.parametrize("function", [plain, coroutine, generator, async_generator])
@pytest.mark.parametrize("decorate", [track_task, track_task(), track_task(name="x", agent="y")])
def test_everything_inspect_tells_stays(decorate: Callable[[Any], Any], function: Callable[..., Any]) -> None:
    function.mark = 1  # type: ignore[attr-defined]
    decorated = decorate(function)
    assert [kind(decorated) for kind in KINDS] == [kind(function) for kind in KINDS]
    for attribute in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__", "mark"):
        assert getattr(decorated, attribute) == getattr(function, attribute)
    assert inspect.signature(decorated) == inspect.signature(function)
    assert typing.get_type_hints(decorated) == typing.get_type_hints(function)
    assert inspect.getsource(decorated) == inspect.getsource(function)
    assert inspect.getdoc(decorated) == inspect.getdoc(function)
    assert inspect.unwrap(decorated) is function
    assert decorated.__wrapped__ is function
    assert inspect.getclosurevars(inspect.unwrap(decorated)) == inspect.getclosurevars(function)
    assert copy.copy(decorated) is decorated
    assert copy.deepcopy(decorated) is decorated


def test_defaults_are_those_of_the_function(telemetry: Telemetry) -> None:
    default: list[int] = []

    @track_task
    def adds(n: int, to: list[int] = default) -> list[int]:
        to.append(n)
        return to

    assert adds(1) is adds(2) is default
    assert default == [1, 2]
    assert inspect.signature(adds).parameters["to"].default is default


def test_wrong_arguments_raise_what_the_function_raises(telemetry: Telemetry) -> None:
    for function in (plain, coroutine, generator, async_generator):
        with pytest.raises(TypeError) as expected:
            drained(function())  # type: ignore[call-arg]
        with pytest.raises(TypeError) as raised:
            drained(track_task(function)())
        assert str(raised.value) == str(expected.value)


def drained(source: Any) -> Any:
    async def listed() -> list[Any]:
        return [item async for item in source]

    if inspect.isgenerator(source):
        return list(source)
    if inspect.isasyncgen(source):
        return asyncio.run(listed())
    return asyncio.run(source) if inspect.iscoroutine(source) else source


@track_task
def at_module_level(n: int) -> int:
    return n + 1


@track_task
async def at_module_level_later(n: int) -> int:
    return n + 1


class Pickled:
    """At module level, so that pickle finds it and its methods."""

    def __init__(self, start: int) -> None:
        self.start = start

    @track_task
    def add(self, n: int) -> int:
        return self.start + n

    @track_task
    @staticmethod
    def twice(n: int) -> int:
        return 2 * n

    @classmethod
    @track_task
    def made(cls, n: int) -> int:
        return cls(n).start


def test_functions_and_methods_are_pickled_by_name(telemetry: Telemetry) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for function in (at_module_level, at_module_level_later, Pickled.add, Pickled.twice):
            assert pickle.loads(pickle.dumps(function, protocol)) is function
        assert pickle.loads(pickle.dumps(Pickled(2).add, protocol))(3) == 5
        assert pickle.loads(pickle.dumps(Pickled.made, protocol))(3) == 3
        assert pickle.loads(pickle.dumps(functools.partial(at_module_level, 3), protocol))() == 4
    assert len(telemetry.spans()) == 3 * (pickle.HIGHEST_PROTOCOL + 1)


def test_argument_names_of_ours_are_the_functions(telemetry: Telemetry) -> None:
    @track_task(agent="A", task_id=lambda **kwargs: kwargs["task"], capture=True)
    def takes(**kwargs: Any) -> dict[str, Any]:
        return kwargs

    @track_task(capture=True)
    async def takes_later(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        return args, kwargs

    mine = dict.fromkeys(
        ["self", "cls", "args", "kwargs", "function", "name", "agent", "task", "task_id", "spec", "operation", "error",
         "result", "body", "span", "capture", "wrapped", "call", "attributes", "_"], "mine",
    )  # fmt: skip
    assert takes(**mine) == mine
    assert asyncio.run(takes_later("self", **mine)) == (("self",), mine)  # type: ignore[arg-type]
    assert attributes(telemetry.spans()[0])["bmad.task.id"] == "mine"


def test_self_may_be_called_otherwise_and_given_by_keyword(telemetry: Telemetry) -> None:
    class Agent:
        @track_task
        def run(this, self: int) -> int:  # noqa: N805
            return self

        @track_task
        def keyword(self, *, question: str) -> str:
            return question

    assert Agent().run(7) == 7
    assert Agent().run(self=8) == 8
    assert Agent.keyword(self=Agent(), question="why") == "why"  # type: ignore[call-arg]
    assert [span.name for span in telemetry.spans()] == ["invoke_agent Agent"] * 3


# What stands above and below -----------------------------------------------------------------------------------------


def test_property_above_and_below(telemetry: Telemetry) -> None:
    class Agent:
        def __init__(self) -> None:
            self.kept = 1

        @property
        @track_task
        def above(self) -> int:
            """Documented."""
            return self.kept

        @track_task
        @property
        def below(self) -> int:
            """Documented."""
            return self.kept

        @below.setter
        def below(self, value: int) -> None:
            self.kept = value

        @functools.cached_property
        @track_task
        def once(self) -> int:
            return self.kept

    agent = Agent()
    agent.below = 5
    assert (agent.above, agent.below, agent.once, agent.once) == (5, 5, 5, 5)
    assert names(telemetry) == ["above", "below", "once"]
    assert isinstance(inspect.getattr_static(Agent, "below"), property)
    assert Agent.below.__doc__ == Agent.above.__doc__ == "Documented."


def test_cache_above_and_below(telemetry: Telemetry) -> None:
    made: list[int] = []

    @functools.cache
    @track_task
    def cached(n: int) -> int:
        made.append(n)
        return n

    @track_task
    @functools.lru_cache(maxsize=2)
    def looked_up(n: int) -> int:
        made.append(n)
        return n

    assert [cached(1), cached(1), looked_up(1), looked_up(1)] == [1] * 4
    assert made == [1, 1]
    assert names(telemetry) == ["cached", "looked_up", "looked_up"]  # a hit above the decorator is no call of it
    assert cached.cache_info().hits == 1


def test_contextmanager_above_and_below(telemetry: Telemetry, body: Body) -> None:
    @contextlib.contextmanager
    @track_task
    def above() -> Generator[int, Any, None]:
        """The task lasts as long as the block."""
        body.step()
        yield 1
        body.step()

    with above() as value:
        assert value == 1
        assert telemetry.spans() == []
    body.one_span()
    with contextlib.suppress(KeyError), above():
        raise KeyError
    assert [attributes(span)["bmad.task.outcome"] for span in telemetry.spans()] == ["ok", "error"]

    @track_task
    @contextlib.contextmanager
    def below() -> Generator[int, Any, None]:
        yield 2

    with below() as value:
        assert value == 2

    @contextlib.asynccontextmanager
    @track_task
    async def later() -> AsyncGenerator[int, Any]:
        yield 3

    async def enters() -> int:
        async with later() as value:
            return value

    assert asyncio.run(enters()) == 3


def test_dataclass_and_abstract_methods(telemetry: Telemetry) -> None:
    class Base(abc.ABC):
        @abc.abstractmethod
        @track_task
        def abstract_above(self) -> str:
            return "base"

        @track_task
        @abc.abstractmethod
        def abstract_below(self) -> str:
            return "base"

        @track_task
        def shared(self) -> str:
            return self.abstract_above()

    assert Base.__abstractmethods__ == {"abstract_above", "abstract_below"}
    with pytest.raises(TypeError, match="abstract"):
        Base()  # type: ignore[abstract]

    @dataclasses.dataclass(frozen=True, slots=True)
    class Agent(Base):
        kind: str = "agent"

        @track_task
        def abstract_above(self) -> str:
            return self.kind + super(Agent, self).abstract_above()

        def abstract_below(self) -> str:
            return "plain"

    agent = Agent("x")
    assert agent.shared() == "xbase"
    assert agent == Agent("x")
    assert [field.name for field in dataclasses.fields(agent)] == ["kind"]
    assert [span.name for span in telemetry.spans()] == ["invoke_agent Agent"] * 3


def test_override_that_calls_super(telemetry: Telemetry) -> None:
    class Base:
        @track_task
        def run(self, n: int) -> int:
            return n

        @track_task
        async def run_later(self, n: int) -> int:
            return n

        @track_task
        @classmethod
        def make(cls) -> str:
            return cls.__name__

        @track_task
        def items(self) -> Iterator[int]:
            yield 1

    class Special(Base):
        @track_task
        def run(self, n: int) -> int:
            return super().run(n) + 1

        @track_task
        async def run_later(self, n: int) -> int:
            return await super().run_later(n) + 1

        @track_task
        @classmethod
        def make(cls) -> str:
            return super().make() + "!"

        @track_task
        def items(self) -> Iterator[int]:
            yield 0
            yield from super().items()

    special = Special()
    assert special.run(1) == 2
    assert asyncio.run(special.run_later(1)) == 2  # type: ignore[arg-type]
    assert Special.make() == "Special!"
    assert list(special.items()) == [0, 1]
    spans = telemetry.spans()
    assert [span.name for span in spans] == ["invoke_agent Special"] * 8
    assert all(is_child(inner, outer) for inner, outer in zip(spans[::2], spans[1::2], strict=True))


def test_metaclass_methods_slots_and_instances_without_truth(telemetry: Telemetry) -> None:
    class Meta(type):
        @track_task
        def count(cls) -> int:
            return 1

    class Agent(metaclass=Meta):
        __slots__ = ()

        @track_task
        def run(self) -> int:
            return 2

        def __bool__(self) -> bool:
            raise RuntimeError("no truth")

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no comparison")

        __hash__ = None  # type: ignore[assignment]

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(f"no {name}")

    assert (Agent.count(), Agent().run()) == (1, 2)
    assert [span.name for span in telemetry.spans()] == ["invoke_agent Agent"] * 2


def test_singledispatch_partialmethod_and_wraps(telemetry: Telemetry) -> None:
    @functools.singledispatch
    def kind(value: object) -> str:
        return "object"

    @kind.register
    @track_task(agent="A")
    def of_int(value: int) -> str:
        return "int"

    class Agent:
        @track_task
        def power(self, n: int, exponent: int) -> int:
            return int(n**exponent)

        square = functools.partialmethod(power, exponent=2)

    def twice(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any) -> Any:
            return function(*args), function(*args)

        return call

    assert (kind(1), kind("")) == ("int", "object")
    assert Agent().square(3) == 9
    assert twice(track_task(twice(lambda n: n)))(1) == ((1, 1), (1, 1))
    assert len(telemetry.spans()) == 4


# Kinds of callables --------------------------------------------------------------------------------------------------


def test_partials_lambdas_bound_methods_and_built_ins(telemetry: Telemetry) -> None:
    class Agent:
        def run(self, n: int) -> int:
            return n

        def __call__(self, n: int) -> int:
            return n

    agent = Agent()
    assert track_task(functools.partial(plain, 1))() == [1]
    assert track_task(lambda n: n)(2) == 2
    assert track_task(agent.run)(3) == 3
    assert track_task(agent)(4) == 4
    assert track_task(len)([1]) == 1
    assert track_task("a,b".split)(",") == ["a", "b"]
    assert track_task(functools.partial(agent, 5))() == 5
    assert track_task(types.MethodType(plain, 6))() == [6]
    assert len(telemetry.spans()) == 8
    assert {attributes(span)["bmad.task.outcome"] for span in telemetry.spans()} == {"ok"}


@pytest.mark.parametrize("make", ["function", "lambda", "partial", "method", "object"])
def test_a_plain_callable_that_returns_a_coroutine_lasts_until_it_is_awaited(
    telemetry: Telemetry, body: Body, make: str
) -> None:
    async def later(n: int) -> int:
        body.step()
        await asyncio.sleep(0.01)
        body.step()
        return n

    def function(n: int) -> Awaitable[int]:
        return later(n)

    class Agent:
        def method(self, n: int) -> Awaitable[int]:
            return later(n)

        def __call__(self, n: int) -> Awaitable[int]:
            return later(n)

    def calls(n: int, extra: None) -> Awaitable[int]:
        return later(n)

    callables: dict[str, Callable[[int], Awaitable[int]]] = {
        "function": function,
        "lambda": lambda n: later(n),  # noqa: PLW0108 - a plain function that returns a coroutine is the case
        "partial": functools.partial(calls, extra=None),
        "method": Agent().method,
        "object": Agent(),
    }

    async def call() -> int:
        return await track_task(callables[make])(3)

    assert asyncio.run(call()) == 3
    body.one_span(lasting_s=0.01)
    assert telemetry.outcome() == "ok"


def test_a_returned_generator_lasts_until_its_end(telemetry: Telemetry, body: Body) -> None:
    def items() -> Generator[int, Any, str]:
        body.step()
        heard = yield 1
        body.step()
        return str(heard)

    @track_task
    def chooses() -> Generator[int, Any, str]:
        return items()

    source = chooses()
    assert next(source) == 1
    assert telemetry.spans() == []
    with pytest.raises(StopIteration) as stopped:
        source.send("x")
    assert stopped.value.value == "x"
    body.one_span()


def test_a_returned_coroutine_never_awaited_ends_its_task(telemetry: Telemetry) -> None:
    async def later() -> int:
        return 1

    @track_task
    def chooses() -> Coroutine[Any, Any, int]:
        return later()

    chooses().close()
    assert telemetry.outcome() == "closed_early"


def test_async_call_of_an_object_and_of_its_class(telemetry: Telemetry, body: Body) -> None:
    class Tool:
        @track_task
        async def __call__(self, n: int) -> int:
            body.step()
            await asyncio.sleep(0)
            body.step()
            return n

    assert asyncio.run(Tool()(2)) == 2  # type: ignore[arg-type]
    assert body.one_span().name == "invoke_agent Tool"


# Arguments -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", [False, True])
def test_iterators_given_and_returned_are_not_consumed(telemetry: Telemetry, capture: bool) -> None:
    def counts() -> Iterator[int]:
        yield from range(3)

    async def counts_later() -> AsyncIterator[int]:
        for n in range(3):
            yield n

    @track_task(capture=capture)
    def takes(*sources: Any) -> Any:
        return sources

    sources = takes(counts(), iter([0, 1, 2]), map(int, "012"), zip(range(3), strict=True), open(__file__))  # noqa: SIM115, PTH123
    assert [list(source) for source in sources[:3]] == [[0, 1, 2]] * 3
    assert list(sources[3]) == [(0,), (1,), (2,)]
    assert sources[4].tell() == 0
    sources[4].close()

    async def consume() -> list[int]:
        (source,) = takes(counts_later())
        return [n async for n in source]

    assert asyncio.run(consume()) == [0, 1, 2]

    @track_task(capture=capture)
    def returns() -> Any:
        return iter([1, 2])

    assert list(returns()) == [1, 2]
    pending = asyncio.run(_awaited_after(takes))
    assert pending == 9


async def _awaited_after(takes: Callable[..., Any]) -> int:
    async def nine() -> int:
        return 9

    (given,) = takes(nine())
    result: int = await given
    return result


def test_arguments_are_let_go_with_the_call(telemetry: Telemetry) -> None:
    import weakref

    class Large:
        pass

    async def waits(large: Large) -> None:
        await asyncio.sleep(0)

    def items(large: Large) -> Iterator[int]:
        yield 1

    @track_task(capture=True)
    def returns(large: Large) -> Large:
        return large

    seen = []
    for use in (
        returns,
        lambda large: asyncio.run(track_task(waits)(large)),  # type: ignore[arg-type]
        lambda large: list(track_task(items)(large)),
    ):
        large = Large()
        use(large)
        seen.append(weakref.ref(large))
        del large
    assert [one() for one in seen] == [None] * 3


def test_recursion_of_every_shape(telemetry: Telemetry) -> None:
    @track_task
    def down(n: int) -> int:
        return 0 if n == 0 else 1 + down(n - 1)

    @track_task
    async def down_later(n: int) -> int:
        return 0 if n == 0 else 1 + await down_later(n - 1)

    @track_task
    def items(n: int) -> Iterator[int]:
        yield n
        if n:
            yield from items(n - 1)

    assert down(50) == 50
    assert asyncio.run(down_later(50)) == 50  # type: ignore[arg-type]
    assert sum(items(50)) == 50 * 51 // 2
    spans = telemetry.spans()
    assert len(spans) == 3 * 51
    assert len({id_of(span) for span in spans}) == len(spans)
    for one in range(3):
        group = spans[one * 51 : (one + 1) * 51]
        assert all(is_child(inner, outer) for inner, outer in itertools.pairwise(group))


def test_endless_recursion_ends_as_it_always_did(telemetry: Telemetry) -> None:
    @track_task
    def for_ever(n: int) -> int:
        return for_ever(n + 1)

    with pytest.raises(RecursionError):
        for_ever(0)
    assert {attributes(span)["bmad.task.outcome"] for span in telemetry.spans()} == {"error"}
    assert at_module_level(1) == 2  # and the next call is traced as ever
    assert telemetry.spans()[-1].parent is None


def test_a_generator_that_runs_already_says_so(telemetry: Telemetry) -> None:
    holder: list[Any] = []

    @track_task
    def reenters() -> Iterator[int]:
        with pytest.raises(ValueError, match="generator already executing"):
            next(holder[0])
        yield 1

    holder.append(reenters())
    assert list(holder[0]) == [1]

    @track_task
    async def waits() -> AsyncIterator[int]:
        await asyncio.sleep(0.01)
        yield 1

    async def twice_at_once() -> list[Any]:
        source = waits()
        return await asyncio.gather(anext(source), anext(source), return_exceptions=True)

    first, second = asyncio.run(twice_at_once())
    assert first == 1
    assert isinstance(second, RuntimeError)
    assert len(telemetry.spans()) == 2
